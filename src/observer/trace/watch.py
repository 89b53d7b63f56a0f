# SPDX-License-Identifier: Apache-2.0
"""Turns calls and lines into sights: what the rules may ask about, with the traits that only the whole story tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from observer.trace.reading import SealedLine
from observer.trace.rules import Sight, Words
from observer.trace.text import parse_address, parse_number, unquote
from observer.trace.world import Descriptor, Process, World, Written

__all__ = ["CallSeen", "Watch"]

_TEMPORARY: Final = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/")  # noqa: S108  places to look at, not to write
_CRASHES: Final = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV", 31: "SIGSYS"}
_PROC: Final = re.compile(r"/proc/(\d+)/")
_UNCHANGED: Final = frozenset({None, -1, 0xFFFFFFFF})  # what setresuid(2) is given for "leave it"
_LOW_TRUST: Final = 0.3  # the least that any default policy asks for
_SHOWN_CALL: Final = 120  # characters of a call in a sentence


@dataclass(frozen=True, slots=True)
class CallSeen:
    """One call as the handlers want it."""

    values: Mapping[str, Any]
    process: Process
    texts: tuple[str, ...]
    paths: tuple[str, ...]

    @property
    def name(self) -> str:
        """The syscall's name."""
        return str(self.values["syscall"])

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.values.get("outcome") == "ok"

    def text(self, index: int) -> str:
        """Return an argument, or nothing when there are fewer."""
        return self.texts[index] if index < len(self.texts) else ""


class Watch:
    """Follows one trace and says what each thing in it amounts to."""

    def __init__(self, words: Words) -> None:
        """Begin before the first line."""
        self.world = World()
        self._words = words
        self._threads: set[int] = set()
        self._executing: dict[int, tuple[str, str]] = {}
        self._handlers: dict[str, Callable[[CallSeen, Sight], Sequence[Sight]]] = {
            "open": self._open,
            "unlink": self._unlink,
            "rename": self._rename,
            "link": self._link,
            "truncate": self._truncate,
            "execute": self._execute,
            "socket": self._socket,
            "connect": self._connect,
            "bind": self._connect,
            "accept": self._accept,
            "duplicate": self._duplicate,
            "enter_directory": self._enter_directory,
            "set_user": self._set_user,
            "namespace": self._namespace,
            "signal": self._signal,
            "clock": self._clock,
        }

    # Lines -----------------------------------------------------------------------------------------------------------

    def see_line(self, line: SealedLine) -> Sight | None:
        """Take in a sealed line; return what it amounts to, or None when no rule could ask about it."""
        event = line.event
        kind = event.get("type")
        if kind == "process":
            return self._see_process(line)
        if kind == "event":
            sight = Sight("event", line.record_id)
            if event.get("severity") in ("error", "critical"):
                sight.traits.add("bad")
            sight.subjects["text"] = f"{event.get('event_type')} ({event.get('severity')})"
            return sight
        if kind == "loss":
            words = f"{event.get('count', '?')} {event.get('what', 'records')}: {event.get('reason', 'no reason given')}"
            return Sight("loss", line.record_id, subjects={"text": words})
        return None

    def _see_process(self, line: SealedLine) -> Sight | None:
        event, what = line.event, line.event.get("what")
        pid = int(event.get("pid") or 0)
        self._threads.add(int(event.get("tid") or pid))
        if what == "start":
            self.world.begin(event)
        elif what == "exec":
            return self._exec(line, pid)
        elif what == "exit":
            return self._exit(line, pid)
        return None

    def _exec(self, line: SealedLine, pid: int) -> Sight:
        before = replace(self.world.process(pid))
        self.world.begin(line.event)
        process = self.world.process(pid)
        path, record_id = self._executing.pop(pid, (process.exe, line.record_id))
        if "memfd:" in process.exe or process.exe.endswith(" (deleted)"):
            path = process.exe  # the kernel's own word; a descriptor's number may have been used again
        sight = Sight("exec", record_id, paths=(path,), program=process.program)
        sight.subjects.update(path=path, program=process.exe)
        traits = sight.traits
        traits.update(self._place(path))
        if process.program in self._words.programs["shells"]:
            traits.add("shell")
        if any(process.files.get(number, Descriptor()).remote for number in (0, 1, 2)):
            traits.add("input-from-socket")
        if process.euid != before.euid and process.euid == 0 and before.euid is not None:
            traits.add("privilege-gained")
        if (written := self.world.written.get(path)) is not None:
            traits.add("written-here")
            traits.update({"downloaded"} if written.networked else ())
            # Tools for a target carry its name in front: x86_64-linux-gnu-ld.bfd.
            names = {written.program, written.program.rpartition("-")[2]}
            traits.update({"linked-here"} if names & self._words.programs["linkers"] else ())
        return sight

    def _place(self, path: str) -> set[str]:
        traits = set()
        if path.startswith(_TEMPORARY):
            traits.add("temporary")
        workdir = self.world.workdir
        if not workdir or workdir == "/" or not path.startswith(f"{workdir.rstrip('/')}/"):
            traits.add("outside-workdir")
        if "memfd:" in path or path.endswith(" (deleted)") or re.match(r"/(?:dev|proc/[^/]+)/fd/\d+$", path):
            traits.add("fileless")
        return traits

    def _exit(self, line: SealedLine, pid: int) -> Sight | None:
        process, signal = self.world.process(pid), line.event.get("signal")
        self.world.end(pid)
        if signal not in _CRASHES:
            return None
        text = f"{process.exe or pid} ({_CRASHES[signal]})"
        return Sight(
            "exit", line.record_id, program=process.program, traits={"crash"}, subjects={"text": text}
        )

    # Calls -----------------------------------------------------------------------------------------------------------

    def see_call(self, values: Mapping[str, Any]) -> Sequence[Sight]:
        """Take in a call; return what it amounts to, at most two sights."""
        arguments = values.get("args") or ()
        texts = tuple(str(item["text"]) if isinstance(item, Mapping) else str(item) for item in arguments)
        process = self.world.process(int(values.get("pid") or 0))
        call = CallSeen(values, process, texts, self._paths(process, arguments, texts))
        action = self._words.actions.get(call.name, "")
        sight = Sight("call", f"s{values['record']}", action, str(values.get("outcome")), values.get("errno"))
        sight.paths, sight.program = call.paths, process.program
        names = [str(item.get("name", "")) for item in arguments if isinstance(item, Mapping)]
        sight.arguments = dict(zip(names or map(str, range(len(texts))), texts, strict=False))
        sight.subjects.update(call=_shown(call), program=process.exe or process.program)
        self._note_decision(values, sight)
        handler = self._handlers.get(action)
        return (sight,) if handler is None else handler(call, sight)

    def _paths(self, process: Process, arguments: Sequence[Any], texts: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for index, item in enumerate(arguments):
            if not isinstance(item, Mapping):
                if index == 0 and "/" in texts[0]:
                    found.append(self.world.resolve(process, texts[0]))
            elif item.get("class") == "path" and texts[index].startswith('"'):
                before = texts[index - 1] if index and not texts[index - 1].startswith('"') else None
                found.append(self.world.resolve(process, unquote(texts[index]), before))
        return tuple(found)

    @staticmethod
    def _note_decision(values: Mapping[str, Any], sight: Sight) -> None:
        if "allowed" not in values:
            return
        sight.traits.add("decided" if values["allowed"] else "forbidden")
        score, trust = values.get("trust_score"), (values.get("identity") or {}).get("trust")
        if score is not None and score < _LOW_TRUST:
            sight.traits.add("low-trust")
        if trust == "compromised":
            sight.traits.add("compromised")
        if values.get("violation_action") == "quarantine" or values.get("result") == "QUARANTINED":
            sight.traits.add("quarantined")

    def _wrote(self, call: CallSeen, sight: Sight, path: str) -> None:
        by = Written(call.process.program, call.process.networked, sight.record_id)
        self.world.note_written(path, by)

    def _open(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        reads, writes, truncates = _access(call)
        sight.traits.update(
            name for name, on in (("reads", reads), ("writes", writes), ("removes", truncates)) if on
        )
        for path in call.paths:
            if (match := _PROC.match(path)) and int(match.group(1)) != call.process.pid:
                sight.traits.add("other-process")
            if call.ok:
                self.world.keep(call.process, call.values.get("result"), Descriptor(path))
                if writes:
                    self._wrote(call, sight, path)
        return (sight,)

    def _unlink(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        sight.traits.add("removes")
        if call.process.exe and call.process.exe in call.paths:
            sight.traits.add("own-executable")
        return (sight,)

    def _two_paths(self, call: CallSeen, sight: Sight, *, moves: bool) -> Sequence[Sight]:
        if len(call.paths) != 2:
            return (sight,)
        old, new = call.paths
        if call.ok:
            by = self.world.written.get(old)
            self.world.written.pop(old if moves else "", None)
            if by is not None:
                self.world.note_written(new, by)
        gone = replace(sight, paths=(old,), traits=sight.traits | ({"removes"} if moves else set()))
        return (gone, replace(sight, paths=(new,), traits=sight.traits | {"writes"}))

    def _rename(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        return self._two_paths(call, sight, moves=True)

    def _link(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        return self._two_paths(call, sight, moves=False)

    def _truncate(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.text(1) == "0":
            sight.traits.add("removes")
        if not sight.paths and call.text(0).isdigit():
            path = call.process.files.get(int(call.text(0)), Descriptor()).path
            sight.paths = (path,) if path else ()
        return (sight,)

    def _execute(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.values.get("outcome") in ("ok", "no_result"):
            path = call.paths[0] if call.paths else ""
            if call.name == "execveat" and unquote(call.text(1)) == "" and call.text(0).isdigit():
                path = call.process.files.get(int(call.text(0)), Descriptor()).path
            if path:
                self._executing[call.process.pid] = (path, sight.record_id)
        return (sight,)

    def _socket(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok and call.text(0) in ("AF_INET", "AF_INET6", "PF_INET", "PF_INET6"):
            kind = "stream" if "SOCK_STREAM" in call.text(1) else "datagram"
            self.world.keep(call.process, call.values.get("result"), Descriptor(socket=kind))
        return (sight,)

    def _connect(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        addresses = filter(None, map(parse_address, call.texts))
        address = next(addresses, None)
        if address is None:
            return (sight,)
        if call.values.get("errno") == "EINPROGRESS":
            sight.outcome = "ok"
        sight.subjects["address"] = address.text
        sight.paths = (address.path,) if address.path else ()
        number = parse_number(call.text(0))
        socket = call.process.files.get(-1 if number is None else number, Descriptor())
        stream = socket.socket == "stream" or number is None
        outside = address.scope == "external" or (address.scope == "any" and sight.action == "bind")
        sight.traits.add("external" if outside else "loopback" if address.scope != "unix" else "unix")
        sight.traits.update({"stream"} if stream else ())
        if sight.action == "connect" and sight.outcome == "ok" and address.scope != "unix":
            self.world.keep(call.process, number, replace(socket, remote=stream))
            call.process.networked = call.process.networked or (outside and stream)
        return (sight,)

    def _accept(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        number = parse_number(call.text(0))
        listener = call.process.files.get(-1 if number is None else number, Descriptor())
        if call.ok and listener.socket:
            self.world.keep(call.process, call.values.get("result"), replace(listener, remote=True))
        return (sight,)

    def _duplicate(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        number = parse_number(call.text(0))
        if call.ok and number is not None:
            self.world.keep(
                call.process, call.values.get("result"), call.process.files.get(number, Descriptor())
            )
        return (sight,)

    def _enter_directory(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok:
            number = parse_number(call.text(0))
            held = call.process.files.get(-1 if number is None else number, Descriptor()).path
            call.process.cwd = (call.paths[0] if call.paths else held) or call.process.cwd
        return (sight,)

    def _set_user(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        group = "gid" in call.name
        known = {call.process.gid, call.process.egid} if group else {call.process.uid, call.process.euid}
        wanted = {
            number for text in call.texts if (number := parse_number(text)) not in (None, -1, 0xFFFFFFFF)
        }
        if wanted - known:
            sight.traits.add("other-user")
        if call.ok and not group and not call.name.startswith("setfs"):
            real, effective = (
                parse_number(call.text(0)),
                parse_number(call.text(1 if len(call.texts) > 1 else 0)),
            )
            call.process.uid = call.process.uid if real in _UNCHANGED else real
            call.process.euid = call.process.euid if effective in _UNCHANGED else effective
        return (sight,)

    def _namespace(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.name in ("setns", "ns_enter") or any("CLONE_NEW" in text for text in call.texts):
            sight.traits.add("namespace")
        return (sight,)

    def _signal(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        target = parse_number(call.text(0))
        pid = None if target is None or call.name == "pidfd_send_signal" else abs(target)
        known = pid in self.world.processes or pid in self._threads
        if pid is not None and pid != 0 and not known and call.texts[-1] != "0":
            sight.traits.add("outside-tree")
        return (sight,)

    def _clock(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if "settime" in call.name or not any("modes=0" in text for text in call.texts):
            sight.traits.add("sets-clock")
        return (sight,)


def _shown(call: CallSeen) -> str:
    errno = call.values.get("errno")
    text = f"{call.name}({', '.join(call.texts)})"
    if len(text) > _SHOWN_CALL:
        text = f"{text[:_SHOWN_CALL]}…)"
    return f"{text} = {errno}" if errno else text


def _access(call: CallSeen) -> tuple[bool, bool, bool]:
    """Return whether an open reads, writes, and empties the file."""
    words = " ".join(call.texts[1:])
    if "O_" in words or call.name in ("creat", "open", "openat", "openat2"):
        writes = "O_WRONLY" in words or "O_RDWR" in words or call.name == "creat"
        reads = not (
            "O_WRONLY" in words or "O_PATH" in words or "O_DIRECTORY" in words or call.name == "creat"
        )
        return reads, writes, writes and ("O_TRUNC" in words or call.name == "creat")
    mode = call.text(1).strip().lower()
    writes = "write" in call.name or any(letter in mode for letter in "wax+")
    reads = "write" not in call.name and (not writes or "r" in mode or "+" in mode)
    return reads, writes, mode.startswith("w")
