# SPDX-License-Identifier: Apache-2.0
"""From observations to records: numbers them, holds each source to its rate, mirrors them in the ring, queues them for sealing.

Nothing here waits for a disk. What cannot be taken is counted, with its sequence numbers, and told by `agent.loss`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from observer.agents.collector import FeedLoss, Observation
from observer.agents.host import HostIdentity, read_clocks
from observer.agents.ring import RingFile
from observer.model.event import EventSeverity
from observer.model.event_record import MAX_MESSAGE_CHARS, Clocks, EventRecord, clean_text

__all__ = ["AGENT_SOURCE", "MAX_RECORD_BYTES", "Pipeline", "PipelineLimits", "Queued"]

AGENT_SOURCE: Final = "wslmon.ubuntu"
MAX_RECORD_BYTES: Final = 48 * 1024
_LOSS_EVERY_NS: Final = 1_000_000_000
_MAX_SOURCES: Final = 64  # sources are ours; a bound all the same


class Queued(NamedTuple):
    """A record on its way to the log: its bytes, severity, ring number, and the position it stands for."""

    data: bytes
    severity: EventSeverity
    number: int
    position: tuple[str, object] | None


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """How much is taken.

    Attributes:
        queue: Records that may wait for sealing.
        buffer: Records in the rolling buffer.
        rate: Records a source may emit a second in each of three classes: below Warning, Warning, from Error on.
        burst: Records it may emit at once.
    """

    queue: int = 8192
    buffer: int = 1024
    rate: float = 200.0
    burst: int = 2000


@dataclass(slots=True)
class _Drop:
    first: int = 0
    last: int = 0
    count: int = 0
    since_ns: int = 0


@dataclass(slots=True)
class _Source:
    sequence: int = 0
    # One bucket a class, so that a flood of Info lines cannot starve an Error: tokens, and when they were counted.
    tokens: list[float] = field(default_factory=list)
    counted_ns: list[int] = field(default_factory=lambda: [0, 0, 0])
    drops: dict[str, _Drop] = field(default_factory=dict)


class Pipeline:
    """The one door through which events enter; safe to use from every collector's thread."""

    def __init__(
        self,
        host: HostIdentity,
        run: str,
        ring: RingFile | None,
        limits: PipelineLimits,
        *,
        clocks: Callable[[], Clocks] = read_clocks,
    ) -> None:
        self._host, self._run, self._ring, self._limits = host, run, ring, limits
        self._clocks = clocks
        self._lock = threading.Lock()
        self._queue: deque[Queued] = deque()
        self._sources: dict[str, _Source] = {}
        self._identity = (
            ("boot_id", host.boot_id),
            ("hostname", clean_text(host.hostname)),
            ("machine_id", host.machine_id),
        )
        self._losses_ns = 0
        self.buffer: deque[bytes] = deque(maxlen=limits.buffer)
        self.ready = threading.Event()
        self.urgent = False
        self.emitted = 0
        self.dropped = 0
        self.counts: dict[str, int] = {}
        self.critical = ""  # type of the last Critical event, until the dumper takes it

    def emit(self, observation: Observation) -> int | None:
        """Take an observation; returns its sequence, or None when it was dropped (and counted)."""
        with self._lock:
            return self._emit(observation, forced=False)

    def emit_always(self, observation: Observation) -> int | None:
        """Take an observation of the agent itself, whatever the rate and the queue are."""
        with self._lock:
            return self._emit(observation, forced=True)

    def lose(self, loss: FeedLoss) -> None:
        """Count events that a feed lost before they had a number."""
        with self._lock:
            source = self._source(loss.source)
            self._note(source, loss.reason, self._clocks().boottime_ns, None, loss.count)

    def take(self, most: int) -> list[Queued]:
        """Return up to `most` queued records, oldest first; for the sealer."""
        with self._lock:
            self.ready.clear()
            self.urgent = False
            batch = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            if self._queue:
                self.ready.set()
            return batch

    def put_back(self, batch: list[Queued]) -> None:
        """Queue records again that could not be sealed."""
        with self._lock:
            self._queue.extendleft(reversed(batch))
            over = len(self._queue) - self._limits.queue
            for _ in range(max(0, over)):
                self._queue.pop()
            if over > 0:
                self._note(self._source(AGENT_SOURCE), "storage_full", self._clocks().boottime_ns, None, over)

    @property
    def waiting(self) -> int:
        """Records that wait to be sealed."""
        return len(self._queue)

    @property
    def ring_number(self) -> int:
        """Number of the newest record in the ring file."""
        return self._ring.number if self._ring is not None else 0

    def snapshot(self) -> list[bytes]:
        """Return the rolling buffer, oldest first."""
        with self._lock:
            return list(self.buffer)

    def declare_losses(self, *, now: bool = False) -> None:
        """Seal what was dropped since the last time, at most once a second unless `now`."""
        with self._lock:
            clocks = self._clocks()
            if not now and clocks.boottime_ns - self._losses_ns < _LOSS_EVERY_NS:
                return
            self._losses_ns = clocks.boottime_ns
            for name, source in list(self._sources.items()):
                for reason, drop in source.drops.items():
                    self._emit(_loss(name, reason, drop), forced=True)
                source.drops.clear()

    def sync_ring(self) -> None:
        """Force the ring file to the disk, outside the lock."""
        if self._ring is not None:
            self._ring.sync()

    def with_ring(self, act: Callable[[RingFile], None]) -> None:
        """Do something with the ring file while no record is being written."""
        with self._lock:
            if self._ring is not None:
                act(self._ring)

    def _source(self, name: str) -> _Source:
        found = self._sources.get(name)
        if found is None:
            if len(self._sources) >= _MAX_SOURCES:
                name = AGENT_SOURCE
            burst = float(self._limits.burst)
            found = self._sources.setdefault(name, _Source(tokens=[burst, burst, burst]))
        return found

    def _emit(self, observation: Observation, *, forced: bool) -> int | None:
        clocks = self._clocks()
        source = self._source(observation.source)
        source.sequence += 1
        if not forced and not self._admit(source, observation.severity, clocks.boottime_ns):
            self._note(source, "rate_limit", clocks.boottime_ns, source.sequence, 1)
            return None
        data = self._encode(observation, source.sequence, clocks)
        number = self._ring.write(data) if self._ring is not None else 0
        self.buffer.append(data)
        if not forced and len(self._queue) >= self._limits.queue:
            self._note(source, "queue_full", clocks.boottime_ns, source.sequence, 1)
            return None
        self._queue.append(Queued(data, observation.severity, number, observation.position))
        self.emitted += 1
        self.counts[observation.source] = self.counts.get(observation.source, 0) + 1
        if observation.severity.rank >= EventSeverity.ERROR.rank:
            self.urgent = True
        if observation.severity is EventSeverity.CRITICAL:
            self.critical = f"{observation.event_type} of {observation.source}"
        self.ready.set()
        return source.sequence

    def _admit(self, source: _Source, severity: EventSeverity, now_ns: int) -> bool:
        grade = max(0, severity.rank - 1) if severity.rank < 4 else 2
        since, source.counted_ns[grade] = source.counted_ns[grade] or now_ns, now_ns
        tokens = source.tokens[grade] + (now_ns - since) / 1e9 * self._limits.rate
        tokens = min(tokens, float(self._limits.burst))
        source.tokens[grade] = tokens - 1 if tokens >= 1 else tokens
        return tokens >= 1

    def _note(self, source: _Source, reason: str, now_ns: int, sequence: int | None, count: int) -> None:
        drop = source.drops.setdefault(reason, _Drop(since_ns=now_ns))
        drop.count += count
        self.dropped += count
        if sequence is not None:
            drop.first = drop.first or sequence
            drop.last = sequence
        self.ready.set()

    def _encode(self, seen: Observation, sequence: int, clocks: Clocks) -> bytes:
        attributes = _attributes(seen.attributes)
        identity = self._identity
        if seen.boot_id and seen.boot_id != self._host.boot_id:
            identity = (("boot_id", seen.boot_id), *identity[1:])
        message = clean_text(seen.message, MAX_MESSAGE_CHARS)
        while True:
            record = EventRecord(
                event_type=seen.event_type,
                source=seen.source,
                category=seen.category,
                severity=seen.severity,
                message=message,
                attributes=(*identity, *attributes.items()),
                sequence=sequence,
                run=self._run,
                collector=clocks,
                observed=seen.observed,
            )
            data = record.to_json()
            if len(data) <= MAX_RECORD_BYTES or not message:
                return data
            # Escapes made it longer than its characters: cut by the excess, and say so.
            keep = max(0, len(message) - max(256, (len(data) - MAX_RECORD_BYTES) // 6))
            cut = int(attributes.get("truncated", "0")) + len(message) - keep
            message, attributes["truncated"] = message[:keep], str(cut)


def _attributes(given: Mapping[str, str | None]) -> dict[str, str]:
    return {key: clean_text(value) for key, value in given.items() if value is not None}


def _loss(source: str, reason: str, drop: _Drop) -> Observation:
    return Observation(
        "agent.loss",
        AGENT_SOURCE,
        "Agent",
        EventSeverity.WARNING,
        "Events dropped",
        {
            "of": source,
            "dropped": str(drop.count),
            "reason": reason,
            "first_sequence": str(drop.first) if drop.first else None,
            "last_sequence": str(drop.last) if drop.last else None,
            "since": str(drop.since_ns),
        },
    )
