# SPDX-License-Identifier: Apache-2.0
"""Replays a recorded command under breakpoints: tells, pauses, changes or ends where a call's name and condition hold.

Where a breakpoint holds is known from the recording before anything runs; the replay then goes there and stops at the entry
of the call. Changing a call makes the replay a what-if run: it goes on as long as the program does what was recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.errors import DesyncError, UsageError
from observer.forensic.engines import Watcher
from observer.forensic.events import ReplayCall, aliases_of, replay_calls
from observer.forensic.limits import native_options
from observer.model.comparison import (
    DifferenceKind,
    Divergence,
    OutcomeDifference,
    ReplayComparison,
    SyscallDifference,
)
from observer.model.condition import Condition
from observer.model.forensic import Breakpoint, ReplayEnvironment

__all__ = ["CommandReport", "DebuggedReplay", "Inspection"]

_MOST_LOGGED: Final = 10_000
_EVENTS: Final = 1 << 16
_SLICE_S: Final = 0.05
_RED_ZONE: Final = 8192  # text that a breakpoint puts into memory lies this far below the stack pointer
_NUMBER: Final = re.compile(r"-?(?:0x[0-9a-fA-F]+|\d+)")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a paused replay looks like.

    Attributes:
        event: Events replayed so far.
        time_ns: CLOCK_MONOTONIC of the recording, ns.
        thread: Thread id as recorded.
        call: The call that is about to be made, as text; None elsewhere.
        registers: By name, unsigned.
        maps: Mappings: start, end, prot (PROT_ bits), shared, offset, name where known.
        stack: Bytes at the stack pointer.
    """

    event: int
    time_ns: int
    thread: int
    call: str | None
    registers: Mapping[str, int]
    maps: Sequence[Mapping[str, Any]]
    stack: bytes

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; the stack in hexadecimal."""
        values = {name: getattr(self, name) for name in type(self).__slots__}
        return values | {
            "maps": list(self.maps),
            "registers": dict(self.registers),
            "stack": self.stack.hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReport:
    """How a replay under breakpoints came out.

    Attributes:
        status: `completed`, `diverged`, `stopped` or `aborted`.
        comparison: How it compares with the recording.
        log: What breakpoints saw, one line each.
        modified: Whether a breakpoint changed something: a what-if run, no proof of anything.
        events: Events replayed.
        inspection: Where it stopped; None when it ran to its end.
        ended: `exit_code` and `signal` of the command as replayed.
        written: Bytes written to standard output and to standard error.
    """

    status: str
    comparison: ReplayComparison
    log: tuple[str, ...]
    modified: bool
    events: int
    inspection: Inspection | None
    ended: Mapping[str, Any]
    written: tuple[int, int]


@dataclass(slots=True)
class DebuggedReplay:
    """One replay of one recorded command.

    Attributes:
        path: The recording.
        environment: What it is given.
        output: Write what the program writes to this process's own standard output and error.
        watcher: Told of pauses and asked whether to go on; without one, a breakpoint that pauses ends the replay there.
        to_event: Stop when so many events were replayed.
        to_ns: Stop at this time of the recording, ns after its first event.
    """

    path: Path
    environment: ReplayEnvironment = field(default_factory=ReplayEnvironment)
    output: bool = False
    watcher: Watcher | None = None
    to_event: int | None = None
    to_ns: int | None = None
    log: list[str] = field(default_factory=list)
    _session: Any = None

    def __post_init__(self) -> None:
        if self.environment.simulated_inputs:
            raise UsageError(
                "a recorded command takes no simulated inputs: every byte it read comes from the recording",
                hint="use a breakpoint that modifies the call that reads it",
            )

    def run(self) -> CommandReport:
        """Replay to the end, the wanted place, or the first difference.

        Raises:
            CapabilityError: The recording holds nothing to replay, or this machine cannot replay it. [OBS200]
            FormatError: The recording is damaged. [OBS500]
            ReplayError: A limit was reached. [OBS600]
        """
        options = native_options(self.environment, output=self.output)
        self._session = _native.ReplaySession(self.path, json.dumps(options).encode())
        status, divergence = "completed", None
        met: ReplayCall | None = None
        try:
            for place, met in self._met():
                self._go_to(met.event)
                if self._act(place, met):
                    status = "aborted"
                    break
            else:
                met = None
                if self.to_event is not None or self.to_ns is not None:
                    status = self._go_to_place()
                else:
                    self._go_to(None)
        except DesyncError as error:
            status, divergence = "diverged", error
        return self._report(status, divergence, met)

    def _met(self) -> Iterator[tuple[Breakpoint, ReplayCall]]:
        """The breakpoints that hold, in the order of the replay and no further than wanted."""
        armed = [
            (place, aliases_of(place.syscall), Condition.parse(place.condition) if place.condition else None)
            for place in self.environment.breakpoints
        ]
        if not armed:
            return
        for call in replay_calls(self.path):
            if self.to_event is not None and call.event >= self.to_event:
                return
            if self.to_ns is not None and call.call["start_ns"] - call.start_ns > self.to_ns:
                return
            facts = call.facts()
            for place, names, condition in armed:
                if place.syscall != "*" and facts["syscall"] not in names:
                    continue
                if condition is None or condition.holds(facts, call.arguments(place.syscall)):
                    yield place, call

    def _go_to(self, event: int | None) -> dict[str, Any]:
        """Replay up to an event, or to the end."""
        status = self._status()
        while not status["finished"] and (event is None or status["position"] < event):
            wanted = _EVENTS if event is None else min(_EVENTS, event - status["position"])
            status = json.loads(self._session.run(wanted, _SLICE_S))
            if self.watcher is not None:
                self.watcher.look()
        return status

    def _go_to_place(self) -> str:
        if self.to_event is not None:
            status = self._go_to(self.to_event)
        else:
            first = json.loads(_native.ReplayEvents(self.path).read(1) or b'{"time_ns":0}')["time_ns"]
            status = json.loads(self._session.run_to_time(first + (self.to_ns or 0)))
        return "completed" if status["finished"] else "stopped"

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._session.status())
        return status

    def _act(self, place: Breakpoint, call: ReplayCall) -> bool:
        """Do what a breakpoint wants at a call; true when it ends the replay."""
        kind = place.action.kind
        if len(self.log) < _MOST_LOGGED:
            self.log.append(f"{kind}: {call.line}")
        if kind == "pause":
            self._session.advance()
            if self.watcher is None:
                return True
            self.watcher.pause(call.line, self.inspect(call).to_dict())
        if kind == "modify":
            self._session.advance()
            self._modify(call, place.action.changes)
        return kind == "abort"

    def _modify(self, call: ReplayCall, changes: Mapping[str, str]) -> None:
        registers = json.loads(self._session.registers(call.task))
        args = [registers[name] for name in ("rdi", "rsi", "rdx", "r10", "r8", "r9")]
        for key, value in changes.items():
            if key in ("result", "data"):
                continue
            number = int(key.strip("args[]"))
            if _NUMBER.fullmatch(value):
                args[number] = int(value, 0) & (1 << 64) - 1
            else:  # text: it is put where nothing lies, and the argument points to it
                args[number] = registers["rsp"] - _RED_ZONE
                self._session.write_memory(call.task, args[number], value.encode() + b"\0")
        if set(changes) - {"result", "data"}:
            self._session.override_args(call.task, args)
        data = changes.get("data", "").encode()
        if "data" in changes:
            length = min(len(data), args[2])
            self._session.write_memory(call.task, args[1], data[:length])
            self._session.override_result(length)
        if "result" in changes:
            self._session.override_result(int(changes["result"], 0))

    def inspect(self, call: ReplayCall | None = None) -> Inspection:
        """Return what the replay looks like where it is."""
        status = self._status()
        tasks = json.loads(self._session.tasks())
        task = call.task if call is not None else status["next_task"]
        own = next((one for one in tasks if one["task"] == task), tasks[0] if tasks else None)
        if own is None:
            return Inspection(status["position"], status["time_ns"], 0, None, {}, (), b"")
        registers = json.loads(self._session.registers(own["task"]))
        return Inspection(
            event=status["position"],
            time_ns=status["time_ns"],
            thread=own["tid"] or (call.call["tid"] if call is not None else 0),
            call=call.line if call is not None else None,
            registers=registers,
            maps=json.loads(self._session.maps(own["task"])),
            stack=self._session.read_memory(own["task"], registers["rsp"], 256),
        )

    def _report(self, status: str, divergence: DesyncError | None, met: ReplayCall | None) -> CommandReport:
        now = self._status()
        stopped = status in ("stopped", "aborted") or divergence is not None
        inspection = self.inspect(met) if stopped and json.loads(self._session.tasks()) else None
        return CommandReport(
            status=status,
            comparison=self._compare(now, divergence),
            log=tuple(self.log),
            modified=bool(now["modified"]),
            events=now["position"],
            inspection=inspection,
            ended=now["ended"] or {"exit_code": None, "signal": None},
            written=(now["written"][0], now["written"][1]),
        )

    def _compare(self, now: Mapping[str, Any], divergence: DesyncError | None) -> ReplayComparison:
        if divergence is None:
            return ReplayComparison(1.0)
        total = self._total_events()
        details = json.loads(getattr(divergence, "divergence", "{}"))
        call = SyscallDifference(
            kind=DifferenceKind.NAME_CHANGED if " calls " in str(divergence) else DifferenceKind.ARGS_CHANGED,
            index_original=None,
            index_replay=None,
            original=None,
            replay=None,
            detail=str(divergence),
        )
        outcome = OutcomeDifference("state", "as recorded", str(details.get("what", "differs")))
        first = Divergence(call, int(now["time_ns"]), int(details.get("tid", 0)), int(details.get("tid", 0)))
        return ReplayComparison(now["position"] / max(total, 1), (call,), (), (outcome,), first)

    def _total_events(self) -> int:
        events, total = _native.ReplayEvents(self.path), 0
        while page := events.read(_EVENTS):
            total += page.count(b"\n")
        return total
