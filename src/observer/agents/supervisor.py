# SPDX-License-Identifier: Apache-2.0
"""Runs each collector in a thread of its own; starts it again when it fails, leaves it behind when it hangs.

A thread that hangs in the kernel cannot be ended. It is abandoned: what it still says is counted as lost, and another one takes
its place. The number of abandoned threads is bounded.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from observer.agents.collector import Collector, Context, FeedLoss, Observation
from observer.agents.host import read_clocks
from observer.agents.pipeline import AGENT_SOURCE, Pipeline
from observer.errors import CapabilityError
from observer.model.event import EventSeverity

__all__ = ["Supervisor", "SupervisorTiming"]

_MAX_ABANDONED: Final = 8  # threads of one collector; each holds a stack and a feed
_HEALTHY_NS: Final = 60_000_000_000  # after running for so long a failure counts as the first again


@dataclass(frozen=True, slots=True)
class SupervisorTiming:
    """When a collector counts as hung, and how long it rests before the next attempt; seconds."""

    hang_s: float = 60.0
    least_s: float = 1.0
    most_s: float = 300.0


class _Attempt:
    """One life of one collector."""

    def __init__(self, collector: Collector, halt: threading.Event, pipeline: Pipeline) -> None:
        self.collector, self.halt, self._pipeline = collector, halt, pipeline
        self.started_ns = self.alive_ns = read_clocks().boottime_ns
        self.running = False
        self.abandoned = False
        self.outcome: tuple[str, str] | None = None  # state and detail, once it has ended
        self.thread = threading.Thread(target=self._run, name=f"collect-{collector.name}", daemon=True)

    def _run(self) -> None:
        try:
            self.collector.check_compatible()
            self.running = True
            for emission in self.collector.events():
                self.alive_ns = read_clocks().boottime_ns
                self._pass_on(emission)
                if self.abandoned:
                    return
            self.outcome = ("failed", "its feed ended") if not self.halt.is_set() else ("stopped", "")
        except CapabilityError as error:
            self.outcome = ("degraded", f"{error}; {error.hint}")
        except Exception as error:  # noqa: BLE001  whatever a feed does to a collector, the others go on
            self.outcome = ("failed", f"{type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(Exception):
                self.collector.release()

    def _pass_on(self, emission: Observation | FeedLoss | None) -> None:
        if emission is None:
            return
        if self.abandoned:
            source = emission.source
            self._pipeline.lose(FeedLoss(source, getattr(emission, "count", 1), "abandoned"))
        elif isinstance(emission, FeedLoss):
            self._pipeline.lose(emission)
        else:
            self._pipeline.emit(emission)


class _Slot:
    """One collector over all its lives."""

    def __init__(self, kind: type[Collector], context: Context) -> None:
        self.kind, self.context = kind, context
        self.attempt: _Attempt | None = None
        self.state, self.detail = "starting", ""
        self.restarts = 0
        self.failures = 0
        self.abandoned = 0
        self.next_ns = 0


class Supervisor:
    """Keeps a set of collectors running."""

    def __init__(
        self,
        kinds: list[type[Collector]],
        contexts: Callable[[type[Collector]], Context],
        pipeline: Pipeline,
        timing: SupervisorTiming,
    ) -> None:
        self._slots = [_Slot(kind, contexts(kind)) for kind in kinds]
        self._pipeline, self._timing = pipeline, timing

    def tend(self) -> None:
        """Start what is due, restart what failed, leave what hangs; call it about once a second."""
        now = read_clocks().boottime_ns
        for slot in self._slots:
            if slot.attempt is None:
                if now >= slot.next_ns:
                    self._start(slot)
            else:
                self._judge(slot, slot.attempt, now)

    def stop(self, timeout_s: float) -> None:
        """End all collectors; those that do not end in time are left."""
        attempts = [slot.attempt for slot in self._slots if slot.attempt is not None]
        for attempt in attempts:
            attempt.halt.set()
            attempt.collector.wake()
        deadline = read_clocks().monotonic_ns + int(timeout_s * 1e9)
        for attempt in attempts:
            attempt.thread.join(max(0.0, (deadline - read_clocks().monotonic_ns) / 1e9))

    @property
    def states(self) -> list[dict[str, object]]:
        """Name, state, detail and restarts of each collector."""
        return [
            {"name": slot.kind.name, "state": slot.state, "detail": slot.detail, "restarts": slot.restarts}
            for slot in self._slots
        ]

    @property
    def degraded(self) -> list[str]:
        """Names of the collectors that do not run."""
        return [slot.kind.name for slot in self._slots if slot.state not in {"running", "starting"}]

    def _start(self, slot: _Slot) -> None:
        if slot.state != "starting":
            slot.restarts += 1
        halt = threading.Event()
        try:
            collector = slot.kind(replace(slot.context, halt=halt))
        except Exception as error:  # noqa: BLE001  as in the thread: one collector's trouble stays its own
            self._rest(slot, "failed", f"{type(error).__name__}: {error}", read_clocks().boottime_ns)
            return
        slot.attempt = _Attempt(collector, halt, self._pipeline)
        slot.attempt.thread.start()

    def _judge(self, slot: _Slot, attempt: _Attempt, now: int) -> None:
        if not attempt.thread.is_alive():
            state, detail = attempt.outcome or ("failed", "its thread ended")
            self._rest(slot, state, detail, now, lived_ns=now - attempt.started_ns)
            return
        if attempt.running and slot.state != "running":
            self._tell(slot, "running", "" if slot.state == "starting" else f"after {slot.state}")
        patience = max(self._timing.hang_s, 3 * attempt.collector.period_s)
        silent = (now - attempt.alive_ns) / 1e9
        if silent > patience and slot.abandoned < _MAX_ABANDONED:
            attempt.abandoned = True
            attempt.halt.set()
            attempt.collector.wake()
            slot.abandoned += 1
            self._rest(slot, "hung", f"no answer for {silent:.0f} s", now)

    def _rest(self, slot: _Slot, state: str, detail: str, now: int, *, lived_ns: int = 0) -> None:
        slot.attempt = None
        slot.failures = 1 if lived_ns > _HEALTHY_NS else slot.failures + 1
        if state == "degraded":
            pause = min(self._timing.most_s, max(self._timing.least_s, 30.0))
        else:
            pause = min(self._timing.most_s, self._timing.least_s * 2 ** min(slot.failures - 1, 20))
        slot.next_ns = now + int(pause * 1e9)
        if state != "stopped":
            self._tell(slot, state, detail, pause)

    def _tell(self, slot: _Slot, state: str, detail: str, pause: float | None = None) -> None:
        again = slot.state == state and slot.detail == detail
        slot.state, slot.detail = state, detail
        if again and state == "degraded":
            return  # a feed that is still missing is no news; the heartbeat names it
        grades = {"running": EventSeverity.INFO, "degraded": EventSeverity.WARNING}
        self._pipeline.emit_always(
            Observation(
                "agent.collector",
                AGENT_SOURCE,
                "Agent",
                grades.get(state, EventSeverity.ERROR),
                "Collector state changed",
                {
                    "collector": slot.kind.name,
                    "state": state,
                    "detail": detail or "its feed is read",
                    "retry": None if pause is None else f"{pause:g}",
                    "restarts": str(slot.restarts),
                },
            )
        )
