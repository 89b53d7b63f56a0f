# SPDX-License-Identifier: Apache-2.0
"""Shows text that a stranger chose without letting it move, hide or reorder the text around it."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["safe"]

# Control, format (with every bidi control), surrogate, unassigned, private, line and paragraph separators.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})


def safe(text: str) -> str:
    r"""Return the text with every character that could move, hide or reorder other text shown as an escape.

    `\x1b` for one byte, `\u202e` and `\U000e0001` for more. A backslash is left alone, so the escape is for
    people to read, not for programs to undo; programs use `--json`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escape(char) if unicodedata.category(char) in _UNSAFE_CATEGORIES else char for char in text
    )


def _escape(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
