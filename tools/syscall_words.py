# SPDX-License-Identifier: Apache-2.0
"""The small language of the syscall overlay: words for arguments, readings of memory, conditions.

``parse_words("dirfd, path, flags open_flags, mode -> Fd", …)`` gives one `Word` per argument and the result's
meaning. A word knows its Rust expression and which memory must be read for it; ``tools/syscalls/README.md`` has the
whole language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

ARCHES = ("x86_64", "aarch64")
SCALARS = {
    "int": "Int", "uint": "Uint", "long": "Long", "ulong": "Ulong", "hex": "Hex", "raw": "Address", "any": "Any",
    "octal": "Octal", "fd": "Fd", "dirfd": "DirFd", "pid": "Pid", "uid": "Uid", "gid": "Gid",
    "mode": "Mode", "filemode": "FileMode", "dev": "Dev", "size": "Size", "offset": "Offset",
    "signal": "Signal", "addr": "Address", "rlim": "Rlim",
}  # fmt: skip
DIRS = {"in": ("In", ("Entry",)), "out": ("Out", ("Exit",)), "inout": ("InOut", ("Entry", "Exit"))}
NUMBERS = {"i32": 4, "u32": 4, "i64": 8, "u64": 8, "u8": 1}
# Kernel ABI sizes of what special decoders read, in bytes.
SPECIAL_SIZES = {"SigAction": 32, "SigInfo": 128, "WaitStatus": 4, "SockLen": 4, "Termios": 36}
# Special words that always read the same: when, what, and whether after a failure too.
SPECIAL_FETCHES = {
    "Argv": ("Entry", "Shape::StringArray", False),
    "Envp": ("Entry", "Shape::StringCount", False),
    "Remaining": ("Exit", "Shape::Struct(Len::Const(16))", True),
}
# Special words that say their direction to the decoder.
DIRECTED = {"Iovec", "Msghdr", "SigSet", "SockAddr", "SockOptValue", "Termios"}
NEVER = "Cond::In { arg: 0, mask: 0, values: &[] }"
RESULT_TABLES = ("Named", "Bits", "FileFlags")


@dataclass
class Overlay:
    """The hand-written part of the data."""

    flags: dict[str, dict[str, Any]]
    structs: dict[str, dict[str, Any]]
    calls: dict[str, tuple[str, dict[str, Any]]]

    def variant(self, tables: dict[str, dict[str, Any]], name: str, arch: str) -> str:
        """Rust name of a table, in its own variant for `arch` where there is one."""
        if name not in tables:
            raise ValueError(f"no table {name}")
        return f"{name}_{arch}".upper() if arch in tables[name] else name.upper()

    def size_of(self, name: str, arch: str) -> int:
        """Bytes of a structure."""
        table = self.structs[name]
        return int(table.get(arch, table)["size"])

    def constant(self, name: str) -> int:
        """Value of a named constant of any flag table, or a plain number."""
        for table in self.flags.values():
            for key in ("values", "choices"):
                if name in table.get(key, {}):
                    return int(table[key][name])
        return int(name, 0)


@dataclass
class Word:
    """Meaning of one argument."""

    rust: str
    inner: str = ""
    shapes: list[tuple[str, str, bool]] = field(default_factory=list)
    hidden: bool = False
    narrow: bool = False

    def expression(self) -> str:
        """The `ArgType`, as Rust."""
        return f"{self.rust}({self.inner})" if self.inner else self.rust

    def fetches(self, index: int, condition: str = "Cond::Always") -> list[str]:
        """Readings of memory, as Rust."""
        return [rust_fetch(index, *shape, condition) for shape in self.shapes]


def rust_fetch(index: int, moment: str, shape: str, on_error: bool, condition: str) -> str:
    """One reading, as Rust."""
    if condition == "Cond::Always" and not on_error:
        return f"f({index}, {moment}, {shape})"
    return f"fx({index}, {moment}, {shape}, {condition}, {str(on_error).lower()})"


def default_word(kind: str, name: str) -> Word:
    """The word for an argument of a call that the overlay does not describe."""
    if "*" in kind:
        return Word("Address")
    if name in ("fd", "fildes") and kind in ("int", "unsigned int"):
        return Word("Fd")
    by_type = {
        "int": "Int",
        "pid_t": "Pid",
        "uid_t": "Uid",
        "gid_t": "Gid",
        "size_t": "Size",
        "umode_t": "Mode",
    }
    by_type |= {
        "unsigned int": "Uint",
        "unsigned": "Uint",
        "u32": "Uint",
        "key_serial_t": "Int",
        "long": "Long",
    }
    return Word(by_type.get(kind, "Any"))


def length(text: str, size: int = 1) -> str:
    """A length: ``ret``, ``2`` (argument), ``*2`` (behind argument), ``=8`` (constant), ``bits 0``."""
    if text == "ret":
        return "Len::Result" if size == 1 else f"Len::ResultTimes({size})"
    if text.startswith("*"):
        return f"Len::DerefArg({text[1:]})"
    if text.startswith("="):
        return f"Len::Const({int(text[1:], 0) * size})"
    if text.startswith("bits "):
        return f"Len::ArgBits({text[5:]})"
    return f"Len::Arg({text})" if size == 1 else f"Len::ArgTimes({text}, {size})"


def shaped(direction: str, shape: str) -> list[tuple[str, str, bool]]:
    return [(moment, shape, False) for moment in DIRS[direction][1]]


def memory_word(direction: str, what: str, extent: str | None, overlay: Overlay, arch: str) -> Word:
    """A word that follows a pointer."""
    dir_rust = f"Dir::{DIRS[direction][0]}"
    if what == "data":
        return Word("Data", dir_rust, shaped(direction, f"Shape::Data({length(extent or '')})"))
    if what[0].isupper():
        size = overlay.size_of("stat", arch) if what == "Stat" else SPECIAL_SIZES.get(what, 0)
        return special_word(what, direction, extent, size)
    size = overlay.size_of(what, arch)
    inner = f"&structs::{overlay.variant(overlay.structs, what, arch)}, {dir_rust}"
    shape = f"Shape::Struct({length(extent or '=1', size)})"
    return Word("Array" if extent else "Struct", inner, shaped(direction, shape))


def special_word(what: str, direction: str, extent: str | None, size: int) -> Word:
    """A word with its own decoder that follows a pointer."""
    inner = f"K::{what}(Dir::{DIRS[direction][0]})" if what in DIRECTED else f"K::{what}"
    if what == "Iovec":
        shape = f"Shape::Iovec({extent})"
    elif what == "Msghdr":
        shape = "Shape::Msghdr"
    elif what == "PollFds":
        shape = f"Shape::Struct({length(extent or '', 8)})"
    elif what == "HexData":
        shape = f"Shape::Data({length(extent or '')})"
    else:
        shape = f"Shape::Struct({length(extent or f'={size}')})"
    return Word("Special", inner, shaped(direction, shape))


def number_word(direction: str, match: re.Match[str], overlay: Overlay, arch: str) -> Word:
    """A number or array of numbers behind a pointer: ``out i32``, ``in u32[0] as gid``."""
    kind, extent, meaning = match["kind"], match["extent"], match["meaning"]
    width, signed = NUMBERS[kind], kind[0] == "i"
    word = parse_word(meaning or ("long" if signed else "ulong"), overlay, arch)
    field_rust = f"&number({width}, {str(signed).lower()}, {word.expression()})"
    shape = f"Shape::Struct({length(extent or '=1', width)})"
    name = "Numbers" if extent else "Number"
    return Word(name, f"{field_rust}, Dir::{DIRS[direction][0]}", shaped(direction, shape))


def pointer_word(text: str, overlay: Overlay, arch: str) -> Word | None:
    direction, _, rest = text.partition(" ")
    if direction not in DIRS:
        return None
    extent = r"(?:\[(?P<extent>.+?)\])?"
    if match := re.fullmatch(rf"(?P<kind>[iu]\d+){extent}(?: as (?P<meaning>.+))?", rest):
        return number_word(direction, match, overlay, arch)
    if match := re.fullmatch(rf"(?P<kind>\w+){extent}", rest):
        return memory_word(direction, match["kind"], match["extent"], overlay, arch)
    return None


def parse_word(text: str, overlay: Overlay, arch: str) -> Word:
    """One word of the language."""
    if text in SCALARS:
        return Word(SCALARS[text])
    if text == "-":
        return Word("Hex", hidden=True)
    if text in ("path", "text"):
        return Word(text.title(), "", [("Entry", "Shape::CString", False)])
    if match := re.fullmatch(r"(path|text)out\[(.+)\]", text):
        return Word(f"{match[1].title()}Out", "", [("Exit", f"Shape::Struct({length(match[2])})", False)])
    first, _, rest = text.partition(" ")
    if first in ("flags", "enum"):
        return Word(first.title(), f"&flags::{overlay.variant(overlay.flags, rest, arch)}")
    if first == "Struct":
        return Word("Struct", f"&structs::{overlay.variant(overlay.structs, rest, arch)}, Dir::In")
    if text[0].isupper() and text.isalnum():
        return Word("Special", f"K::{text}", [s for s in [SPECIAL_FETCHES.get(text)] if s])
    word = pointer_word(text, overlay, arch)
    if word is None:
        raise ValueError(f"not a word: {text}")
    return word


def parse_words(text: str, overlay: Overlay, arch: str) -> tuple[list[Word], str]:
    """A whole line: words separated by commas, then ``->`` and the result."""
    arguments, _, result = text.partition("->")
    words = [parse_word(w.strip(), overlay, arch) for w in arguments.split(",") if w.strip()]
    kind, _, table = (result.strip() or "Zero").partition(" ")
    if kind in RESULT_TABLES:
        return words, f"{kind}(&flags::{overlay.variant(overlay.flags, table, arch)})"
    return words, kind


def parse_fetch(text: str, overlay: Overlay, arch: str) -> list[str]:
    """An extra reading: ``2 in flock if 1 in F_SETLK F_SETLKW``."""
    plan, _, condition = text.partition(" if ")
    index, word = plan.split(None, 1)
    guard = fetch_condition(condition, overlay)
    return parse_word(word, overlay, arch).fetches(int(index), guard)


def fetch_condition(text: str, overlay: Overlay) -> str:
    """``1 in A B``, ``1 & 0x7f in A B`` or ``1 not in A``; nothing means always."""
    if not text:
        return "Cond::Always"
    if text == "never":
        return NEVER
    match = re.fullmatch(r"(\d)(?: & (\w+))? (in|not in) (.+)", text)
    if match is None:
        raise ValueError(f"not a condition: {text}")
    mask = int(match[2], 0) if match[2] else 0xFFFFFFFF
    values = ", ".join(hex(overlay.constant(v) & mask) for v in match[4].split())
    kind = "In" if match[3] == "in" else "NotIn"
    return f"Cond::{kind} {{ arg: {match[1]}, mask: {mask:#x}, values: &[{values}] }}"
