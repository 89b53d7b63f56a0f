# SPDX-License-Identifier: Apache-2.0
"""Follows the processes of a trace: their programs, directories and descriptors, and which files were written by whom.

Only what the rules ask about is kept, and the tables are bounded: a trace of any size is followed in the same memory.
"""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = ["Descriptor", "Process", "World", "Written"]

_MOST_WRITTEN: Final = 65_536  # files remembered as written; the oldest are forgotten first
_MOST_DESCRIPTORS: Final = 4_096  # per process


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a descriptor stands for.

    Attributes:
        path: The file's path, or empty.
        socket: `stream` or `datagram` for an internet socket, else empty.
        remote: Whether that socket is connected to anything at all.
    """

    path: str = ""
    socket: str = ""
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Who wrote a file.

    Attributes:
        program: Name of the program.
        networked: Whether its process was connected to another machine by then.
        record_id: The call that opened or made it.
    """

    program: str
    networked: bool
    record_id: str


@dataclass(slots=True)
class Process:
    """One process as the trace has shown it so far."""

    pid: int
    ppid: int = 0
    exe: str = ""
    cwd: str = ""
    uid: int | None = None
    euid: int | None = None
    gid: int | None = None
    egid: int | None = None
    networked: bool = False
    files: dict[int, Descriptor] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """The last part of the executable's path."""
        return posixpath.basename(self.exe)


class World:
    """The processes of one trace, followed through its lines and calls in order of time."""

    def __init__(self) -> None:
        """Begin with no process."""
        self.processes: dict[int, Process] = {}
        self.workdir = ""
        self.written: OrderedDict[str, Written] = OrderedDict()

    def process(self, pid: int) -> Process:
        """Return a process, made on the spot when no line introduced it."""
        return self.processes.setdefault(pid, Process(pid))

    def begin(self, event: Mapping[str, Any]) -> None:
        """Take in a start, which inherits from the parent, or an exec, which replaces the program."""
        pid = int(event["pid"])
        process = self.processes.get(pid)
        if process is None or event.get("what") == "start":
            process = self._born(pid, int(event.get("ppid") or 0))
        process.exe = event.get("exe") or process.exe
        process.cwd = event.get("cwd") or process.cwd
        for name in ("uid", "euid", "gid", "egid"):
            if event.get(name) is not None:
                setattr(process, name, int(event[name]))
        self.workdir = self.workdir or process.cwd

    def _born(self, pid: int, ppid: int) -> Process:
        parent = self.processes.get(ppid)
        child = Process(pid, ppid)
        if parent is not None:
            child = replace(parent, pid=pid, ppid=ppid, files=dict(parent.files))
        self.processes[pid] = child
        return child

    def end(self, pid: int) -> None:
        """Forget the descriptors of a process that ended; who it was stays known."""
        if pid in self.processes:
            self.processes[pid].files = {}

    def resolve(self, process: Process, path: str, directory: str | None = None) -> str:
        """Return the absolute, normal form of a path; relative ones begin at `directory` or the working directory.

        A path whose beginning is not known keeps its relative form.
        """
        if not path or path.startswith(("@", "memfd:")):
            return path
        base = process.cwd
        if directory is not None and directory.isdigit():
            base = process.files.get(int(directory), Descriptor()).path
        full = posixpath.normpath(posixpath.join(base, path))
        return full[1:] if full.startswith("//") else full

    def keep(self, process: Process, number: object, descriptor: Descriptor) -> None:
        """Remember what a descriptor stands for; beyond the bound, new ones are not remembered."""
        if isinstance(number, int) and (number in process.files or len(process.files) < _MOST_DESCRIPTORS):
            process.files[number] = descriptor

    def note_written(self, path: str, by: Written) -> None:
        """Remember who wrote a file."""
        self.written[path] = by
        self.written.move_to_end(path)
        if len(self.written) > _MOST_WRITTEN:
            self.written.popitem(last=False)
