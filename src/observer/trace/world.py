# SPDX-License-Identifier: Apache-2.0
"""Follows the processes of a trace: their programs, directories and descriptors, and which files were written by whom.

Only what the rules ask about is kept, and the tables are bounded: a trace of any size is followed in the same memory.
"""

from __future__ import annotations

import posixpath
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = ["Descriptor", "Process", "TEMPORARY", "World", "Written", "is_interpreter"]

# Places to look at, not to write. Memory-backed ones come first.
TEMPORARY: Final = ("/dev/shm/", "/run/shm/", "/tmp/", "/var/tmp/")  # noqa: S108
_MOST_WRITTEN: Final = 65_536  # files remembered as written; the oldest are forgotten first
_MOST_DESCRIPTORS: Final = 4_096  # per process
_MOST_NETWORKED: Final = 64  # connected processes that a closer look may be taken at
_MOST_FILLED: Final = 256  # descriptors looked through at a connection
_MOST_GENERATIONS: Final = 64  # ancestors looked at; deeper trees are cut
_INTERPRETER: Final = re.compile(
    r"(?:python|perl|ruby|node|nodejs|php|lua|luajit|tclsh|sh|bash|dash|zsh|ksh|ash)[\d.]*"
)


def is_interpreter(path: str) -> bool:
    """Whether a program of this name runs scripts."""
    return _INTERPRETER.fullmatch(posixpath.basename(path)) is not None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a descriptor stands for.

    Attributes:
        path: The file's path, or empty.
        socket: `stream` or `datagram` for an internet socket, else empty.
        remote: Whether that socket is connected to anything at all.
        channel: Name of the pipe, socket pair or terminal that it is an end of; equal for both ends.
        cloexec: Whether it is closed when another program is executed.
    """

    path: str = ""
    socket: str = ""
    remote: bool = False
    channel: str = ""
    cloexec: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Who wrote a file.

    Attributes:
        program: Name of the program.
        networked: Whether its process was connected to another machine by then.
        record_id: The call that opened or made it.
        life: What its process was running: a number that no other program run has.
        installer: It was, or was started by, a program that installs packages.
        source: The pipe that its standard input came from, if any.
    """

    program: str
    networked: bool
    record_id: str
    life: int = 0
    installer: bool = False
    source: str = ""


@dataclass(slots=True)
class Process:
    """One process as the trace has shown it so far."""

    pid: int
    ppid: int = 0
    exe: str = ""
    file: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    root: str = ""
    uid: int | None = None
    euid: int | None = None
    gid: int | None = None
    egid: int | None = None
    networked: bool = False
    accepted: bool = False
    alive: bool = True
    parent: Process | None = None
    container: str = ""
    last_read: str = ""
    recent: tuple[str, ...] = ()
    files_read: int = 0
    files_written: int = 0
    loaded: bool = False
    names: frozenset[str] = frozenset()
    trusted: bool = True
    installer: bool = False
    fetches: bool = False
    tree: int = 0
    life: int = 0
    rewritten: set[str] = field(default_factory=set)
    files: dict[int, Descriptor] = field(default_factory=dict)

    @property
    def program(self) -> str:
        """The last part of the executable's path."""
        return posixpath.basename(self.exe)

    @property
    def script(self) -> str:
        """The name of the script or module that an interpreter runs, or nothing: `pip` of `python3 -m pip`."""
        if not _INTERPRETER.fullmatch(self.program):
            return ""
        if self.by_first_line:
            return posixpath.basename(self.file)
        words = iter(self.argv[1:])
        for word in words:
            if word == "-m":
                return next(words, "").partition(".")[0]
            if word in ("-c", "-e"):
                return ""
            if not word.startswith("-"):
                return posixpath.basename(word)
        return ""

    @property
    def by_first_line(self) -> bool:
        """Whether an interpreter runs a file that names it in its first line, and was told with the arguments of that file."""
        ran = posixpath.basename(self.file)
        named = bool(self.argv) and posixpath.basename(self.argv[0]) == ran
        return named and not _INTERPRETER.fullmatch(ran) and bool(_INTERPRETER.fullmatch(self.program))

    def ancestors(self) -> Iterator[Process]:
        """Yield the processes that led to this one, nearest first."""
        process, left = self.parent, _MOST_GENERATIONS
        while process is not None and left:
            yield process
            process, left = process.parent, left - 1

    def lineage(self) -> Iterator[Process]:
        """Yield this process and its ancestors."""
        yield self
        yield from self.ancestors()


# Programs that start what has nothing to do with each other.
_TOPS: Final = frozenset({
    "systemd", "init", "sshd", "cron", "crond", "containerd-shim", "containerd-shim-runc-v2", "conmon", "dockerd", "containerd",
    "supervisord", "runsv", "tini", "login",
})  # fmt: skip


class World:
    """The processes of one trace, followed through its lines and calls in order of time."""

    def __init__(self, programs: Mapping[str, frozenset[str]] | None = None) -> None:
        """Begin with no process.

        Args:
            programs: Sets of program names; asked are `installers`, `package_managers` and `remote_login`.
        """
        self._programs = programs or {}
        self.processes: dict[int, Process] = {}
        self.workdir = ""
        self.written: OrderedDict[str, Written] = OrderedDict()
        self.moved: OrderedDict[str, str] = OrderedDict()
        self.derived: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.networked: dict[int, Process] = {}
        self.shells: dict[int, Process] = {}
        self.readers: dict[int, tuple[Process, int]] = {}
        self.ever_networked: list[Process] = []
        self.origins: OrderedDict[str, Written | None] = OrderedDict()
        self.links: OrderedDict[str, str] = OrderedDict()
        self.packed: set[str] = set()
        self.gone: OrderedDict[str, bool] = OrderedDict()
        self.aliases: dict[str, str] = {}
        self.lives_networked: set[int] = set()
        self.channels_networked: set[str] = set()
        self._lives = 0
        self._channels = 0

    def process(self, pid: int) -> Process:
        """Return a process, made on the spot when no line introduced it."""
        return self.processes.setdefault(pid, Process(pid))

    def begin(self, event: Mapping[str, Any]) -> None:
        """Take in a start, which inherits from the parent, or an exec, which replaces the program."""
        pid = int(event["pid"])
        process = self.processes.get(pid)
        if process is None or event.get("what") == "start":
            process = self._born(pid, int(event.get("ppid") or 0))
        exe = event.get("exe") or process.exe
        exe = self.aliases.get(exe, exe)
        if exe in ("/proc/self/exe", "/proc/thread-self/exe"):
            exe = process.exe  # told by the name it was executed by, and it had executed itself
        process.argv = tuple(map(str, event.get("argv") or ())) or process.argv
        process.cwd = event.get("cwd") or process.cwd
        process.exe = self.resolve(process, exe) if "/" in exe else exe
        process.container = str(event.get("container_id") or process.container)
        for name in ("uid", "euid", "gid", "egid"):
            if event.get(name) is not None:
                setattr(process, name, int(event[name]))
        if process.root and process.exe.startswith(f"{process.root}/"):
            process.exe = process.exe[len(process.root) :]
        self.workdir = self.workdir or process.cwd
        self._classify(process)

    def _classify(self, process: Process) -> None:
        """Work out what is asked about a process with each of its calls."""
        self._lives += 1
        process.life = self._lives
        process.names = frozenset({process.program, process.script} - {""})
        process.trusted = self.is_trusted(process)
        named = process.names if process.trusted else frozenset()
        own = bool(named & self._programs.get("installers", frozenset()))
        process.fetches = own or bool(named & self._programs.get("package_managers", frozenset()))
        process.installer = own or (process.parent is not None and process.parent.installer)
        process.tree = process.pid
        for ancestor in process.ancestors():
            if ancestor.program in _TOPS or ancestor.pid <= 1:
                break
            process.tree = ancestor.pid

    def _born(self, pid: int, ppid: int) -> Process:
        parent = self.processes.get(ppid)
        child = Process(pid, ppid)
        if parent is not None and ppid != pid:
            child = replace(parent, pid=pid, ppid=ppid, parent=parent, files=dict(parent.files))
            child.alive, child.rewritten = True, set()
            if any(held.remote for held in child.files.values()):
                self.join_network(child)
            else:
                child.accepted = child.networked = False
            child.recent = ()
            child.last_read, child.files_read, child.files_written = "", 0, 0
        self.processes[pid] = child
        return child

    def join_network(self, process: Process) -> None:
        """Remember that a process is connected to somebody, unless letting people in is what it is for."""
        process.networked = True
        self.lives_networked.add(process.life)
        self.channels_networked |= {process.files.get(number, Descriptor()).channel for number in (1, 2)} - {
            ""
        }
        if not (process.trusted and process.names & self._programs.get("remote_login", frozenset())):
            self.networked[process.pid] = process
            if len(self.ever_networked) < _MOST_NETWORKED:
                self.ever_networked.append(process)

    def replaced(self, process: Process) -> None:
        """Close what another program does not inherit, and ask again whether it is connected."""
        process.files = {number: held for number, held in process.files.items() if not held.cloexec}
        self.networked.pop(process.pid, None)
        if any(held.remote for held in process.files.values()):
            self.join_network(process)
        else:
            process.networked = process.accepted = False

    def end(self, pid: int) -> None:
        """Forget the descriptors of a process that ended; who it was stays known."""
        self.networked.pop(pid, None)
        self.shells.pop(pid, None)
        self.readers.pop(pid, None)
        if pid in self.processes:
            self.processes[pid].files = {}
            self.processes[pid].alive = False

    def fills_from_network(self, process: Process) -> None:
        """A process connects while it holds files open that it has begun to write: what it fetches may go there."""
        if len(process.files) > _MOST_FILLED:
            return
        for held in process.files.values():
            by = self.written.get(held.path)
            if by is not None and by.life == process.life and not by.networked:
                self.written[held.path] = replace(by, networked=True)

    def is_from_outside(self, written: Written) -> bool:
        """Whether what was written came from a connection: the writer's, or that of one that writes into its input."""
        later = written.program in self._programs.get("fetchers", frozenset())
        by_pipe = written.source in self.channels_networked
        return written.networked or by_pipe or (later and written.life in self.lives_networked)

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

    def new_channel(self, kind: str) -> str:
        """Return a name for a pipe or socket pair that nothing else has."""
        self._channels += 1
        return f"{kind}:{self._channels}"

    def note_written(self, path: str, by: Written, *, existed: bool = False) -> None:
        """Remember who wrote a file, and who did so first; `existed`: it was there before anybody here wrote it."""
        self.gone.pop(path, None)
        _remember(self.written, path, by)
        if path not in self.origins:
            _remember(self.origins, path, None if existed else by)

    def note_made(self, path: str, by: Written) -> None:
        """Remember who made something that is no file of its own: a symbolic link."""
        if path not in self.origins:
            _remember(self.origins, path, by)

    def note_moved(self, old: str, new: str) -> None:
        """Remember what a file was called at first, through any number of renamings."""
        self.gone.pop(new, None)
        _remember(self.moved, new, self.moved.pop(old, old))

    def note_gone(self, path: str) -> None:
        """Remember that the program a process runs was removed."""
        _remember(self.gone, path, True)

    def note_link(self, target: str, link: str) -> None:
        """Remember what a link leads to."""
        _remember(self.links, link, target)

    def note_derived(self, source: str, made: str, program: str) -> None:
        """Remember that a process wrote one file after it had read another; a name that tells so is not forgotten."""
        if source != made and not self.derived.get(source, ("", ""))[0].startswith(source):
            _remember(self.derived, source, (made, program))

    def is_trusted(self, process: Process) -> bool:
        """Whether a program's name may be believed: its file was not written here and lies in no temporary or hidden place."""
        exe = process.exe
        hidden = posixpath.basename(exe).startswith(".")
        return bool(exe) and not hidden and not exe.startswith(TEMPORARY) and exe not in self.written


def _remember(table: OrderedDict[str, Any], key: str, value: Any) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > _MOST_WRITTEN:
        table.popitem(last=False)
