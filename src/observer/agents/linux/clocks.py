# SPDX-License-Identifier: Apache-2.0
"""Clock watch: steps of the wall clock, sleep, pauses of the machine, and pairs of readings for whoever merges logs.

Reads three clocks a period, about 2 µs. Needs no privilege. Sleep shows as CLOCK_BOOTTIME ahead of CLOCK_MONOTONIC; a pause
of a virtual machine shows only as time in which nothing ran. Sources: clock_gettime(2), adjtimex(2).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.model.event import EventSeverity
from observer.model.event_record import Clocks

__all__ = ["ClockWatcher"]

_SOURCE: Final = "clock.watch"
_NOISE_NS: Final = 2_000_000  # two readings one after the other may be parted by an interrupt
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    # The beginning of struct timex, <sys/timex.h>; the kernel writes 208 bytes on 64-bit machines.
    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


class ClockWatcher(PeriodicCollector):
    """Compares the clocks with each other."""

    name: ClassVar[str] = "clocks"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._last: Clocks | None = None
        self._offset = 0  # wall less boot time, when the wall clock was last known to be in step
        self._sampled_ns = 0

    def look(self) -> Iterator[Emission]:
        """Read the clocks and tell what no clock does by itself."""
        now = self.context.clocks()
        offset = now.wall_ns - now.boottime_ns
        if self._last is None:
            self._offset = offset
        else:
            yield from self._gaps(self._last, now)
            step = offset - self._offset
            if abs(step) >= self.settings.number("step") * 1e9:
                self._offset = offset
                yield _observe("clock.step", EventSeverity.WARNING, "Wall clock was set", {"step": str(step)})
        self._last = now
        if not self._sampled_ns or now.boottime_ns - self._sampled_ns >= self.settings.number("sample") * 1e9:
            self._sampled_ns = now.boottime_ns
            yield _observe("clock.sample", EventSeverity.INFO, "Clocks read together", self._sample(now))

    def _gaps(self, last: Clocks, now: Clocks) -> Iterator[Observation]:
        slept = (now.boottime_ns - now.monotonic_ns) - (last.boottime_ns - last.monotonic_ns)
        late = now.monotonic_ns - last.monotonic_ns - int(self.period_s * 1e9)
        if slept > _NOISE_NS:
            facts = {"kind": "suspend", "gap": str(slept)}
            yield _observe("clock.suspended", EventSeverity.WARNING, "Machine slept or was paused", facts)
        elif late >= self.settings.number("stall") * 1e9:
            facts = {"kind": "stall", "gap": str(late)}
            yield _observe("clock.suspended", EventSeverity.WARNING, "Machine slept or was paused", facts)

    def _sample(self, now: Clocks) -> dict[str, str | None]:
        facts: dict[str, str | None] = {"suspended": str(max(0, now.boottime_ns - now.monotonic_ns))}
        timex = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
        if state >= 0:
            good = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
            facts |= {
                "synchronized": "true" if good else "false",
                "max_error": str(timex.maxerror),
                "frequency": f"{timex.freq / 65536:.3f}",
            }
        try:
            source = self.read("/sys/devices/system/clocksource/clocksource0/current_clocksource", 64)
            facts["clocksource"] = source.decode("ascii", "replace").strip()
        except OSError:
            facts["clocksource"] = None
        return facts


def _observe(
    kind: str, severity: EventSeverity, message: str, facts: dict[str, str | None] | dict[str, str]
) -> Observation:
    return Observation(kind, _SOURCE, "Clock", severity, message, facts)
