# SPDX-License-Identifier: Apache-2.0
"""Memory events of control groups: who met a limit, who lost processes to it.

Reads memory.events of each group (cgroup 2) or memory.oom_control and memory.failcnt (cgroup 1), about 20 µs a group and look. A
group that is gone by the next look is still seen in the counters of its parent, which include it on cgroup 2. Needs no privilege.
Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.errors import CapabilityError
from observer.model.event import EventSeverity

__all__ = ["CgroupMemoryWatcher"]

_SOURCE: Final = "cgroup.memory"
_COUNTERS: Final = ("oom", "oom_kill", "oom_group_kill", "max", "high")
_LOUD: Final = ("oom", "oom_kill", "oom_group_kill")  # meeting a soft limit is how limits work, and no news


class CgroupMemoryWatcher(PeriodicCollector):
    """Reports counters that went up since the last look."""

    name: ClassVar[str] = "cgroups"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._top: Path | None = None
        self._version = 2
        self._counts: dict[str, dict[str, int]] | None = None

    def check_compatible(self) -> None:
        """Find the hierarchy that has the memory controller."""
        for line in self.read("/proc/self/mounts").decode("utf-8", "replace").splitlines():
            _, place, kind, options, *_ = line.split(" ")
            top = self.path(place)
            if kind == "cgroup2" and "memory" in _text(top / "cgroup.controllers").split():
                self._top, self._version = top, 2
                return
            if kind == "cgroup" and "memory" in options.split(","):
                self._top, self._version = top, 1
                return
        raise CapabilityError(
            "no control group hierarchy has the memory controller", hint="mount cgroup2 with it"
        )

    def look(self) -> Iterator[Emission]:
        """Compare all groups with the last look."""
        counts = dict(self._groups())
        before, self._counts = self._counts, counts
        if before is None:
            return
        rises = {
            group: {name: value - before.get(group, {}).get(name, 0) for name, value in now.items()}
            for group, now in counts.items()
        }
        # Deepest first: what a child reports is taken off its parents, which count it too.
        for group in sorted(rises, key=lambda one: -one.count("/")):
            rise = rises[group]
            if not any(rise.get(name, 0) > 0 for name in _LOUD):
                continue
            if self._version == 2:
                _take_off(rises, group)
            yield self._observe(group, rise)

    def _groups(self) -> Iterator[tuple[str, dict[str, int]]]:
        if self._top is None:
            return
        stack, left = [(self._top, 0)], self.settings.count("most")
        while stack and left:
            place, depth = stack.pop()
            counters = self._read_counters(place)
            if counters:
                left -= 1
                yield "/" + str(place.relative_to(self._top)).removeprefix("."), counters
            if depth < self.settings.count("depth"):
                with contextlib.suppress(OSError), os.scandir(place) as entries:
                    stack += [
                        (Path(one.path), depth + 1) for one in entries if one.is_dir(follow_symlinks=False)
                    ]

    def _read_counters(self, place: Path) -> dict[str, int]:
        if self._version == 2:
            return _pairs(_text(place / "memory.events"))
        control = _pairs(_text(place / "memory.oom_control"))
        if "oom_kill" not in control:
            return {}
        with contextlib.suppress(ValueError):
            return {
                "oom": 0,
                "oom_kill": control["oom_kill"],
                "max": int(_text(place / "memory.failcnt")),
                "high": 0,
            }
        return {}

    def _observe(self, group: str, rise: dict[str, int]) -> Observation:
        place = (self._top or Path("/")) / group.lstrip("/")
        v2 = self._version == 2
        current = _text(place / ("memory.current" if v2 else "memory.usage_in_bytes")).strip()
        limit = _text(place / ("memory.max" if v2 else "memory.limit_in_bytes")).strip()
        killed = rise.get("oom_kill", 0) > 0
        # A kill for want of memory of the whole machine is counted by the group it hits, too; its limit was not met then.
        limited = rise.get("oom", 0) > 0 or rise.get("max", 0) > 0
        facts = {name: str(max(0, rise.get(name, 0))) for name in _COUNTERS if name in rise}
        return Observation(
            "cgroup.memory",
            _SOURCE,
            "Resource",
            EventSeverity.CRITICAL if killed else EventSeverity.WARNING,
            "Control group ran into its memory limit"
            if limited
            else "Control group lost processes to a lack of memory",
            facts
            | {
                "cgroup": group,
                "cause": "limit" if limited else "machine",
                "current": current if current.isdigit() else None,
                "limit": limit if limit.isdigit() else None,
            },
        )


def _take_off(rises: dict[str, dict[str, int]], group: str) -> None:
    parent = group
    while parent != "/":
        parent = parent.rpartition("/")[0] or "/"
        for name, value in rises[group].items():
            if parent in rises and value > 0:
                rises[parent][name] = rises[parent].get(name, 0) - value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _pairs(text: str) -> dict[str, int]:
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            values[name] = int(value)
    return values
