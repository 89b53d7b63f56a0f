# SPDX-License-Identifier: Apache-2.0
"""Symbols of the files that a process had mapped: names of addresses, addresses of names. Source: elf(5).

A file is read only when it is the one that was mapped, by its marks or its build id; a table that does not hold is left out.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Symbol", "SymbolTable", "read_symbols"]

_LARGEST: Final = 1 << 30  # bytes of a file that is read for its symbols
_TABLES: Final = {2: "symtab", 11: "dynsym"}  # SHT_SYMTAB, SHT_DYNSYM
_KINDS: Final = {
    0: "none",
    1: "object",
    2: "function",
    10: "function",
}  # STT_NOTYPE, _OBJECT, _FUNC, _GNU_IFUNC
_ENTRY: Final = struct.Struct("<IBBHQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_PT_LOAD, _PT_NOTE, _NT_BUILD_ID = 1, 4, 3
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name of an address.

    Attributes:
        name: As the file has it.
        address: Where it was in the process.
        size: Bytes; 0 when the file does not say.
        kind: `function`, `object` or `none`.
        path: The file.
    """

    name: str
    address: int
    size: int
    kind: str
    path: str


class SymbolTable:
    """The symbols of a process."""

    def __init__(self, symbols: list[Symbol]) -> None:
        """Sort them by address."""
        self._sorted = sorted(symbols, key=lambda symbol: (symbol.address, symbol.size == 0, symbol.name))
        self._addresses = [symbol.address for symbol in self._sorted]

    def __iter__(self) -> Iterator[Symbol]:
        """Yield them by address."""
        return iter(self._sorted)

    def __len__(self) -> int:
        """Count them."""
        return len(self._sorted)

    def find(self, name: str) -> list[Symbol]:
        """Return those of that name, by address."""
        return [symbol for symbol in self._sorted if symbol.name == name]

    def at(self, address: int) -> Symbol | None:
        """Return the one whose bytes hold an address, or None."""
        index = bisect_right(self._addresses, address)
        for symbol in reversed(self._sorted[max(0, index - 16) : index]):
            if symbol.address <= address < symbol.address + max(symbol.size, 1):
                return symbol
        return None


def read_symbols(manifest: Mapping[str, Any], process: Mapping[str, Any]) -> SymbolTable:
    """Return the symbols of a process of a snapshot, as far as its files are here."""
    out: dict[tuple[str, int], Symbol] = {}
    seen: set[int] = set()
    for region in process["regions"]:
        source = region.get("source")
        if source is None or source in seen or region["offset"] != 0:
            continue
        seen.add(source)
        file = manifest["sources"][source]
        data = _content(file)
        if data is None:
            continue
        try:
            for symbol in _of_file(data, region["start"], region["name"] or file["path"]):
                out.setdefault((symbol.name, symbol.address), symbol)
        except (struct.error, ValueError, IndexError):
            continue  # a file that is no ELF file, or a damaged one, has no symbols
    return SymbolTable(list(out.values()))


def _content(source: Mapping[str, Any]) -> bytes | None:
    path = Path(source["path"])
    try:
        facts = path.stat()
        if facts.st_size != source["size_bytes"] or facts.st_size > _LARGEST or not path.is_file():
            return None
        data = path.read_bytes()
    except OSError:
        return None
    marks = (facts.st_mtime_ns, facts.st_ino) == (source.get("mtime_ns"), source.get("inode"))
    return data if marks or (source.get("build_id") and _build_id(data) == source["build_id"]) else None


def _is_elf(data: bytes) -> bool:
    return data[:6] == b"\x7fELF\x02\x01"


def _segments(data: bytes) -> Iterator[tuple[int, ...]]:
    (start,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    for index in range(count):
        yield _SEGMENT.unpack_from(data, start + index * size)


def _build_id(data: bytes) -> str | None:
    try:
        for kind, _, offset, _, _, size, *_ in _segments(data) if _is_elf(data) else ():
            at = offset
            while kind == _PT_NOTE and at + 12 <= offset + size:
                name, length, note = struct.unpack_from("<III", data, at)
                behind = at + 12 + (name + 3) // 4 * 4
                if note == _NT_BUILD_ID and data[at + 12 : at + 16] == b"GNU\0":
                    return data[behind : behind + length].hex()
                at = behind + (length + 3) // 4 * 4
    except struct.error:
        return None
    return None


def _of_file(data: bytes, start: int, path: str) -> Iterator[Symbol]:
    if not _is_elf(data):
        return
    first = next(segment for segment in _segments(data) if segment[0] == _PT_LOAD and segment[2] < _PAGE)
    bias = start - first[3] // _PAGE * _PAGE
    (at,), (size, count) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HH", data, 58)
    sections = [_SECTION.unpack_from(data, at + index * size) for index in range(count)]
    for section in sections:
        if section[1] in _TABLES:
            names = sections[section[6]]
            table = data[section[4] : section[4] + section[5]]
            yield from _of_table(table, data[names[4] : names[4] + names[5]], bias, path)


def _of_table(table: bytes, names: bytes, bias: int, path: str) -> Iterator[Symbol]:
    whole = len(table) // _ENTRY.size * _ENTRY.size
    for name, info, _, section, value, size in _ENTRY.iter_unpack(table[:whole]):
        kind = _KINDS.get(info & 15)
        if kind is None or section == 0 or not name or section >= 0xFF00:  # undefined, or no address
            continue
        text = names[name : names.find(b"\0", name)].decode("utf-8", "replace")
        yield Symbol(text, (value + bias) & (1 << 64) - 1, size, kind, path)
