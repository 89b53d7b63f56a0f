# SPDX-License-Identifier: Apache-2.0
"""Write docs/ERRORS.md from the error classes."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from observer import errors

TARGET = Path("docs/ERRORS.md")
HEAD = """# Errors

What `observer` can end with, and what to do then. This page is generated from `src/observer/errors.py` by `make golden`.

An error is printed on stderr as `observer: error[CODE]: what and where`, then `hint: what now`. The code is stable and never
reused. The exit status names the family, so that a script can tell *the evidence does not hold* (14) from *it could not be
judged* (12, 13, 15). Status 1 is never used on purpose: a crash cannot look like a verdict. `observer record` ends with the
status of the command it recorded. A status that is not in this table means failure.

| exit | family | meaning |
|---|---|---|
"""


def first_sentence(cls: type[errors.ObserverError]) -> str:
    """Return the first line of the class's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def families() -> list[tuple[str, list[type[errors.ObserverError]]]]:
    """Return the classes by the family digit of their codes, in order of code."""
    classes = sorted((getattr(errors, name) for name in errors.__all__), key=lambda cls: cls.code)
    return [(digit, list(group)) for digit, group in groupby(classes, key=lambda cls: cls.code[3])]


def entry(cls: type[errors.ObserverError]) -> str:
    """Return one error's part of the page."""
    hint = re.sub(r"\s+", " ", cls.default_hint)
    return f"### `{cls.code}` {cls.__name__}\n\n{first_sentence(cls)}\n\nExit status {cls.exit_code}. Hint: {hint}.\n"


def render() -> str:
    """Return the text of the page."""
    rows, parts = "", []
    for digit, classes in families():
        head = classes[0]
        rows += f"| {head.exit_code} | OBS{digit}xx {head.__name__} | {first_sentence(head)} |\n"
        parts.append(f"## OBS{digit}xx {head.__name__}\n\n" + "\n".join(entry(cls) for cls in classes))
    return HEAD + rows + "\n" + "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / TARGET).write_text(render(), encoding="utf-8")
