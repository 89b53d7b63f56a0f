# SPDX-License-Identifier: Apache-2.0
"""Runs a recorded plugin again with no host: every call is compared with the recorded one and answered from it.

The front, the recorder and the plugin come from the recording. No WASI is defined, no file or clock is asked.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from observer.errors import FormatError
from observer.model.comparison import DifferenceKind, OutcomeDifference, ReplayComparison, SyscallDifference
from observer.model.forensic import ReplayEnvironment
from observer.plugins.breakpoints import Breakpoints
from observer.plugins.functions import ENV, HostFunction
from observer.plugins.machine import Halt, Machine, PluginImage
from observer.plugins.options import PluginOutcome
from observer.plugins.policy import put_state, remove_state
from observer.plugins.recording import Invocation, PluginRecording
from observer.plugins.report import ReplayReport
from observer.plugins.ring import DENIED, NO_RESULT, REASON, Call, read_calls
from observer.plugins.sandbox import engine_version, native_clock, unchecked, wasmtime
from observer.plugins.simulation import Simulation
from observer.plugins.telling import arguments_of, first_change, short, tell, whole_call
from observer.plugins.timing import Timing
from observer.plugins.trampolines import Wiring

__all__ = ["PluginReplay", "ReplayReport"]

_MOST_DIFFERENCES: Final = 1000  # told one by one
_WINDOW: Final = 64  # recorded calls looked at to find a call again under simulated inputs
_END: Final = PluginOutcome("replayed", "end", "the recording ends here: its writer was killed")


@dataclass(slots=True)
class PluginReplay:
    """One replay of one recording.

    Attributes:
        recording: What is replayed.
        environment: What it is given.
        code: The plugin to run; default the recorded one. A changed one is replayed up to its first divergence.
        stop_at_call: Stop before this call is answered.
        stop_at_fuel: Stop at the first check with this much fuel used.
        with_functions: Make every function reachable, which the content of tables is told by.
        pause: Called where a breakpoint pauses.
        state: The plugin's state map, made again from its calls.
        machine: The plugin, once it runs.
        last_ns: CLOCK_MONOTONIC of the last call that was equal, in the recording.
        machine: The plugin, once it runs.
        last_ns: CLOCK_MONOTONIC of the last call that was equal, in the recording.
    """

    recording: PluginRecording
    environment: ReplayEnvironment = field(default_factory=ReplayEnvironment)
    code: bytes | None = None
    stop_at_call: int | None = None
    stop_at_fuel: int | None = None
    with_functions: bool = False
    pause: Callable[[str], None] | None = None
    state: dict[str, bytes] = field(default_factory=dict)
    machine: Machine | None = None
    _differences: list[SyscallDifference] = field(default_factory=list)
    _outcomes: list[OutcomeDifference] = field(default_factory=list)
    _matched: int = 0
    _replayed: int = 0
    _read: int = 0
    _calls: Iterator[Call] = field(default_factory=lambda: iter(()))
    last_ns: int | None = None
    _ahead: deque[Call] = field(default_factory=deque)
    _skipped: list[Call] = field(default_factory=list)
    _invocation: Invocation | None = None
    _kept: list[Any] = field(default_factory=list)
    _breakpoints: Breakpoints = field(init=False)
    _simulation: Simulation = field(init=False)
    _timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        self._breakpoints = Breakpoints(self.environment.breakpoints, self.pause)
        self._simulation = Simulation(self.environment.simulated_inputs)

    @classmethod
    def open(cls, path: Path, environment: ReplayEnvironment | None = None, **more: Any) -> PluginReplay:
        """Open a recording for one replay; see the class for what else can be given."""
        return cls(PluginRecording(path), environment or ReplayEnvironment(), **more)

    def run(self) -> ReplayReport:
        """Replay to the end, the divergence or the wanted place.

        Raises:
            CapabilityError: wasmtime is not installed. [OBS200]
            FormatError: The recording holds no plugin that could be run. [OBS500]
        """
        self._calls = self.recording.calls()
        try:
            self.machine = machine = self._build()
        except Halt as halt:
            return self._report("diverged", halt.outcome)
        outcome, status = PluginOutcome("returned"), "completed"
        for invocation in self.recording.invocations:
            outcome = self._invoke(machine, invocation)
            if outcome.kind == "replayed":
                status = {"end": "completed"}.get(outcome.detail, outcome.detail)
                break
        if outcome.kind != "replayed":
            self._finish(machine)
        return self._report(status, outcome)

    def _build(self) -> Machine:
        recording = self.recording
        code = self.code if self.code is not None else recording.attachment("plugin.wasm")
        name = str(recording.facts.get("name", "plugin"))
        image = PluginImage.load(name, code, every_function=self.with_functions)
        if [function.label for function in image.functions] != recording.functions():
            raise FormatError(
                "this plugin imports other functions than the recorded one, so no call of it can be answered",
                hint="replay a build of the same program",
            )
        texts = recording.attachment("front.wat").decode(), recording.attachment("recorder.wat").decode()
        wiring = Wiring(functions=image.functions, sizes={}, ring_bytes=int(recording.facts["ring_bytes"]))
        limits = recording.limits
        if self.stop_at_fuel is not None:
            limits = replace(limits, fuel=self.stop_at_fuel)
        return Machine(image, wiring, limits, self._define, texts=texts)

    def _define(self, machine: Machine, linker: Any) -> None:
        store, i32 = machine.store, wasmtime.ValType.i32()
        linker.define(store, "host", "now", native_clock(store))
        linker.define_func(
            "host", "drain", wasmtime.FuncType([], []), lambda: machine.ring.empty(self._finished)
        )
        linker.define_func("host", "too_big", wasmtime.FuncType([], []), self._too_big)
        linker.define_func("host", "guard", wasmtime.FuncType([i32] * 3, []), lambda *_: None)
        for function in machine.image.functions:
            hook, kept = unchecked(store, function, self._hook(machine, function), machine.raised)
            self._kept.append(kept)
            linker.define(store, function.module, function.name, hook)

    def _too_big(self) -> None:
        raise Halt(PluginOutcome("limit", "recorder", "one call moves more than a record can hold"))

    def _invoke(self, machine: Machine, invocation: Invocation) -> PluginOutcome:
        self._invocation = invocation
        exposed = machine.image.exposed
        name = exposed.start if invocation.export.endswith(":start") and exposed.start else invocation.export
        ended = invocation.ended
        timed_out = ended is not None and ended["result"].get("detail") == "time"
        if timed_out and ended is not None and self.stop_at_fuel is None:
            machine.limit_fuel(int(ended["fuel"]))
        try:
            outcome = machine.call(
                name, invocation.values, timeout_s=self.environment.resource_limits.max_cpu_time
            )
        except KeyError:
            return self._diverge(DifferenceKind.MISSING, None, f"there is no export {name}")
        machine.ring.take(self._finished)
        machine.ring.abandon()
        if outcome.kind == "replayed":
            return outcome
        if self.stop_at_fuel is not None and outcome.detail == "fuel":
            return PluginOutcome("replayed", "stopped", f"stopped at fuel {machine.fuel_used():,}")
        if timed_out and outcome.detail == "fuel":
            outcome = PluginOutcome("limit", "time", "ended where the recorded call was ended for time")
        elif outcome.detail == "time" and not timed_out:
            return (
                _END
                if ended is None
                else PluginOutcome("replayed", "aborted", "the replay's own time is over")
            )
        if ended is None:
            return _END
        return self._compare_return(machine, ended, outcome)

    def _compare_return(self, machine: Machine, ended: Any, outcome: PluginOutcome) -> PluginOutcome:
        told, now = ended["result"], outcome.to_dict()
        for key, subject in (("outcome", "final status"), ("detail", "final status"), ("values", "state")):
            if told.get(key) != now.get(key):
                self._outcomes.append(OutcomeDifference(subject, str(told.get(key)), str(now.get(key))))
        if int(ended["fuel"]) != machine.fuel_used() and told.get("detail") != "time":
            self._outcomes.append(
                OutcomeDifference(
                    "state", f"fuel {ended['fuel']}", f"fuel {machine.fuel_used()}{self._engine()}"
                )
            )
        return outcome

    def _engine(self) -> str:
        recorded = self.recording.facts.get("engine")
        return "" if recorded == engine_version() else f" ({recorded} recorded, {engine_version()} replays)"

    def _finish(self, machine: Machine) -> None:
        left = len(self._ahead) + sum(1 for _ in self._calls)
        if left or self._skipped:
            self._note(
                DifferenceKind.MISSING,
                None,
                None,
                f"{left + len(self._skipped)} recorded calls were not made",
            )
        expected, found = self.recording.final_state(), machine.state()
        if expected is None:
            return
        for key, subject in (("memories", "memory"), ("globals", "state"), ("tables", "state")):
            if expected.get(key) != found[key]:
                self._outcomes.append(OutcomeDifference(subject, short(expected.get(key)), short(found[key])))

    def _report(self, status: str, outcome: PluginOutcome) -> ReplayReport:
        total = max(self._read, self._replayed)
        share = self._matched / total if total else float(not self._differences and not self._outcomes)
        comparison = ReplayComparison(
            share, tuple(self._differences), tuple(self._timing.largest()), tuple(self._outcomes)
        )
        fuel = self.machine.fuel_used() if self.machine is not None else 0
        return ReplayReport(status, comparison, self._replayed, fuel, outcome, tuple(self._breakpoints.log))

    def _hook(self, machine: Machine, function: HostFunction) -> Callable[[], int]:
        watched = bool(self._breakpoints) or bool(self.environment.simulated_inputs)

        def answer() -> int:
            entry = machine.ring.unfinished()
            if self.stop_at_call is not None and self._read >= self.stop_at_call:
                raise Halt(PluginOutcome("replayed", "stopped", f"stopped before call {self._read}"))
            expected = self._next(machine, function, entry)
            self._replayed += 1
            if expected is None:
                return self._simulation.answer(machine, function, whole_call(entry))
            if watched:
                result = self._special(machine, function, entry, expected)
                if result is not None:
                    return result
            self._feed(machine, function, expected)
            if expected.flags & NO_RESULT:
                raise Halt(self._recorded_end())
            return expected.result

        return answer

    def _special(self, machine: Machine, function: HostFunction, entry: bytes, expected: Call) -> int | None:
        """Meet breakpoints and simulated inputs; returns a result where they answer the call."""
        call = whole_call(entry)
        changes = self._breakpoints.meet(function, call, expected, self._read - 1)
        if changes:
            return self._simulation.change(machine, function, (expected, call), changes)
        if self._simulation.applies(function, call, expected):
            return self._simulation.answer(machine, function, call)
        self._simulation.see(function, call, expected)
        return None

    def _next(self, machine: Machine, function: HostFunction, entry: bytes) -> Call | None:
        """Take the recorded call that answers this one; None where a simulated input does; or end the replay."""
        while True:
            expected = self._ahead.popleft() if self._ahead else next(self._calls, None)
            if expected is None:
                if self._invocation is not None and self._invocation.ended is None:
                    raise Halt(_END)
                told = tell(function, entry)
                raise Halt(self._diverge(DifferenceKind.EXTRA, None, "the recording has no call here", told))
            self._read += 1
            other = self._function(machine, expected)
            if expected.flags & DENIED and other is not None and other.module != ENV:
                self._skipped.append(
                    expected
                )  # refused by the recorder itself, in the recording as in the replay
                continue
            if expected.same_entry(entry):
                self._matched += 1
                self.last_ns = expected.start_ns
                self._timing.expect(function.label, expected)
                return expected
            return self._differing(machine, function, expected, entry)

    def _function(self, machine: Machine, call: Call) -> HostFunction | None:
        functions = machine.image.functions
        return functions[call.function] if call.function < len(functions) else None

    def _differing(
        self, machine: Machine, function: HostFunction, expected: Call, entry: bytes
    ) -> Call | None:
        other = self._function(machine, expected)
        if other is not function and self._simulation.tolerant:
            return self._realign(machine, function, expected, entry)
        recorded = tell(other, expected.raw[: expected.entry_size]) if other is not None else "?"
        replayed = tell(function, entry)
        if other is not function:
            kind, what = (
                DifferenceKind.NAME_CHANGED,
                f"{function.label} in place of {other.label if other else '?'}",
            )
            raise Halt(self._diverge(kind, self._read - 1, what, replayed, recorded))
        what = first_change(function, expected, entry)
        self._note(DifferenceKind.ARGS_CHANGED, self._read - 1, (recorded, replayed), what)
        if not self._simulation.tolerant and not self._breakpoints.changed:
            raise Halt(PluginOutcome("replayed", "diverged", self._differences[-1].detail))
        return expected

    def _realign(self, machine: Machine, function: HostFunction, expected: Call, entry: bytes) -> Call | None:
        """Under simulated inputs: find the call a little later in the recording, or take it as an extra one."""
        self._ahead.appendleft(expected)
        self._read -= 1
        self._ahead.extend(islice(self._calls, max(_WINDOW - len(self._ahead), 0)))
        places = [
            index for index, call in enumerate(self._ahead) if self._function(machine, call) is function
        ]
        exact = next((index for index in places if self._ahead[index].same_entry(entry)), None)
        if exact is None and self._simulation.can_answer(function, whole_call(entry)):
            self._note(
                DifferenceKind.EXTRA, None, ("", tell(function, entry)), f"{function.label} is one more"
            )
            return None
        if exact is None and not places:
            what = f"{function.label} is not among the next {len(self._ahead)} recorded calls"
            raise Halt(self._diverge(DifferenceKind.EXTRA, None, what, tell(function, entry)))
        for _ in range(places[0] if exact is None else exact):
            missed = self._ahead.popleft()
            self._read += 1
            known = self._function(machine, missed)
            text = tell(known, missed.raw[: missed.entry_size]) if known is not None else "?"
            self._note(DifferenceKind.MISSING, self._read - 1, (text, ""), "this call was not made")
        return self._next(machine, function, entry)

    def _diverge(
        self, kind: DifferenceKind, index: int | None, what: str, replay: str = "", original: str = ""
    ) -> PluginOutcome:
        self._note(kind, index, (original, replay), what)
        return PluginOutcome("replayed", "diverged", what)

    def _note(
        self, kind: DifferenceKind, index: int | None, texts: tuple[str, str] | None, what: str
    ) -> None:
        if len(self._differences) < _MOST_DIFFERENCES:
            original, replay = texts or (None, None)
            where = f"call s{index if index is not None else self._read}: {what}"
            self._differences.append(
                SyscallDifference(kind, index, self._replayed, original or None, replay or None, where)
            )

    def _recorded_end(self) -> PluginOutcome:
        ended = self._invocation.ended if self._invocation is not None else None
        if ended is None:
            return _END
        result = ended["result"]
        return PluginOutcome(result["outcome"], result.get("detail", ""), result.get("message", ""))

    def _feed(self, machine: Machine, function: HostFunction, expected: Call) -> None:
        size = int(machine.memory.data_len(machine.store))
        base = ctypes.cast(machine.memory.data_ptr(machine.store), ctypes.c_void_p).value or 0
        reason = ""
        for blob in expected.blobs(function.argument_bytes, entered=False):
            if blob.param == REASON:
                reason = bytes(blob.content).decode(errors="replace")
            elif blob.address + len(blob.content) <= size:
                ctypes.memmove(base + blob.address, bytes(blob.content), len(blob.content))
        if function.module == ENV:
            machine.ring.decide(not expected.flags & DENIED, reason)
            self._remember(function, expected)

    def _remember(self, function: HostFunction, call: Call) -> None:
        """Make the state map again."""
        if function.name == "syscall" and not call.flags & DENIED and call.result >= 0:
            name, _, args, *_ = arguments_of(function, call.raw[: call.entry_size])
            action = {b"state_put": put_state, b"state_remove": remove_state}.get(
                name if isinstance(name, bytes) else b""
            )
            if action is not None and isinstance(args, bytes):
                action(self.state, args)

    def _finished(self, payload: bytes) -> None:
        """Compare the calls that the recorder refused itself, and note times."""
        for call in read_calls(payload):
            self._timing.see(call)
            function = self._function(self.machine, call) if self.machine is not None else None
            if call.flags & DENIED and function is not None and function.module != ENV:
                self._refused(function, bytes(call.raw[: call.entry_size]))

    def _refused(self, function: HostFunction, entry: bytes) -> None:
        """Compare one call that never came to a hook with the recorded one."""
        if self._skipped:
            expected: Call | None = self._skipped.pop(0)
        else:
            expected = self._ahead.popleft() if self._ahead else next(self._calls, None)
            self._read += expected is not None
        self._replayed += 1
        if expected is not None and expected.flags & DENIED and expected.same_entry(entry):
            self._matched += 1
            return
        kind = DifferenceKind.DECISION_CHANGED if expected is not None else DifferenceKind.EXTRA
        self._note(kind, None, ("", tell(function, entry)), f"{function.label} was refused here")
