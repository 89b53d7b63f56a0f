# SPDX-License-Identifier: Apache-2.0
"""Changes a WebAssembly binary in two ways that its code cannot see.

Everything it holds gets an export, and its start function becomes an export that the host calls.

The exports let the final state of a run be compared and snapshots be taken. The start function has to wait because it would
otherwise run before the recorder exists. Only modules that the engine has validated are handed to this.
Source: WebAssembly core specification 2.0, chapter 5 (binary format).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from observer.errors import FormatError

__all__ = ["Exposed", "expose", "refuse_foreign"]

_MAGIC: Final = b"\0asm"
_IMPORT, _FUNCTION, _TABLE, _MEMORY, _GLOBAL, _EXPORT, _START = 2, 3, 4, 5, 6, 7, 8
_CODE_ORDER: Final = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)  # the order in which sections stand


@dataclass(frozen=True, slots=True)
class Exposed:
    """A module whose state can be reached.

    Attributes:
        code: The changed binary.
        tables: Names of the exports that were added for its tables, in order of index.
        memories: The same for its memories.
        globals: The same for its globals.
        start: Name of the export that calls its start function, or None.
        functions: Names of the exports of all its functions in order of index, when they were asked for.
    """

    code: bytes
    tables: tuple[str, ...]
    memories: tuple[str, ...]
    globals: tuple[str, ...]
    start: str | None
    functions: tuple[str, ...] = ()


def refuse_foreign(code: bytes) -> None:
    """Refuse what is not a core module, in words that say what it is.

    Raises:
        FormatError: Too short, something else, or a component. [OBS500]
    """
    if code[:4] != _MAGIC:
        raise FormatError(
            "not WebAssembly: it does not begin with \\0asm",
            hint="give a .wasm file of a WASI preview 1 module",
        )
    if code[4:8] == b"\x0d\x00\x01\x00":
        raise FormatError(
            "a WebAssembly component, not a core module",
            hint="build for wasm32-wasip1; components (preview 2) are not recorded",
        )
    if code[4:8] != b"\x01\x00\x00\x00":
        raise FormatError(f"WebAssembly of an unknown version: {code[4:8].hex() or 'it ends there'}")


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sections(code: bytes) -> Iterator[tuple[int, bytes]]:
    at = 8
    while at < len(code):
        kind = code[at]
        size, at = _number(code, at + 1)
        yield kind, code[at : at + size]
        at += size


def _skip_limits(data: bytes, at: int) -> int:
    flags, at = data[at], at + 1
    _, at = _number(data, at)
    return _number(data, at)[1] if flags & 1 else at


def _imported(section: bytes) -> dict[int, int]:
    """Return how many tables (1), memories (2) and globals (3) are imported."""
    found = {0: 0, 1: 0, 2: 0, 3: 0, 4: 0}
    count, at = _number(section, 0)
    for _ in range(count):
        for _ in range(2):  # module and name
            length, at = _number(section, at)
            at += length
        kind, at = section[at], at + 1
        found[kind] += 1
        if kind == 1:
            at = _skip_limits(section, at + 1)
        elif kind == 2:
            at = _skip_limits(section, at)
        elif kind == 3:
            at += 2
        else:
            at = _number(section, at + (kind == 4))[1]
    return found


def _export_names(section: bytes) -> tuple[int, int, set[bytes]]:
    count, first = _number(section, 0)
    at, names = first, set()
    for _ in range(count):
        length, at = _number(section, at)
        names.add(section[at : at + length])
        _, at = _number(section, at + length + 1)
    return count, first, names


def expose(code: bytes, *, functions: bool = False) -> Exposed:
    """Return the module with exports for its state, and without a start section.

    Args:
        code: A valid core module.
        functions: Export each function too, so that the entries of tables can be told by name.

    Raises:
        FormatError: It uses an encoding that this does not know. [OBS500]
    """
    try:
        return _expose(code, functions=functions)
    except (IndexError, KeyError) as error:
        raise FormatError(
            "the module uses a newer binary encoding than this version knows",
            hint="rebuild it without gc, threads and 64-bit memories",
        ) from error


def _expose(code: bytes, *, functions: bool) -> Exposed:
    sections = list(_sections(code))
    held = {kind: payload for kind, payload in sections if kind != 0}
    imported = _imported(held.get(_IMPORT, b"\0"))
    count, first, names = _export_names(held.get(_EXPORT, b"\0"))
    prefix = "observer:"
    while any(name.startswith(prefix.encode()) for name in names):
        prefix = f"{prefix}:"
    added: list[tuple[str, int, int]] = []
    wanted = [(1, _TABLE, "table"), (2, _MEMORY, "memory"), (3, _GLOBAL, "global")]
    for kind, section, word in [*wanted, (0, _FUNCTION, "function")] if functions else wanted:
        total = imported[kind] + _number(held.get(section, b"\0"), 0)[0]
        added += [(f"{prefix}{word}{index}", kind, index) for index in range(total)]
    every = tuple(name for name, kind, _ in added if kind == 0)
    start = None
    if _START in held:
        start = f"{prefix}start"
        added.append((start, 0, _number(held[_START], 0)[0]))
    entries = b"".join(
        _encoded(len(name.encode())) + name.encode() + bytes([kind]) + _encoded(index)
        for name, kind, index in added
    )
    exports = _encoded(count + len(added)) + held.get(_EXPORT, b"\0")[first:] + entries
    named = {kind: tuple(name for name, of, _ in added if of == kind) for kind in (1, 2, 3)}
    return Exposed(code[:8] + _joined(sections, exports), named[1], named[2], named[3], start, every)


def _joined(sections: list[tuple[int, bytes]], exports: bytes) -> bytes:
    out, placed = [], False
    for kind, payload in sections:
        later = kind in _CODE_ORDER and _CODE_ORDER.index(kind) > _CODE_ORDER.index(_EXPORT)
        if not placed and (kind == _EXPORT or later):
            out.append(bytes([_EXPORT]) + _encoded(len(exports)) + exports)
            placed = True
        if kind not in (_EXPORT, _START):
            out.append(bytes([kind]) + _encoded(len(payload)) + payload)
    if not placed:
        out.append(bytes([_EXPORT]) + _encoded(len(exports)) + exports)
    return b"".join(out)
