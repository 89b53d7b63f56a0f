# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a recorded command at any moment of its past: it is replayed up to there, and the replay's memory is kept.

The recording is not written to, and the replay runs cut off from the world. What memory held is exact; descriptors are as the
recorded calls tell. State of the machine at that time was not recorded and is not made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.errors import CapabilityError, NotFoundError, UsageError
from observer.snapshot.auxiliary import interpreter_of, start_of_program
from observer.snapshot.history import History, follow_recording
from observer.snapshot.targets import Target
from observer.trace.reading import Recording

__all__ = ["Moment", "moment_of", "recording_target"]

_PAGE: Final = 4096
_STUB: Final = (
    0x6FFF_F000_0000,
    0x6FFF_F000_2000,
)  # the engine's own pages. Source: rust/observer-replay/src/engine/stub.rs
_FXSAVE: Final = 512  # NT_FPREGSET is the beginning of the extended state
_SOURCES: Final = ("ptrace",)


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in a recording.

    Attributes:
        event: After so many events.
        time_ns: At this time of the recording's CLOCK_MONOTONIC, ns; used when `event` is None.
    """

    event: int | None
    time_ns: int = 0


def moment_of(recording: Recording, at: int | timedelta | datetime) -> Moment:
    """Return the place that a caller names: a number of events, a time after the start, or a time of day.

    Raises:
        UsageError: It lies before the start. [OBS100]
    """
    if isinstance(at, int):
        if at < 0:
            raise UsageError(f"a recording has no event {at}", hint="count from 0")
        return Moment(at)
    start = recording.start
    if isinstance(at, datetime):
        whole = int(at.replace(microsecond=0).timestamp())
        after = whole * 1_000_000_000 + at.microsecond * 1000 - start.wall_ns
    else:
        after = at // timedelta(microseconds=1) * 1000
    if after < 0:
        raise UsageError(f"{at} is before the recording began", hint="'observer show REC' tells when it did")
    return Moment(None, start.monotonic_ns + after)


def recording_target(path: Path, at: int | timedelta | datetime) -> Target:
    """Return a recorded command at a moment as something to take a snapshot of.

    Raises:
        CapabilityError: It was not recorded for replay, or this machine cannot replay it. [OBS200]
        NotFoundError: The command had ended by then. [OBS700]
        DesyncError: The replay differs from the recording before that place. [OBS601]
    """
    recording = Recording(path)
    if recording.start.source not in _SOURCES:
        raise CapabilityError(
            "only a recorded command has memory to go back to",
            hint="record it with 'observer record --replayable'; for a plugin see 'observer plugin snapshot'",
        )
    replay = _Replay(recording)
    status = replay.go_to(moment_of(recording, at))
    history = follow_recording(recording, status["time_ns"])
    bodies = list(replay.bodies(history))
    if not bodies:
        raise NotFoundError(
            f"the command runs no program after {status['position']} events",
            hint=f"it ends with event {status['position']}; choose an earlier place, or one after its start",
        )
    start = recording.start
    facts = {
        "kind": "recording",
        "trace_id": str(start.trace_id),
        "recording": str(path),
        "event": status["position"],
        "time_ns": status["time_ns"],
        "after_start_ns": status["time_ns"] - start.monotonic_ns,
    }
    wall_ns = start.wall_ns + status["time_ns"] - start.monotonic_ns
    return Target(
        pids=(),
        descendants=False,
        container_id=start.container_id,
        facts=facts,
        bodies=tuple(bodies),
        hidden=(_STUB,),
        instant=(wall_ns, max(status["time_ns"], 0), start.boot_id),
        held_by=replay,
    )


class _Replay:
    """A replay that stands at a place; its processes end with it."""

    def __init__(self, recording: Recording) -> None:
        self._path = recording.path
        self._session = _native.ReplaySession(recording.path, b'{"output":false}')
        self._starts: dict[int, Mapping[str, bytes]] = {}

    def go_to(self, moment: Moment) -> dict[str, Any]:
        """Replay up to a place; on the way look at each program's beginning, where its arguments lie as the kernel put them."""
        for event in _programs(self._path, moment):
            self._session.run_to(event["n"] + 1)
            self._starts[event["task"]] = start_of_program(self._session, event["task"])
        if moment.event is None:
            return _object(self._session.run_to_time(moment.time_ns))
        return _object(self._session.run_to(moment.event))

    def bodies(self, history: History) -> Iterator[dict[str, Any]]:
        """Yield the processes as the native core takes them."""
        processes: dict[int, list[dict[str, Any]]] = {}
        for task in json.loads(self._session.tasks()):
            pid = int(task["pid"]) or history.first
            processes.setdefault(pid, []).append(task | {"tid": int(task["tid"]) or pid})
        for pid, tasks in sorted(processes.items()):
            tasks.sort(key=lambda task: (task["tid"] != pid, task["tid"]))
            yield self._body(pid, tasks, history)

    def _body(self, pid: int, tasks: list[dict[str, Any]], history: History) -> dict[str, Any]:
        leader = tasks[0]
        exe = str(leader["exe"])
        parts = [part for task in tasks for part in self._thread_parts(task)]
        start = self._start_of(leader, history, pid)
        parts += [_part("process", name, content) for name, content in start.items() if content]
        for number, facts in history.descriptors(pid).items():
            part = _part("descriptor", str(number), json.dumps(facts).encode())
            parts.append(part | {"path": facts["path"]})
        regions = list(_mappings(int(leader["real_pid"])))
        stack = int(json.loads(self._session.registers(leader["task"]))["rsp"])
        return {
            "pid": pid,
            "ppid": history.parents.get(pid, 0),
            "real": leader["real_pid"],
            "comm": exe.rpartition("/")[2][:15],
            "exe": exe,
            "threads": [task["tid"] for task in tasks],
            "names": _names(regions, exe, history.mapped, history.heaps.get(pid), stack),
            "parts": parts,
        }

    def _start_of(self, leader: Mapping[str, Any], history: History, pid: int) -> Mapping[str, bytes]:
        """Return what its program began with; a fork's is that of its parent."""
        tasks = {int(task["task"]): task for task in json.loads(self._session.tasks())}
        task, seen = int(leader["task"]), set[int]()
        while task not in self._starts and task not in seen:
            seen.add(task)
            task = int(tasks.get(task, {}).get("parent", 0))
        known = dict(self._starts.get(task, {}))
        return known | {
            "exe": str(leader["exe"]).encode(),
            "cwd": history.watch.world.process(pid).cwd.encode(),
        }

    def _thread_parts(self, task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        general, extended = self._session.register_sets(task["task"])
        tid = int(task["tid"])
        for name, content in (
            ("prstatus", general),
            ("fpregset", extended[:_FXSAVE]),
            ("xstate", extended),
        ):
            if content:
                yield _part("registers", name, content, tid)
        facts = {"comm": "", "syscall": str(task["nr"]) if task["in_call"] else "running"}
        yield _part("thread", "facts", json.dumps(facts).encode(), tid)


def _object(text: bytes) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(text)
    return values


def _part(kind: str, name: str, content: bytes, tid: int = 0) -> dict[str, Any]:
    return {"kind": kind, "name": name, "tid": tid, "hex": content.hex()}


def _programs(path: Path, moment: Moment) -> Iterator[dict[str, Any]]:
    """Yield the events before a place in which a program begins."""
    events = _native.ReplayEvents(path)
    while page := events.read(_PAGE):
        for event in map(json.loads, page.splitlines()):
            if event["n"] >= moment.event if moment.event is not None else event["time_ns"] > moment.time_ns:
                return
            if event["kind"] == "exec":
                yield event


def _mappings(pid: int) -> Iterator[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
        words = line.split(maxsplit=5)
        start, end = (int(word, 16) for word in words[0].split("-"))
        yield start, end, words[5] if len(words) > 5 else ""


def _names(
    regions: list[tuple[int, int, str]], exe: str, mapped: Mapping[int, str], heap: int | None, stack: int
) -> list[tuple[int, int, str]]:
    """Return the names that the mappings had: in a replay, those of files are named for the recording's own copies."""
    paths: dict[str, str] = {}
    for start, _, name in regions:
        if name.startswith("/") and start in mapped:
            paths[name] = mapped[start]
    for _, _, name in regions:
        if name.startswith("/") and name not in paths and (loader := interpreter_of(Path(name))) is not None:
            paths[name] = exe
            rest = [other for _, _, other in regions if other.startswith("/") and other not in paths]
            paths.update(dict.fromkeys((other for other in rest if "/blobs/" in other), loader))
            break
    out = [(start, end, paths[name]) for start, end, name in regions if name in paths]
    out += [(start, end, "[heap]") for start, end, name in regions if not name and start == heap]
    out += [(start, end, "[stack]") for start, end, name in regions if not name and start <= stack < end]
    return out
