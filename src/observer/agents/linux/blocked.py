# SPDX-License-Identifier: Apache-2.0
"""Tasks that stay in uninterruptible sleep, with the kernel function and stack they wait in.

Reads /proc/PID/stat of every process, about 15 µs each; looks are stretched so that they cost under 0.2 % of a core, or ten times
that while a task is blocked. Threads of a process are searched then too, and every fourth look. Stacks need CAP_SYS_ADMIN, the
function CAP_SYS_PTRACE; without them a task is told without. Source: proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.errors import CapabilityError
from observer.model.event import EventSeverity

__all__ = ["BlockedTaskWatcher"]

_SOURCE: Final = "tasks.blocked"
_SHARE: Final = 0.002  # of one core that looking may cost
_SHARE_BLOCKED: Final = 0.02  # while something is blocked: then it is worth more
_THREADS_EVERY: Final = 4  # looks between two searches of all threads
_GRAVE: Final = 3  # times `after` from which it is an Error


@dataclass(slots=True)
class _Task:
    since_ns: int
    switches: bytes
    comm: str
    told: EventSeverity | None = None


class BlockedTaskWatcher(PeriodicCollector):
    """Follows each blocked task until it runs again."""

    name: ClassVar[str] = "blocked"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tasks: dict[
            tuple[str, str], _Task
        ] = {}  # thread and its start time, so that a reused id is another task
        self._looks = 0
        self._rest_ns = 0

    def check_compatible(self) -> None:
        """Look for /proc."""
        try:
            self.read("/proc/self/stat", 64)
        except OSError as error:
            raise CapabilityError(f"/proc cannot be read: {error.strerror}") from error

    def look(self) -> Iterator[Emission]:
        """Find blocked tasks and tell of those that stay."""
        begun = self.context.clocks().boottime_ns
        if begun < self._rest_ns:
            return
        found = dict(self._blocked())
        for key, task in list(self._tasks.items()):
            if key not in found or found[key].switches != task.switches:
                del self._tasks[key]
                if task.told is not None:
                    yield self._observe(key[0], task, begun, "released")
        for key, task in found.items():
            task = self._tasks.setdefault(key, task)
            yield from self._judge(key[0], task, begun)
        cost = self.context.clocks().boottime_ns - begun
        self._rest_ns = begun + int(cost / (_SHARE_BLOCKED if self._tasks else _SHARE))

    def _judge(self, thread: str, task: _Task, now: int) -> Iterator[Observation]:
        seconds, after = (now - task.since_ns) / 1e9, self.settings.number("after")
        grade = EventSeverity.ERROR if seconds >= _GRAVE * after else EventSeverity.WARNING
        told = sum(one.told is not None for one in self._tasks.values())
        if (
            seconds < after
            or task.told is grade
            or (task.told is None and told >= self.settings.count("most"))
        ):
            return
        task.told = grade
        yield self._observe(thread, task, now, "blocked")

    def _blocked(self) -> Iterator[tuple[tuple[str, str], _Task]]:
        self._looks += 1
        all_threads = self._looks % _THREADS_EVERY == 1
        with os.scandir(self.path("/proc")) as entries:
            processes = [entry.name for entry in entries if entry.name.isdigit()]
        known = {thread for thread, _ in self._tasks}
        for process in processes:
            yield from self._inspect(f"/proc/{process}", process)
            if all_threads or known:
                yield from self._threads(process)

    def _threads(self, process: str) -> Iterator[tuple[tuple[str, str], _Task]]:
        try:
            names = os.listdir(self.path(f"/proc/{process}/task"))  # noqa: PTH208  names alone, many of them
        except OSError:
            return
        for name in names:
            if name != process:
                yield from self._inspect(f"/proc/{process}/task/{name}", name)

    def _inspect(self, place: str, thread: str) -> Iterator[tuple[tuple[str, str], _Task]]:
        try:
            stat = self.read(f"{place}/stat", 1024)
            head, _, rest = stat.rpartition(b")")
            if rest[1:2] != b"D":
                return
            status = self.read(f"{place}/status", 8192)
        except OSError:
            return
        started = rest.split()[19].decode()
        switches = next((line for line in status.splitlines() if line.startswith(b"voluntary_ctxt")), b"")
        comm = head.partition(b"(")[2].decode("utf-8", "replace")
        yield (thread, started), _Task(self.context.clocks().boottime_ns, switches, comm)

    def _observe(self, thread: str, task: _Task, now: int, state: str) -> Observation:
        there = state == "blocked"
        return Observation(
            "task.blocked",
            _SOURCE,
            "Hung",
            task.told or EventSeverity.WARNING,
            "Task blocked in the kernel",
            {
                "pid": thread,
                "comm": task.comm,
                "seconds": f"{(now - task.since_ns) / 1e9:.0f}",
                "state": state,
                "wchan": self._fact(thread, "wchan") if there else None,
                "stack": self._fact(thread, "stack") if there else None,
                "cgroup": self._fact(thread, "cgroup") if there else None,
            },
        )

    def _fact(self, thread: str, name: str) -> str | None:
        try:
            text = self.read(f"/proc/{thread}/{name}", 4096).decode("utf-8", "replace").strip()
        except OSError:
            return None
        if name == "cgroup":
            text = text.splitlines()[-1].rpartition(":")[2] if text else ""
        return None if text in {"", "0"} else text
