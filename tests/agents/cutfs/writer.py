# SPDX-License-Identifier: Apache-2.0
"""Runs the agent's own ring, pipeline and sealer on a directory, and says on `mark` what has become durable, and when.

usage: writer.py DIRECTORY MARK SECONDS honest|lying

Marks are lines `log N` and `ring N`: every record up to number N was forced to the disk. The lying writer is the negative
control: it says so without doing it three times in four.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path

from observer.agents.collector import Observation
from observer.agents.host import HostIdentity, read_clocks
from observer.agents.log_store import LogStore
from observer.agents.pipeline import Pipeline, PipelineLimits
from observer.agents.positions import Positions
from observer.agents.reserve import Reserve
from observer.agents.ring import Beat, RingFile
from observer.agents.sealer import Sealer, SealerTiming
from observer.agents.settings import Section, load_settings
from observer.model.event import EventSeverity

HOST = HostIdentity("4fe05be0-f918-4c91-865f-3ffa1450bd07", "0123456789abcdef0123456789abcdef", "cut")
RUN = "9f2c51ab0d77e346"
SLOTS = 2048
GRADES = [EventSeverity.INFO] * 6 + [EventSeverity.WARNING, EventSeverity.ERROR]


class TellingPipeline(Pipeline):
    """Says when the ring file was forced to the disk."""

    tell = staticmethod(lambda _text: None)

    def sync_ring(self) -> None:
        number = self.ring_number
        super().sync_ring()
        self.tell(f"ring {number}")


class TellingSealer(Sealer):
    """Says when the log was."""

    tell = staticmethod(lambda _text: None)

    def _mark_durable(self) -> None:
        super()._mark_durable()
        self.tell(f"log {self._durable}")


def main() -> None:
    place, mark, seconds, kind = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4]
    handle = os.open(mark, os.O_WRONLY)
    lock = threading.Lock()

    def tell(text: str) -> None:
        with lock:
            os.write(handle, text.encode() + b"\n")

    TellingPipeline.tell = TellingSealer.tell = staticmethod(tell)  # type: ignore[assignment]
    if kind == "lying":
        lie()
    section = load_settings()["log"]
    store = LogStore(place / "guest-events.log", place, Section("log", {**section.values, "reserve": 0}))
    reserve = Reserve(place / "guest-events.reserve", 0)
    identity = store.open_with(reserve).identity["log"]
    ring = RingFile.open(place / "guest-events.ring", slots=SLOTS, log_id=str(identity))
    pipeline = TellingPipeline(HOST, RUN, ring, PipelineLimits(rate=1e6, burst=10**6))
    beat = Beat(HOST.boot_id, RUN, read_clocks())
    timing = SealerTiming(ring_s=0.05, log_s=0.2, beat_s=0.2)
    sealer = TellingSealer(
        pipeline, store, Positions(place / "guest-events.positions"), reserve, beat=beat, timing=timing
    )
    sealer.start()
    feed(pipeline, time.monotonic() + seconds)
    os._exit(0)  # as a crash ends it


def lie() -> None:
    true_sync, generator = os.fdatasync, random.Random(7)
    os.fdatasync = lambda fd: None if generator.random() < 0.75 else true_sync(fd)  # type: ignore[assignment]
    from observer.evidence.writing import SealedLog

    SealedLog.sync = lambda self: None  # type: ignore[method-assign]
    append = SealedLog.append_batch

    def unsynced(self: SealedLog, events: list[bytes], severity: object = 1) -> int:
        del severity
        return append(self, events)

    SealedLog.append_batch = unsynced  # type: ignore[method-assign, assignment]
    SealedLog.tick = lambda self: None  # type: ignore[method-assign]


def feed(pipeline: Pipeline, end: float) -> None:
    generator, number = random.Random(int(os.environ.get("OBSERVER_SEED", "1"))), 0
    while time.monotonic() < end:
        number += 1
        text = f"record {number} " + "x" * generator.randrange(0, 1500)
        facts = {"level": "6", "facility": "kern", "kmsg_sequence": str(number)}
        pipeline.emit(
            Observation("kernel.message", "kernel.kmsg", "Kernel", generator.choice(GRADES), text, facts)
        )
        time.sleep(generator.choice([0, 0, 0.001, 0.004, 0.02]))


if __name__ == "__main__":
    main()
