# SPDX-License-Identifier: Apache-2.0
"""Pressure Stall Monitor: when tasks wait for memory, CPU or I/O, from the onset to the relief.

Reads three small files a period, about 60 µs. Needs a kernel with PSI (psi=1); a missing file is said, not passed over. What is
told once is not told again until it changes, lasts a minute, or ends. Source: Documentation/accounting/psi.rst.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.agents.settings import Section
from observer.errors import CapabilityError
from observer.model.event import EventSeverity

__all__ = ["PressureStallMonitor"]

_RESOURCES: Final = ("memory", "cpu", "io")
_MESSAGES: Final = {
    "memory": "Memory pressure elevated",
    "cpu": "CPU pressure sustained",
    "io": "IO pressure sustained",
}
_RELIEVED: Final = {
    "memory": "Memory pressure relieved",
    "cpu": "CPU pressure relieved",
    "io": "IO pressure relieved",
}
_RISE_NS: Final = (
    10_000_000_000  # a rise is one within the time that avg10 looks back on, however often it is read
)
_INFO, _WARNING, _CRITICAL = EventSeverity.INFO, EventSeverity.WARNING, EventSeverity.CRITICAL


@dataclass(slots=True)
class _Stall:
    severity: EventSeverity = _INFO
    told_ns: int = 0
    recent: deque[tuple[int, float]] = field(default_factory=deque)


class PressureStallMonitor(PeriodicCollector):
    """Watches /proc/pressure/{memory,cpu,io}."""

    name: ClassVar[str] = "pressure"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._stalls = {resource: _Stall() for resource in _RESOURCES}

    def check_compatible(self) -> None:
        """Read all three files."""
        for resource in _RESOURCES:
            try:
                self.read(f"/proc/pressure/{resource}")
            except OSError as error:
                raise CapabilityError(
                    f"/proc/pressure/{resource} cannot be read: {error.strerror}", hint="boot with psi=1"
                ) from error

    def look(self) -> Iterator[Emission]:
        """Read all three and tell what changed."""
        now = self.context.clocks().boottime_ns
        for resource in _RESOURCES:
            values = _parse(self.read(f"/proc/pressure/{resource}"))
            stall = self._stalls[resource]
            rise = _rise(stall.recent, now, values["some_avg10"])
            severity = _judge(resource, values, rise, self.settings)
            if severity is _INFO and stall.severity is not _INFO and not self._is_relieved(resource, values):
                severity = _WARNING
            state = self._state(stall, severity, now)
            if state is not None:
                stall.severity, stall.told_ns = severity, now
                yield _observe(resource, severity, state, values)

    def _state(self, stall: _Stall, severity: EventSeverity, now: int) -> str | None:
        if severity is stall.severity:
            lasting = severity is not _INFO and now - stall.told_ns >= self.settings.number("remind") * 1e9
            return "lasting" if lasting else None
        if stall.severity is _INFO:
            return "onset"
        if severity is _INFO:
            return "relieved"
        return "worse" if stall.severity < severity else "better"

    def _is_relieved(self, resource: str, values: dict[str, float]) -> bool:
        share = 1 - self.settings.number("hysteresis") / 100
        keys = {"memory": ("some10", "some60", "full10")}.get(resource, ("some10", "full10"))
        names = {"some10": "some_avg10", "some60": "some_avg60", "full10": "full_avg10"}
        return all(
            values.get(names[key], 0.0) <= self.settings.number(f"{resource}_{key}") * share for key in keys
        )


def _rise(recent: deque[tuple[int, float]], now: int, value: float) -> float:
    """How far a value stands above its lowest of the last ten seconds."""
    while recent and recent[0][0] < now - _RISE_NS:
        recent.popleft()
    recent.append((now, value))
    return value - min(seen for _, seen in recent)


def _judge(resource: str, values: dict[str, float], rise: float, limits: Section) -> EventSeverity:
    some10, some60 = values["some_avg10"], values["some_avg60"]
    full10 = values.get("full_avg10", 0.0)
    limit = limits.number
    if resource == "memory":
        rising = some10 > limit("memory_some10") and rise > limit("rise")
        fires = rising or some60 > limit("memory_some60") or full10 > limit("memory_full10")
        worst = some10 > limit("memory_some10_critical") or full10 > limit("memory_full10_critical")
    elif resource == "cpu":
        fires = some10 > limit("cpu_some10") or full10 > limit("cpu_full10")
        worst = some10 > limit("cpu_some10_critical")
    else:
        fires = some10 > limit("io_some10") or full10 > limit("io_full10")
        worst = full10 > limit("io_full10_critical")
    return _INFO if not fires else _CRITICAL if worst else _WARNING


def _parse(text: bytes) -> dict[str, float]:
    """Return `some_avg10` and the like; CPU has no `full` line on older kernels."""
    values: dict[str, float] = {}
    for line in text.decode("ascii").splitlines():
        kind, *entries = line.split()
        for entry in entries:
            name, _, value = entry.partition("=")
            values[f"{kind}_{name}"] = float(value)
    return values


def _observe(resource: str, severity: EventSeverity, state: str, values: dict[str, float]) -> Observation:
    facts: dict[str, str | None] = {"state": state}
    for key in ("some_avg10", "some_avg60", "some_avg300", "full_avg10", "full_avg60"):
        facts[key] = f"{values[key]:.2f}" if key in values else None
    for key in ("some_total", "full_total"):
        facts[key] = f"{values[key]:.0f}" if key in values else None
    message = _RELIEVED[resource] if state == "relieved" else _MESSAGES[resource]
    return Observation("pressure.stall", f"pressure.{resource}", "Pressure", severity, message, facts)
