# SPDX-License-Identifier: Apache-2.0
"""Seals queued records and keeps the promise of durability: Error and above at once, the rest within a second.

One thread. It alone writes the log, so a slow or full disk stops no collector: ring file and bounded queue take what comes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from observer.agents.host import read_clocks
from observer.agents.log_store import LogStore
from observer.agents.pipeline import Pipeline, Queued
from observer.agents.positions import Positions
from observer.agents.reserve import Reserve
from observer.agents.ring import Beat, RingFile
from observer.errors import CaptureError, ObserverError, StorageFull
from observer.evidence.writing import SealedLog, Severity
from observer.model.event import EventSeverity

__all__ = ["Sealer", "SealerTiming"]

_BATCH: Final = 512
_GATHER_S: Final = 0.02  # below Error, records of so long are sealed together
_REOPEN_NS: Final = 2_000_000_000
_FULL_RETRY_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SealerTiming:
    """How long data may be exposed, seconds.

    Attributes:
        ring_s: Until the ring file is forced to the disk.
        log_s: Until the log is.
        beat_s: Between two signs of life.
    """

    ring_s: float = 0.5
    log_s: float = 1.0
    beat_s: float = 1.0


class Sealer:
    """Moves records from the pipeline into the sealed log until stopped."""

    def __init__(
        self,
        pipeline: Pipeline,
        store: LogStore,
        positions: Positions,
        reserve: Reserve,
        *,
        beat: Beat,
        timing: SealerTiming,
    ) -> None:
        self._pipeline, self._store, self._positions, self._reserve = pipeline, store, positions, reserve
        self._log: SealedLog | None = store.take_or_open()
        self._beat, self._timing = beat, timing
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)
        self._ring_dirty_ns = 0
        self._log_dirty_ns = 0
        self._beat_ns = 0
        self._retry_ns = 0
        self._newest = 0  # ring number of the newest record that was sealed
        self._durable = 0  # and of the newest that is on the disk
        self._unsealed = 0  # records that the full disk refused
        self.sealed = 0
        self.problem = ""
        self.on_storage: Callable[[str, str], None] = lambda _state, _detail: None

    def start(self) -> None:
        """Write the first sign of life, so that from here on an end without a stop is seen; then begin."""
        self._newest = self._durable = self._pipeline.ring_number
        with contextlib.suppress(OSError):
            self._put_beat()
            self._pipeline.sync_ring()
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Seal what is queued, then an `end` record; returns whether that was done in time."""
        self._stop.set()
        self._pipeline.ready.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def seal_now(self, records: list[bytes]) -> None:
        """Seal records as they are, before `start`; for what the ring file alone still held."""
        for record in records:
            if self._log is not None:
                self._log.append(record, Severity.INFO)
        if self._log is not None:
            self._log.sync()

    def declare_now(self, dropped: int, reason: str) -> None:
        """Seal that so many records are lost, if any, before `start`."""
        if self._log is not None and dropped:
            self._log.declare_loss(dropped, reason)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._pipeline.ready.wait(self._until_next_duty())
            if self._pipeline.ready.is_set() and not self._pipeline.urgent and not self._stop.is_set():
                self._stop.wait(_GATHER_S)
            self._round()
        self._round(last=True)
        self._finish()

    def _round(self, *, last: bool = False) -> None:
        self._pipeline.declare_losses(now=last)
        while True:
            batch = self._pipeline.take(_BATCH)
            if not batch or not self._seal(batch):
                break
        self._duties(force=last)

    def _finish(self) -> None:
        with contextlib.suppress(OSError):
            self._put_beat(clean=True)
            self._pipeline.sync_ring()
        if self._log is not None:
            with contextlib.suppress(ObserverError):
                self._log.close()

    def _seal(self, batch: list[Queued]) -> bool:
        now = read_clocks().boottime_ns
        if self._log is None and not self._opened(now):
            self._pipeline.put_back(batch)
            return False
        severity = max(one.severity.rank for one in batch)
        try:
            self._append(batch, Severity(severity))
        except StorageFull as error:
            return self._full(batch, str(error), now)
        except CaptureError as error:
            self._broken(batch, str(error), now)
            return False
        self.sealed += len(batch)
        self._newest = batch[-1].number
        for one in batch:
            if one.position is not None:
                self._positions.set(*one.position)
        self._ring_dirty_ns = self._ring_dirty_ns or now
        self._log_dirty_ns = self._log_dirty_ns or now
        if severity >= EventSeverity.ERROR.rank:
            self._log_dirty_ns = 0
            self._mark_durable()
        self._positions.save()
        return True

    def _append(self, batch: list[Queued], severity: Severity) -> None:
        log = self._log
        if log is None:
            raise CaptureError("the log is not open")
        if self._unsealed:
            log.declare_loss(self._unsealed, "storage_full")
            self._unsealed = 0
        log.append_batch([one.data for one in batch], severity)
        if self.problem:
            self.problem = ""
            self.on_storage("restored", "")

    def _full(self, batch: list[Queued], reason: str, now: int) -> bool:
        if self._log is not None and self._store.prune_for_space(self._log):
            self._pipeline.put_back(batch)
            return True
        if self._reserve.release(self._store.path):
            self._pipeline.put_back(batch)
            self.on_storage("reserve_used", reason)
            return True
        if not self.problem:
            self.problem = reason
            self.on_storage("full", reason)
        self._unsealed += len(batch)  # the ring file has them; the count is sealed when there is room
        self._retry_ns = now + _FULL_RETRY_NS
        return False

    def _broken(self, batch: list[Queued], reason: str, now: int) -> None:
        # After a failed sync the kernel may have dropped data: only a log opened anew tells what is there.
        self._pipeline.put_back(batch)
        self.problem = self.problem or reason
        self._log = None
        self._retry_ns = now + _REOPEN_NS

    def _opened(self, now: int) -> bool:
        if now < self._retry_ns:
            return False
        try:
            self._log = self._store.take_or_open()
        except ObserverError as error:
            self.problem = str(error)
            self._retry_ns = now + _REOPEN_NS
            return False
        return True

    def _until_next_duty(self) -> float:
        now = read_clocks().boottime_ns
        due = [self._beat_ns + int(self._timing.beat_s * 1e9)]
        if self._ring_dirty_ns:
            due.append(self._ring_dirty_ns + int(self._timing.ring_s * 1e9))
        if self._log_dirty_ns:
            due.append(self._log_dirty_ns + int(self._timing.log_s * 0.9e9))
        return max(0.0, (min(due) - now) / 1e9)

    def _duties(self, *, force: bool = False) -> None:
        now = read_clocks().boottime_ns
        try:
            if self._log_dirty_ns and (force or now - self._log_dirty_ns >= self._timing.log_s * 0.9e9):
                self._log_dirty_ns = 0
                if self._log is not None:
                    self._log.tick()
                    self._log.sync()
                    self._mark_durable()
                    self._store.upkeep(self._log)
                    self._reserve.keep_behind(self._store.path)
            beat_due = now - self._beat_ns >= self._timing.beat_s * 1e9
            ring_due = self._ring_dirty_ns and now - self._ring_dirty_ns >= self._timing.ring_s * 1e9
            if force or beat_due or ring_due:
                self._put_beat()
                self._pipeline.sync_ring()
                self._ring_dirty_ns = 0
                self._reserve.refill()
        except (ObserverError, OSError) as error:
            self._broken([], str(error), now)

    def _mark_durable(self) -> None:
        self._durable = self._newest
        if self._positions.save():
            self._positions.sync()

    def _put_beat(self, *, clean: bool = False) -> None:
        clocks = read_clocks()
        self._beat_ns = clocks.boottime_ns
        beat = Beat(self._beat.boot_id, self._beat.run, clocks, self._durable, clean)

        def put(ring: RingFile) -> None:
            ring.beat(beat)

        self._pipeline.with_ring(put)
