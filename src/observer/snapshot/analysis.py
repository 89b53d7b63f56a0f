# SPDX-License-Identifier: Apache-2.0
"""A snapshot for looking at: memory, strings, maps, threads, cores for debuggers. It never touches a live process."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer.errors import IntegrityError, NotFoundError
from observer.snapshot.file import Region, SnapshotFile
from observer.snapshot.image import ProcessImage
from observer.snapshot.symbols import SymbolTable, read_symbols

__all__ = ["Analysis", "FoundString", "ThreadState"]

_STEP: Final = 1 << 20  # bytes read at a time
_LARGEST_FILE: Final = 1 << 44
_OVERLAP: Final = 4096  # a string that crosses a step is still found whole up to this length
# user_regs_struct of x86-64, in the kernel's order. Source: asm/user_64.h.
_NAMES: Final = """r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax
rip cs eflags rsp ss fs_base gs_base ds es fs gs"""
_X86_64: Final = _NAMES.split()
# user_pt_regs of AArch64. Source: asm/ptrace.h.
_AARCH64: Final = [*(f"x{number}" for number in range(31)), "sp", "pc", "pstate"]
_SETS: Final = {8 * len(_X86_64): _X86_64, 8 * len(_AARCH64): _AARCH64}


@dataclass(frozen=True, slots=True)
class FoundString:
    """A string in memory.

    Attributes:
        pid: The process.
        address: Where it begins.
        text: Its printable bytes.
    """

    pid: int
    address: int
    text: str


@dataclass(frozen=True, slots=True)
class ThreadState:
    """A thread as it stood.

    Attributes:
        pid: Its process.
        tid: Its id.
        name: Its name.
        registers: General registers by name.
    """

    pid: int
    tid: int
    name: str
    registers: Mapping[str, int]

    @property
    def program_counter(self) -> int:
        """Where it stood."""
        return self.registers.get("rip", self.registers.get("pc", 0))


class Analysis:
    """A snapshot's processes, to be read.

    Attributes:
        file: The snapshot.
    """

    def __init__(self, file: SnapshotFile) -> None:
        """Look at a snapshot."""
        self.file = file
        self._symbols: dict[int, SymbolTable] = {}

    @property
    def processes(self) -> list[int]:
        """Ids of its processes."""
        return [process["pid"] for process in self.file.manifest["processes"]]

    def maps(self, pid: int | None = None) -> list[Region]:
        """Return regions by address, of one process or of the only one."""
        return list(self.file.regions(self._pid(pid)))

    def read(self, address: int, length: int, *, pid: int | None = None) -> bytes:
        """Return memory; errors as of `SnapshotFile.read`."""
        return self.file.read(self._pid(pid), address, length)

    def threads(self, pid: int | None = None) -> list[ThreadState]:
        """Return the threads of one process, or of all, with their registers."""
        out = []
        for process in self.file.manifest["processes"]:
            if pid is None or process["pid"] == pid:
                out += [self._thread(process["pid"], tid) for tid in process["threads"]]
        return out

    def _thread(self, pid: int, tid: int) -> ThreadState:
        raw = self.file.component("registers", "prstatus", pid=pid, tid=tid) or b""
        names = _SETS.get(len(raw), [])
        facts = json.loads(self.file.component("thread", "facts", pid=pid, tid=tid) or b"{}")
        values = struct.unpack(f"<{len(names)}Q", raw) if names else ()
        return ThreadState(pid, tid, str(facts.get("comm", "")), dict(zip(names, values, strict=True)))

    def pieces(self, region: Region, overlap: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield address and bytes of a region, a part at a time; parts that are not there are left out."""
        if region.policy in ("hash", "excluded"):
            return
        if region.facts["unlisted"] != 0 and region.size > _LARGEST_FILE:
            return  # no file is that large: a snapshot of a stranger says so
        nodes = region.facts["nodes"]
        if region.facts["unlisted"] == 0:  # the rest was never touched: only zeros
            spans = [(index << 22, (index + 1) << 22) for index, *_ in nodes]
        else:
            spans = [(region.address, region.address + region.size)]
        for start, end in spans:
            first, last = max(start, region.address), min(end, region.address + region.size)
            for at in range(first, last, _STEP):
                length = min(_STEP + overlap, last - at)
                try:
                    yield at, self.file.read(region.pid, at, length)
                except IntegrityError:
                    continue  # `observer snapshot verify` tells which; a search goes on with what holds

    def strings(
        self, *, pid: int | None = None, shortest: int = 6, pattern: str = ""
    ) -> Iterator[FoundString]:
        """Yield printable ASCII strings, by process and address.

        Args:
            pid: Of one process only.
            shortest: Characters.
            pattern: A regular expression that they must contain.
        """
        wanted = re.compile(pattern)
        printable = re.compile(rb"[\x20-\x7e\t]{%d,}" % max(1, shortest))
        for region in self.file.regions(pid):
            behind = 0
            for at, data in self.pieces(region, _OVERLAP):
                for match in printable.finditer(data):
                    address = at + match.start()
                    if address < behind or match.start() >= _STEP:
                        continue
                    behind = at + match.end()
                    text = match.group().decode("ascii")
                    if wanted.search(text):
                        yield FoundString(region.pid, address, text)

    def find(self, needle: bytes, *, pid: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield process and address of each place where these bytes are."""
        for region in self.file.regions(pid):
            for at, data in self.pieces(region, len(needle) - 1):
                found = data.find(needle)
                while 0 <= found < _STEP:
                    yield region.pid, at + found
                    found = data.find(needle, found + 1)

    def write_core(self, path: Path, *, pid: int | None = None) -> Mapping[str, Any]:
        """Write a process as an ELF core and return counts of what is in it.

        Raises:
            CaptureError: The file exists or cannot be written. [OBS300]
        """
        report: dict[str, Any] = json.loads(self.file.reader.write_core(self._pid(pid), str(path)))
        return report

    def recreate(self, *, pid: int | None = None) -> ProcessImage:
        """Re-create a process, stopped and cut off, for debuggers that attach; it ends with what is returned.

        Raises:
            UsageError: This machine cannot: no namespaces, another processor. [OBS100]
        """
        return ProcessImage(self.file.reader.recreate(self._pid(pid)))

    def symbols(self, *, pid: int | None = None) -> SymbolTable:
        """Return the symbols of the files that a process had mapped, as far as the same files are here."""
        wanted = self._pid(pid)
        if wanted not in self._symbols:
            process = next(each for each in self.file.manifest["processes"] if each["pid"] == wanted)
            self._symbols[wanted] = read_symbols(self.file.manifest, process)
        return self._symbols[wanted]

    def _pid(self, pid: int | None) -> int:
        known = self.processes
        if pid is None and len(known) == 1:
            return known[0]
        if pid not in known:
            names = ", ".join(map(str, known[:8]))
            asked = "which process" if pid is None else f"no process {pid} in the snapshot"
            raise NotFoundError(asked, hint=f"one of {names}")
        return pid
