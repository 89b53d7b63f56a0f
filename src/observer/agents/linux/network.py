# SPDX-License-Identifier: Apache-2.0
"""Network Health Watcher: errors and drops of interfaces, and interfaces that come, go, or lose their carrier.

Reads /proc/net/dev and one small file an interface each period. Needs no privilege. A counter that fell has begun again (a driver
reset, another interface of that name) and is no delta. Source: proc(5), Documentation/networking/operstates.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.errors import CapabilityError
from observer.model.event import EventSeverity

__all__ = ["NetworkHealthWatcher"]

_SOURCE: Final = "net.dev"
# Columns of /proc/net/dev after the name: bytes packets errs drop fifo frame compressed multicast, then the same of tx.
_COLUMNS: Final = {
    "rx_bytes": 0,
    "rx_errors": 2,
    "rx_dropped": 3,
    "tx_bytes": 8,
    "tx_errors": 10,
    "tx_dropped": 11,
}
_DELTAS: Final = ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")


class NetworkHealthWatcher(PeriodicCollector):
    """Compares the interfaces with the last look."""

    name: ClassVar[str] = "network"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._ignored = set(self.settings.texts("ignore"))
        self._counters: dict[str, dict[str, int]] | None = None
        self._states: dict[str, str | None] = {}

    def check_compatible(self) -> None:
        """Read /proc/net/dev."""
        try:
            self.read("/proc/net/dev", 64)
        except OSError as error:
            raise CapabilityError(f"/proc/net/dev cannot be read: {error.strerror}") from error

    def look(self) -> Iterator[Emission]:
        """Tell what differs."""
        counters = dict(self._interfaces())
        states = {name: self._operstate(name) for name in counters}
        before, self._counters = self._counters, counters
        states_before, self._states = self._states, states
        if before is None:
            return
        for name in sorted(before.keys() - counters.keys()):
            yield _change(name, "vanished", None, EventSeverity.WARNING)
        for name, now in counters.items():
            if name not in before:
                yield _change(name, "appeared", states[name], EventSeverity.INFO)
                continue
            yield from _compare(name, before[name], now, states[name])
            was, is_ = states_before.get(name), states[name]
            if was == "up" and is_ in {"down", "lowerlayerdown", "dormant"}:
                yield _change(name, "carrier_lost", is_, EventSeverity.WARNING)
            elif was not in {"up", None} and is_ == "up":
                yield _change(name, "carrier_back", is_, EventSeverity.INFO)

    def _interfaces(self) -> Iterator[tuple[str, dict[str, int]]]:
        for line in self.read("/proc/net/dev").decode("utf-8", "replace").splitlines()[2:]:
            name, _, rest = line.rpartition(":")
            values = rest.split()
            if name.strip() not in self._ignored and len(values) >= 12:
                yield name.strip(), {key: int(values[column]) for key, column in _COLUMNS.items()}

    def _operstate(self, name: str) -> str | None:
        try:
            return self.read(f"/sys/class/net/{name}/operstate", 64).decode("ascii", "replace").strip()
        except OSError:
            return None


def _compare(
    name: str, before: dict[str, int], now: dict[str, int], state: str | None
) -> Iterator[Observation]:
    if any(now[key] < before[key] for key in _COLUMNS):
        yield _change(name, "counters_reset", state, EventSeverity.INFO)
        return
    deltas = {key: now[key] - before[key] for key in _DELTAS}
    if not any(deltas.values()):
        return
    errors = deltas["rx_errors"] or deltas["tx_errors"]
    yield Observation(
        "network.errors",
        _SOURCE,
        "Network",
        EventSeverity.WARNING if errors else EventSeverity.INFO,
        "Interface error counters increased",
        {
            "interface": name,
            **{key: str(value) for key, value in deltas.items()},
            "rx_bytes": str(now["rx_bytes"]),
            "tx_bytes": str(now["tx_bytes"]),
        },
    )


def _change(name: str, state: str, operstate: str | None, severity: EventSeverity) -> Observation:
    facts = {"interface": name, "state": state, "operstate": operstate}
    return Observation("network.interface", _SOURCE, "Network", severity, "Interface changed", facts)
