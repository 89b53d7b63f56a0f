# SPDX-License-Identifier: Apache-2.0
"""The plugin's own time between host calls, recorded and replayed."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from observer.model.comparison import TimingDifference
from observer.plugins.ring import Call

__all__ = ["Timing"]

_TOLERANCE_NS = 1_000_000  # schedulers and compilers explain less than this
_KEPT = 20


@dataclass(slots=True)
class Timing:
    """Collects gaps between calls; keeps the largest differences."""

    expected: deque[tuple[str, int, int]] = field(default_factory=deque)
    _heap: list[tuple[int, int, str, int, int]] = field(default_factory=list)
    _last_replay: int | None = None
    _last_recorded: int | None = None
    _index: int = 0

    def expect(self, syscall: str, call: Call) -> None:
        """Note a recorded call that was just matched."""
        self.expected.append((syscall, call.start_ns, call.end_ns))

    def see(self, call: Call) -> None:
        """Note the replayed call that belongs to the oldest expected one."""
        if not self.expected:
            return
        syscall, start, end = self.expected.popleft()
        if self._last_replay is not None and self._last_recorded is not None:
            recorded, replayed = start - self._last_recorded, call.start_ns - self._last_replay
            entry = (abs(replayed - recorded), self._index, syscall, recorded, replayed)
            (heapq.heappush if len(self._heap) < _KEPT else heapq.heappushpop)(self._heap, entry)
        self._last_replay, self._last_recorded = call.end_ns, end
        self._index += 1

    def largest(self) -> Iterator[TimingDifference]:
        """Yield the largest differences, in order of the calls."""
        for delta, index, syscall, recorded, replayed in sorted(self._heap, key=lambda entry: entry[1]):
            if delta > _TOLERANCE_NS:
                yield TimingDifference(index, syscall, recorded, replayed, exceeds_tolerance=True)
