# SPDX-License-Identifier: Apache-2.0
"""What the kernel gives a program on its first stack, and which loader an executable names.

Source: the x86-64 psABI, 3.4.1; elf(5).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["interpreter_of", "start_of_program"]

_STACK_MAX: Final = (
    4 << 20
)  # arguments and environment together are at most a quarter of the stack's limit of 8 MiB, and 6 MiB
_HEADERS_MAX: Final = 64
_PT_INTERP: Final = 3
_PATH_MAX: Final = 4096


def start_of_program(session: Any, task: int) -> Mapping[str, bytes]:
    """Return `cmdline`, `environ` and `auxv` of a program that has not run yet, in the form of the files in /proc."""
    at = int(json.loads(session.registers(task))["rsp"])
    stack: bytes = session.read_memory(task, at, _STACK_MAX)
    words = memoryview(stack[: len(stack) // 8 * 8]).cast("Q")
    count = words[0] if len(words) else 0
    if count + 2 >= len(words):
        return {}
    ends = [index for index in range(count + 2, len(words)) if words[index] == 0][:1]
    if not ends:
        return {}
    end = ends[0]
    auxv = bytearray()
    for index in range(end + 1, len(words) - 1, 2):
        auxv += struct.pack("<QQ", words[index], words[index + 1])
        if words[index] == 0:
            break
    texts = [_text(stack, int(word) - at) for word in words[1:end] if word]
    return {
        "cmdline": b"".join(text + b"\0" for text in texts[:count]),
        "environ": b"".join(text + b"\0" for text in texts[count:]),
        "auxv": bytes(auxv),
    }


def _text(stack: bytes, at: int) -> bytes:
    return stack[at : stack.find(b"\0", at)] if 0 <= at < len(stack) else b""


def interpreter_of(path: Path) -> str | None:
    """Return the loader that an ELF executable names, or None when it is none or names none."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:5] != b"\x7fELF\x02":
                return None
            (offset,), (count,) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<H", head, 56)
            file.seek(offset)
            headers = file.read(56 * min(count, _HEADERS_MAX))
            for place in range(0, len(headers) - 55, 56):
                kind, _, at, _, _, size = struct.unpack_from("<IIQQQQ", headers, place)
                if kind == _PT_INTERP:
                    file.seek(at)
                    return file.read(min(size, _PATH_MAX)).rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return None
    return None
