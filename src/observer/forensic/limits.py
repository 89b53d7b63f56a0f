# SPDX-License-Identifier: Apache-2.0
"""What a replay may use, looked at while it runs; and which namespaces it leaves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from observer import clock
from observer.errors import ReplayError, UsageError
from observer.model.forensic import IsolationLevel, ResourceLimits

__all__ = ["Limits", "namespaces_of"]

# Source: clone(2), include/uapi/linux/sched.h.
_NAMESPACES: Final = {
    "filesystem": 0x00020000,  # CLONE_NEWNS
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "network": 0x40000000,
}
_ALL: Final = sum(_NAMESPACES.values())
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def namespaces_of(level: IsolationLevel) -> int:
    """Return the CLONE_NEW… bits of a level. Whatever it is, a replayed process can make no call of its own: this comes on top.

    Raises:
        UsageError: A custom level names something unknown. [OBS100]
    """
    if level.kind != "custom":
        return {"full": _ALL}.get(level.kind, _NAMESPACES.get(level.kind, 0))
    unknown = sorted(set(level.names) - set(_NAMESPACES))
    if unknown:
        raise UsageError(
            f"a custom isolation level cannot keep away from {unknown[0]!r}",
            hint=f"choose from {', '.join(_NAMESPACES)}",
        )
    return sum(_NAMESPACES[name] for name in set(level.names))


@dataclass(slots=True)
class Limits:
    """Counts what the processes of a replay use and ends it beyond the limits."""

    limits: ResourceLimits
    _began_ns: int = field(default_factory=clock.monotonic_ns)
    _cpu_began_s: float = field(default_factory=lambda: _cpu_s(os.getpid()))
    _gone_s: float = 0.0
    _seen: dict[int, float] = field(default_factory=dict)

    def check(self, pids: Sequence[int]) -> None:
        """Look at the processes of the replay.

        Raises:
            ReplayError: One limit is exceeded; the message says which. [OBS600]
        """
        wanted = self.limits
        if len(pids) > wanted.max_processes:
            _over("max_processes", f"{len(pids)} processes and threads", str(wanted.max_processes))
        resident = sum(_resident(pid) for pid in pids)
        if resident > wanted.max_memory:
            _over("max_memory", f"{resident:,} bytes resident", f"{wanted.max_memory:,}")
        spent = self._spent(pids)
        if spent > wanted.max_cpu_time:
            _over("max_cpu_time", f"{spent:.1f} s of CPU time", f"{wanted.max_cpu_time:g}")
        elapsed = (clock.monotonic_ns() - self._began_ns) / 1e9
        if wanted.max_wall_time is not None and elapsed > wanted.max_wall_time:
            _over("max_wall_time", f"{elapsed:.1f} s", f"{wanted.max_wall_time:g}")
        opened = max((_descriptors(pid) for pid in pids), default=0)
        if opened > wanted.max_file_descriptors:
            _over("max_file_descriptors", f"{opened} open files", str(wanted.max_file_descriptors))

    def _spent(self, pids: Sequence[int]) -> float:
        """CPU seconds of the replay: its processes, those that ended, and the replayer itself."""
        alive = {pid: _cpu_s(pid) for pid in pids}
        self._gone_s += sum(spent for pid, spent in self._seen.items() if pid not in alive)
        self._seen = alive
        return self._gone_s + sum(alive.values()) + _cpu_s(os.getpid()) - self._cpu_began_s


def _over(name: str, used: str, limit: str) -> None:
    raise ReplayError(
        f"the replay was ended at its limit {name}: {used}, {limit} allowed",
        hint=f"allow more with ResourceLimits({name}=…)",
    )


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0  # it ended meanwhile


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _descriptors(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
