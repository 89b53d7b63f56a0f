# SPDX-License-Identifier: Apache-2.0
"""What the execution of a program amounts to: where its file comes from, who started it, and who operates it."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from observer.trace.process_calls import looks_like_kernel_thread
from observer.trace.reading import SealedLine
from observer.trace.rules import Sight, Words
from observer.trace.sighting import CallSeen, clothe
from observer.trace.socket_calls import feeds, relay_of
from observer.trace.text import unquote
from observer.trace.world import TEMPORARY, Descriptor, Process, World, is_interpreter

__all__ = ["Executions"]

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/[^/]+)/fd/(\d+)")
_LOADER: Final = re.compile(r"ld(?:-linux|-musl)?[-\w.]*\.so(?:\.\d+)*|ld-[\d.]+\.so")
_NEAR: Final = 3  # generations between a server and a shell that it started


class Executions:
    """Follows execve from the call, which names the file, to the line that tells what runs now."""

    def __init__(self, world: World, words: Words) -> None:
        """Take the world that programs are executed in."""
        self._world = world
        self._programs = words.programs
        self._interpreters = words.programs.get("interpreters", frozenset())
        self._executing: dict[int, tuple[str, str]] = {}

    def attempted(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        """Take in the call."""
        if call.values.get("outcome") in ("ok", "no_result"):
            path = call.paths[0] if call.paths else ""
            if call.name == "execveat" and unquote(call.text(1)) == "" and call.text(0).isdigit():
                path = call.process.files.get(int(call.text(0)), Descriptor()).path
            if path:
                self._executing[call.process.pid] = (path, sight.record_id)
        elif call.values.get("errno") == "ENOEXEC" and call.paths:
            # No program and no script by its first line: the shell that tried runs it as a script of its own.
            found = clothe(Sight("exec", sight.record_id, paths=call.paths), call.process)
            found.subjects.update(path=call.paths[0], program=call.paths[0])
            self._add_origin(call.process, call.paths[0], found)
            return (sight, found)
        return (sight,)

    def happened(self, line: SealedLine, pid: int) -> Sight:
        """Take in the line and return what it amounts to."""
        before = replace(self._world.process(pid))
        held = before.files
        self._world.process(pid).file = self._executing.get(pid, ("", ""))[0]
        self._world.begin(line.event)
        process = self._world.process(pid)
        self._world.replaced(process)
        process.loaded, process.last_read, process.recent, process.rewritten = False, "", (), set()
        path, record_id = self._executing.pop(pid, (process.exe, line.record_id))
        path = self._named(self._world.aliases.get(path, path), before, held)
        if "memfd:" in process.exe or process.exe.endswith(" (deleted)"):
            path = process.exe  # the kernel's own word; a descriptor's number may have been used again
        elif _DESCRIPTOR.fullmatch(path):
            path = process.exe or path
        elif _DESCRIPTOR.fullmatch(process.exe):
            process.exe = path
        sight = clothe(Sight("exec", record_id, paths=(path,)), process)
        sight.arguments = {"argv": shlex.join(process.argv), "argv0": process.argv[0] if process.argv else ""}
        sight.subjects.update(path=path, program=process.exe, call=sight.arguments["argv"][:120])
        self._add_origin(process, path, sight)
        self._add_rights(before, process, sight.traits)
        self._add_shell(process, sight.traits)
        packers = self._programs.get("archivers", frozenset()) | self._programs.get(
            "compressors", frozenset()
        )
        if process.names & packers and (channel := process.files.get(1, Descriptor()).channel):
            self._world.packed.add(channel)
        if process.installer:
            sight.traits.add("by-installer")
        if (again := self.operated_until_now(process.ppid, record_id)) is not None:
            sight.traits |= again.traits
            sight.subjects["program"] = again.subjects["program"]
        if looks_like_kernel_thread(sight.arguments["argv0"]) and process.program != sight.arguments["argv0"]:
            sight.traits.add("kernel-name")
        return sight

    def _named(self, path: str, before: Process, held: Mapping[int, Descriptor]) -> str:
        """Return what a path means that leads to the process itself: the program it ran before, or one of its descriptors."""
        if match := _DESCRIPTOR.fullmatch(path):
            path = held.get(int(match.group(1)), Descriptor()).path or path
        elif path in ("/proc/self/exe", "/proc/thread-self/exe", f"/proc/{before.pid}/exe"):
            path = before.exe or path
        return f"{path} (deleted)" if path in self._world.gone else path

    def _add_origin(self, process: Process, path: str, sight: Sight) -> None:
        traits = sight.traits
        for place in self._files(process, path):
            found = self._place(place)
            if place in (path, process.exe) or {"temporary", "outside-workdir"} <= found:
                traits.update(found)
            elif match := _DESCRIPTOR.fullmatch(place):
                held = process.files.get(int(match.group(1)), Descriptor()).path
                traits.update(
                    {"fileless"} if held.startswith("memfd:") or held.endswith(" (deleted)") else ()
                )
            if (written := self._world.written.get(place)) is None:
                continue
            traits.add("written-here")
            sight.paths, sight.subjects["path"] = (place,), place
            traits.update({"downloaded"} if self._world.is_from_outside(written) else ())
            traits.update({"installed"} if written.installer else ())
            # Tools for a target carry its name in front: x86_64-linux-gnu-ld.bfd.
            names = {written.program, written.program.rpartition("-")[2]}
            traits.update({"linked-here"} if names & self._programs["linkers"] else ())
        base = posixpath.basename(path)
        if base.startswith(".") or base.endswith(" ") or "/..." in path:
            traits.add("hidden-file")

    def _files(self, process: Process, path: str) -> list[str]:
        """Return the files that run: the program, and what an interpreter or the dynamic loader was told to run."""
        # An environment's `python` is a link to an installed one; what matters is what runs.
        files = [process.exe if is_interpreter(path) and is_interpreter(process.exe) else path]
        if _LOADER.fullmatch(process.program):
            files += [self._world.resolve(process, word) for word in process.argv[1:] if "/" in word][:1]
        elif process.script and not process.by_first_line:
            named = (word for word in process.argv[1:] if posixpath.basename(word) == process.script)
            files += [self._world.resolve(process, word) for word in named][:1]
        return files

    def _place(self, path: str) -> set[str]:
        traits = set()
        if path.startswith(TEMPORARY):
            traits.add("temporary")
            traits.update({"in-memory-place"} if path.startswith(TEMPORARY[:2]) else ())
        workdir = self._world.workdir
        if not workdir or workdir == "/" or not path.startswith(f"{workdir.rstrip('/')}/"):
            traits.add("outside-workdir")
        if "memfd:" in path or path.endswith(" (deleted)") or _DESCRIPTOR.fullmatch(path):
            traits.add("fileless")
        return traits

    def _add_rights(self, before: Process, process: Process, traits: set[str]) -> None:
        if process.euid != before.euid and process.euid == 0 and before.euid is not None:
            traits.add("privilege-gained")

    def _add_shell(self, process: Process, traits: set[str]) -> None:
        remote = [process.files.get(number, Descriptor()).remote for number in (0, 1, 2)]
        if any(remote):
            traits.add("input-from-socket")
        if sum(remote) > 1:
            traits.add("operated-by-socket")
        self._world.shells.pop(process.pid, None)
        self._add_script(process, traits)
        self._add_server(process, traits)
        if not process.names & self._programs["shells"]:
            return
        traits.add("shell")
        if not process.by_first_line and _is_interactive(process.argv):
            traits.add("interactive")
            self._world.shells[process.pid] = process
            if self._is_operated(process):
                traits.add("relayed")
        self._add_starter(process, traits)

    def _is_operated(self, shell: Process) -> bool:
        connected = list(self._world.networked.values())
        return relay_of(shell, connected, self._world.processes.values()) is not None

    def operated_until_now(self, pid: int, record_id: str) -> Sight | None:
        """Look again at a shell that waits for commands: some end of a relay may have been opened after it had begun to wait."""
        shell = self._world.shells.get(pid)
        if shell is None or not self._is_operated(shell):
            return None
        sight = clothe(Sight("exec", record_id, traits={"shell", "interactive", "relayed"}), shell)
        sight.subjects.update(program=shell.exe, path=shell.exe)
        return sight

    def _add_script(self, process: Process, traits: set[str]) -> None:
        """Tell whether an interpreter takes its script from a pipe that a connected process writes into."""
        self._world.readers.pop(process.pid, None)
        name = process.program.rstrip("0123456789.")
        if name not in self._interpreters or process.by_first_line:
            return
        number = _script_descriptor(process.argv, name in self._programs["shells"])
        if number is None:
            return
        self._world.readers[process.pid] = (process, number)
        if any(feeds(each, process, number) for each in self._world.networked.values()):
            traits.add("script-from-network")

    def _add_server(self, process: Process, traits: set[str]) -> None:
        """Tell whether what serves clients started this program."""
        for ancestor in list(process.ancestors())[:_NEAR]:
            if ancestor.names & self._programs.get("remote_login", frozenset()):
                return
            if ancestor.accepted:
                traits.add("from-server")

    def _add_starter(self, process: Process, traits: set[str]) -> None:
        """Tell whether a shell was started by something that serves or uses the network."""
        for distance, ancestor in enumerate(process.ancestors()):
            if distance >= _NEAR or ancestor.names & self._programs.get("remote_login", frozenset()):
                return
            if distance == 0 and ancestor.networked and not (ancestor.installer or ancestor.fetches):
                traits.add("from-client")


def _is_interactive(argv: Sequence[str]) -> bool:
    """Tell whether a shell takes its commands from its input: it was given neither a command nor a script."""
    for word in argv[1:]:
        if word in ("-i", "--login", "-l", "-s", "--norc", "--noprofile", "-p", "-li", "-il"):
            continue
        return not (word.startswith("-") and "c" in word and not word.startswith("--")) and word.startswith(
            "-"
        )
    return True


def _script_descriptor(argv: Sequence[str], is_shell: bool) -> int | None:
    """Return the descriptor that an interpreter takes its script from; None when it was given a file or code."""
    for word in argv[1:]:
        if match := _DESCRIPTOR.fullmatch(word):
            return int(match.group(1))
        if word in ("-", "-s", "/dev/stdin"):
            return 0
        coded = "c" in word if is_shell else word[:2] in ("-c", "-e", "-m", "-E", "-r", "-p")
        if not word.startswith("-") or coded:
            return None
    return 0
