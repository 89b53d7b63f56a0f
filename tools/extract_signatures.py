# SPDX-License-Identifier: Apache-2.0
"""Reads numbers and signatures of system calls from a kernel's headers and tracing files.

Writes ``tools/syscalls/kernel.tsv``: one line per call with its number on x86_64 and aarch64 and the C type and
name of each argument. Run it when a newer kernel is at hand; the result is committed: building needs no kernel.

Sources, in order of preference: ``events/syscalls/sys_enter_*/format`` of the running kernel's tracefs, then
``include/linux/syscalls.h``. Numbers come from ``unistd_64.h`` and ``asm-generic/unistd.h``. What neither has
(calls removed long ago, numbers newer than the headers) is in ``tools/syscalls/extra.tsv``, written by hand.

Example::

    apt-get download linux-headers-6.12.117+deb12-common linux-headers-6.12.117+deb12-amd64
    mount -t tracefs nodev /sys/kernel/tracing
    python3 tools/extract_signatures.py --common COMMON --arch AMD64 --tracing /sys/kernel/tracing
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent / "syscalls"
# Names of the kernel's functions that differ from the names in the number tables.
RENAMED = {
    "newstat": "stat",
    "newfstat": "fstat",
    "newlstat": "lstat",
    "newuname": "uname",
    "sendfile64": "sendfile",
    "umount": "umount2",
    "fadvise64_64": "fadvise64",
}
# What arch/arm64 asks of the generic table (arch/arm64/kernel/Makefile.syscalls).
ARM64_WANTS = ("RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "MEMFD_SECRET", "SYS_CLONE3")
Signature = list[tuple[str, str]]


def split_argument(text: str) -> tuple[str, str]:
    """Splits ``const char __user *name`` into type and name."""
    words = re.sub(r"__user\b", "", text).replace("*", " * ").split()
    if len(words) == 1 or words[-1] in ("*", "int", "long", "size_t"):
        return " ".join(words), ""
    return " ".join(words[:-1]), words[-1]


def signatures_of_tracing(root: Path) -> dict[str, Signature]:
    """Reads the argument lists of a running kernel's syscall tracepoints."""
    found: dict[str, Signature] = {}
    for directory in sorted((root / "events" / "syscalls").glob("sys_enter_*")):
        fields = re.findall(r"^\tfield:(.+?);\toffset", (directory / "format").read_text(), re.M)
        own = [f for f in fields if "common_" not in f and "__syscall_nr" not in f]
        name = directory.name.removeprefix("sys_enter_")
        found[RENAMED.get(name, name)] = [split_argument(f) for f in own]
    return found


def signatures_of_header(header: Path) -> dict[str, Signature]:
    """Reads the prototypes of ``include/linux/syscalls.h``."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    found: dict[str, Signature] = {}
    for name, arguments in re.findall(r"asmlinkage\s+\w+\s+sys_(\w+)\s*\(([^;]*)\)\s*;", text):
        parts = [" ".join(a.split()) for a in arguments.split(",")]
        found[RENAMED.get(name, name)] = [] if parts == ["void"] else [split_argument(p) for p in parts]
    return found


def numbers(text: str) -> dict[str, int]:
    """Reads ``#define __NR_name number`` lines."""
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)
    return {name: int(value) for name, value in found if name not in ("syscalls", "arch_specific_syscall")}


def generic_numbers(common: Path) -> dict[str, int]:
    """Numbers of aarch64, which uses the generic table with a few wishes of its own."""
    defines = [f"-D__ARCH_WANT_{wish}" for wish in ARM64_WANTS] + ["-D__BITS_PER_LONG=64"]
    header = common / "include/uapi/asm-generic/unistd.h"
    body = re.sub(r"#include.*", "", header.read_text())
    run = subprocess.run(
        ["cc", "-E", "-dM", "-x", "c", *defines, "-"], input=body, text=True, capture_output=True, check=True
    )
    plain = numbers(run.stdout)
    aliases = re.findall(r"^#define __NR_(\w+) (__NR3264_\w+)$", run.stdout, re.M)
    by_alias = dict(re.findall(r"^#define (__NR3264_\w+) (\d+)$", run.stdout, re.M))
    return plain | {name: int(by_alias[alias]) for name, alias in aliases if alias in by_alias}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--common", type=Path, required=True, help="linux-headers-*-common tree")
    parser.add_argument("--arch", type=Path, required=True, help="linux-headers-*-amd64 tree")
    parser.add_argument("--tracing", type=Path, required=True, help="mounted tracefs")
    options = parser.parse_args()
    known = signatures_of_header(options.common / "include/linux/syscalls.h")
    known |= signatures_of_tracing(options.tracing)
    x86 = numbers((options.arch / "arch/x86/include/generated/uapi/asm/unistd_64.h").read_text())
    arm = generic_numbers(options.common)
    lines = ["# name, number on x86_64, number on aarch64, arguments; written by tools/extract_signatures.py"]
    for name in sorted(x86.keys() | arm.keys() | known.keys()):
        if name not in x86 and name not in arm and name not in NEWER:
            continue
        arguments = "; ".join(f"{kind}, {arg}" for kind, arg in known.get(name, [])) if name in known else "?"
        lines.append(f"{name}\t{x86.get(name, '-')}\t{arm.get(name, '-')}\t{arguments}")
    (HERE / "kernel.tsv").write_text("\n".join(lines) + "\n")


NEWER = frozenset(
    {"setxattrat", "getxattrat", "listxattrat", "removexattrat", "open_tree_attr", "file_getattr"}
)
NEWER |= {"file_setattr", "uprobe", "uretprobe"}

if __name__ == "__main__":
    main()
