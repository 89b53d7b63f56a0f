# SPDX-License-Identifier: Apache-2.0
"""The ABI between kernel and recorder: the object's own type information, the Rust structures and the committed object agree."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from observer import _native
from tests.house import tree

OBJECTS = tree.ROOT / "rust" / "observer-probe" / "object"
RUST = tree.ROOT / "rust" / "observer-probe" / "src" / "abi.rs"
PAIRS = {
    "obs_head": "Head",
    "obs_call": "Call",
    "obs_blob": "BlobHead",
    "obs_event": "Event",
    "obs_step": "Step",
    "obs_plan": "Plan",
    "obs_lane": "Lane",
    "obs_loss_key": "LossKey",
    "obs_loss": "Loss",
}
SIZES = {"u8": 1, "u16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8}
pytestmark = pytest.mark.without_probe

Layout = tuple[int, dict[str, int]]


def section(elf: bytes, name: str) -> bytes:
    """Return a section of a 64-bit little-endian ELF file."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    rows = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    for row in rows:
        start = rows[names][4] + row[0]
        if elf[start : elf.index(b"\0", start)].decode() == name:
            return elf[row[4] : row[4] + row[5]]
    raise AssertionError(f"no section {name}")


def btf_structs(btf: bytes) -> dict[str, Layout]:
    """Return size and field offsets in bytes of each named structure. Source: linux/btf.h."""
    length, types, types_size, strings = struct.unpack_from("<IIII", btf, 4)
    extra = {1: 4, 3: 12, 14: 4, 17: 4}  # INT, ARRAY, VAR, DECL_TAG; per-member sizes below

    def text(at: int) -> str:
        start = length + strings + at
        return btf[start : btf.index(b"\0", start)].decode()

    found: dict[str, Layout] = {}
    at, end = length + types, length + types + types_size
    while at < end:
        name, info, size = struct.unpack_from("<III", btf, at)
        kind, members = info >> 24 & 31, info & 0xFFFF
        at += 12
        if kind in (4, 5):
            rows = [struct.unpack_from("<III", btf, at + 12 * i) for i in range(members)]
            if text(name):
                found[text(name)] = (size, {text(n): (bits & 0xFFFFFF) // 8 for n, _, bits in rows})
        at += {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}.get(kind, 0) * members + extra.get(kind, 0)
    return found


def rust_structs() -> dict[str, Layout]:
    """Return the same of the Rust structures, laid out by the rules of C."""
    text = RUST.read_text(encoding="utf-8")
    constants = {n: int(v) for n, v in re.findall(r"pub const (\w+): usize = (\d+);", text)}
    sizes = {**{name: (size, size) for name, size in SIZES.items()}}
    found: dict[str, Layout] = {}
    for name, body in re.findall(
        r"#\[repr\(C\)\]\n(?:#\[[^\n]*\]\n)*pub struct (\w+) \{\n(.*?)\n\}", text, re.DOTALL
    ):
        at, widest, fields = 0, 1, {}
        for field, kind in re.findall(r"^ +pub (\w+): ([^,]+),$", body, re.MULTILINE):
            array = re.fullmatch(r"\[(\w+); (\w+)\]", kind)
            count = 1
            if array:
                kind, count = array.group(1), constants.get(array.group(2)) or int(array.group(2))
            size, align = sizes[kind]
            at = -(-at // align) * align
            fields[field], at, widest = at, at + size * count, max(widest, align)
        total = -(-at // widest) * widest
        sizes[name], found[name] = (total, widest), (total, fields)
    return found


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_object_and_rust_lay_everything_out_alike(arch: str) -> None:
    kernel, user = btf_structs(section((OBJECTS / f"{arch}.bpf.o").read_bytes(), ".BTF")), rust_structs()
    for theirs, ours in PAIRS.items():
        assert kernel[theirs] == user[ours], f"{theirs} and {ours} differ"
        assert kernel[theirs][1], f"{theirs} has no fields"


def test_installed_core_carries_the_object() -> None:
    arch = os.uname().machine
    core = Path(_native.__file__).read_bytes()
    assert (OBJECTS / f"{arch}.bpf.o").read_bytes() in core, "the native core was built with another probe"


def test_committed_object_is_what_the_sources_compile_to(tmp_path: Path) -> None:
    if (
        not all(map(shutil.which, ("clang", "llvm-strip")))
        or not Path("/usr/include/bpf/bpf_helpers.h").exists()
    ):
        pytest.skip(
            "clang, llvm-strip or libbpf's headers are not installed: the objects are NOT compared with their sources"
        )
    version = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout
    if "version 14." not in version:
        pytest.skip(
            "another clang than 14 orders code differently: the objects are NOT compared with their sources"
        )
    subprocess.run([tree.ROOT / "tools" / "build_bpf.sh", tmp_path], check=True, capture_output=True)
    for arch in ("x86_64", "aarch64"):
        assert (tmp_path / f"{arch}.bpf.o").read_bytes() == (OBJECTS / f"{arch}.bpf.o").read_bytes(), (
            f"run tools/build_bpf.sh and commit {arch}.bpf.o"
        )
