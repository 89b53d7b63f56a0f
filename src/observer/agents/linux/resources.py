# SPDX-License-Identifier: Apache-2.0
"""Resource Monitor: CPU, steal, memory, swap, disks, inodes and OOM kills, and when one of them passes its threshold.

Reads /proc/stat, /proc/meminfo, /proc/vmstat, /proc/loadavg and statvfs(2) each period: about 0.2 ms. Needs no privilege.
Sources: proc(5), Documentation/admin-guide/mm.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.agents.linux.levels import SEVERITY_OF, Level
from observer.errors import CapabilityError
from observer.model.event import EventSeverity

__all__ = ["ResourceMonitor"]

_SOURCE: Final = "resource.monitor"
_SMOOTH: Final = (
    3  # looks over which CPU and steal are averaged before they are judged: one busy second is no news
)
_SWAP_TRAFFIC: Final = (1000.0, 20000.0)  # pages a second in both directions, some MiB/s and some 80 MiB/s
_FIRST_FIELDS: Final = 8  # user nice system idle iowait irq softirq steal; guest time is within user


class ResourceMonitor(PeriodicCollector):
    """Samples the machine and watches its thresholds."""

    name: ClassVar[str] = "resources"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._levels = {name: self._level(name) for name in ("memory", "swap", "cpu", "steal")} | {
            "swap_traffic": Level(*_SWAP_TRAFFIC, hysteresis=_SWAP_TRAFFIC[0] / 2)
        }
        self._mounts = _distinct([self.path(mount) for mount in self.settings.texts("mounts")])
        for mount in self._mounts:
            self._levels[f"disk {mount}"] = self._level("disk")
            self._levels[f"inodes {mount}"] = self._level("inodes")
        self._ticks: list[int] | None = None
        self._smooth: dict[str, deque[float]] = {name: deque(maxlen=_SMOOTH) for name in ("cpu", "steal")}
        self._vmstat: dict[str, int] = {}
        self._looked_ns = 0

    def check_compatible(self) -> None:
        """Look for /proc."""
        try:
            self.read("/proc/meminfo", 64)
        except OSError as error:
            raise CapabilityError(f"/proc/meminfo cannot be read: {error.strerror}") from error

    def look(self) -> Iterator[Emission]:
        """Take one sample."""
        memory, vmstat = self._numbers("/proc/meminfo", 1024), self._numbers("/proc/vmstat", 1)
        facts, values = self._cpu()
        values |= _memory(memory)
        now = self.context.clocks().boottime_ns
        traffic = self._swap_traffic(vmstat, now)
        if traffic is not None:
            facts |= {"swap_in": f"{traffic[0]:.0f}", "swap_out": f"{traffic[1]:.0f}"}
            values["swap_traffic"] = min(traffic)  # pages go both ways only when memory is really short
        yield from self._oom_kills(vmstat)
        self._vmstat, self._looked_ns = vmstat, now
        values |= self._disks()
        yield self._sample(facts, values, memory)
        yield from self._judge(values)

    def _level(self, name: str) -> Level:
        critical = self.settings.number(f"{name}_critical")
        return Level(
            self.settings.number(f"{name}_warning"),
            math.inf if name == "cpu" and critical >= 100 else critical,
            self.settings.number("hysteresis"),
        )

    def _numbers(self, path: str, factor: int) -> dict[str, int]:
        values: dict[str, int] = {}
        for line in self.read(path).splitlines():
            name, _, rest = line.replace(b":", b" ", 1).partition(b" ")
            with contextlib.suppress(ValueError, IndexError):
                values[name.decode("ascii", "replace")] = int(rest.split()[0]) * factor
        return values

    def _cpu(self) -> tuple[dict[str, str | None], dict[str, float]]:
        lines = self.read("/proc/stat").splitlines()
        ticks = [int(part) for part in lines[0].split()[1 : 1 + _FIRST_FIELDS]]
        blocked = next((line.split()[1] for line in lines if line.startswith(b"procs_blocked")), b"0")
        facts: dict[str, str | None] = {"tasks_blocked": blocked.decode()}
        before, self._ticks = self._ticks, ticks
        if before is None or len(before) != len(ticks):
            return facts, {}
        # A counter may step back (idle and iowait do); such a step counts as none.
        spent = [max(0, new - old) for new, old in zip(ticks, before, strict=True)]
        total = sum(spent)
        if not total:
            return facts, {}
        steal = 100 * spent[7] / total if len(spent) > 7 else 0.0
        idle, iowait = 100 * spent[3] / total, 100 * spent[4] / total
        busy = max(0.0, 100 - idle - iowait - steal)
        facts |= {"cpu": f"{busy:.1f}", "steal": f"{steal:.1f}", "iowait": f"{iowait:.1f}"}
        values = {}
        for name, value in (("cpu", busy), ("steal", steal)):
            self._smooth[name].append(value)
            if len(self._smooth[name]) == _SMOOTH:
                values[name] = sum(self._smooth[name]) / _SMOOTH
        return facts, values

    def _swap_traffic(self, vmstat: dict[str, int], now: int) -> tuple[float, float] | None:
        if not self._vmstat or now <= self._looked_ns:
            return None
        seconds = (now - self._looked_ns) / 1e9
        pages = [max(0, vmstat.get(key, 0) - self._vmstat.get(key, 0)) for key in ("pswpin", "pswpout")]
        return pages[0] / seconds, pages[1] / seconds

    def _kept_kills(self, total: int) -> int:
        """The kernel's count when the run before last looked, in the same boot: what was killed since must not go untold."""
        kept = self.context.positions.get(self.name)
        same = isinstance(kept, dict) and kept.get("boot") == self.context.boot_id
        return min(total, int(kept.get("oom_kill", total))) if same else total

    def _oom_kills(self, vmstat: dict[str, int]) -> Iterator[Observation]:
        total = vmstat.get("oom_kill", 0)
        kills = total - self._vmstat.get("oom_kill", self._kept_kills(total))
        if kills > 0:
            yield Observation(
                "memory.oom_kill",
                _SOURCE,
                "Resource",
                EventSeverity.CRITICAL,
                "Kernel killed processes for lack of memory",
                {"kills": str(kills), "total": str(total)},
            )

    def _disks(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for mount in self._mounts:
            with contextlib.suppress(OSError):
                facts = os.statvfs(mount)
                usable = facts.f_blocks - facts.f_bfree + facts.f_bavail
                if usable:
                    values[f"disk {mount}"] = 100 * (facts.f_blocks - facts.f_bfree) / usable
                if facts.f_files:
                    values[f"inodes {mount}"] = 100 * (facts.f_files - facts.f_ffree) / facts.f_files
        return values

    def _sample(
        self, facts: dict[str, str | None], values: dict[str, float], memory: dict[str, int]
    ) -> Observation:
        root = self._mounts[0] if self._mounts else "/"
        facts |= {
            "mem": f"{values['memory']:.1f}",
            "mem_available": str(memory.get("MemAvailable", 0)),
            "swap": f"{values['swap']:.1f}" if "swap" in values else None,
            "disk_root": f"{values.get(f'disk {root}', 0):.1f}",
            "inodes_root": f"{values[f'inodes {root}']:.1f}" if f"inodes {root}" in values else None,
            "load1": self.read("/proc/loadavg", 64).split()[0].decode(),
            "dirty": str(memory.get("Dirty", 0) + memory.get("Writeback", 0)),
        }
        kills = {"boot": self.context.boot_id, "oom_kill": self._vmstat.get("oom_kill", 0)}
        return Observation(
            "resource.sample",
            _SOURCE,
            "Resource",
            EventSeverity.INFO,
            "Resource utilization",
            facts,
            position=(self.name, kills),
        )

    def _judge(self, values: dict[str, float]) -> Iterator[Observation]:
        for key, value in values.items():
            level = self._levels[key]
            state = level.update(value)
            if state is None:
                continue
            resource, _, path = key.partition(" ")
            memory = resource == "memory" and state != "normal"
            yield Observation(
                "resource.threshold",
                _SOURCE,
                "Resource",
                SEVERITY_OF[state],
                "Resource threshold crossed",
                {
                    "resource": resource,
                    "state": state,
                    "value": f"{value:.1f}",
                    "threshold": f"{level.threshold:g}",
                    "path": path or None,
                    "top": self._largest() if memory else None,
                },
            )

    def _largest(self) -> str:
        """Return the three processes with most resident memory; looked for only when memory is short."""
        found: list[tuple[int, str]] = []
        page = os.sysconf("SC_PAGE_SIZE")
        with os.scandir(self.path("/proc")) as entries:
            for entry in entries:
                if entry.name.isdigit():
                    with contextlib.suppress(OSError, ValueError, IndexError):
                        resident = int(self.read(f"/proc/{entry.name}/statm", 128).split()[1]) * page
                        found.append((resident, entry.name))
        names = []
        for resident, pid in sorted(found, reverse=True)[:3]:
            with contextlib.suppress(OSError):
                comm = self.read(f"/proc/{pid}/comm", 64).decode("utf-8", "replace").strip()
                names.append(f"{pid}:{comm.replace(' ', '_')}:{resident}")
        return " ".join(names)


def _memory(memory: dict[str, int]) -> dict[str, float]:
    total, swap = memory.get("MemTotal", 0), memory.get("SwapTotal", 0)
    values = {"memory": 100 - 100 * memory.get("MemAvailable", 0) / total if total else 0.0}
    if swap:
        values["swap"] = 100 - 100 * memory.get("SwapFree", 0) / swap
    return values


def _distinct(mounts: list[os.PathLike[str]]) -> list[str]:
    """Leave out paths on a file system that an earlier one is on."""
    seen: set[int] = set()
    kept = []
    for mount in mounts:
        with contextlib.suppress(OSError):
            device = os.stat(mount).st_dev  # noqa: PTH116  takes any path
            if device not in seen:
                seen.add(device)
                kept.append(os.fspath(mount))
    return kept
