# SPDX-License-Identifier: Apache-2.0
"""Gives a collector a machine made of files and a clock that is moved by hand, and checks all that it says against the schema."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema

from observer.agents.collector import Collector, Context, Emission, FeedLoss, Observation, PeriodicCollector
from observer.agents.host import HostIdentity
from observer.agents.pipeline import Pipeline, PipelineLimits
from observer.agents.positions import Positions
from observer.agents.settings import Section, load_settings
from observer.model.event_record import Clocks, EventRecord
from tools import gen_event_schema

BOOT = "4fe05be0-f918-4c91-865f-3ffa1450bd07"
HOST = HostIdentity(BOOT, "0123456789abcdef0123456789abcdef", "build7")
RUN = "9f2c51ab0d77e346"
SCHEMA = json.loads(gen_event_schema.SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class Clock:
    """Clocks that stand still until moved."""

    def __init__(self) -> None:
        self.now = Clocks(1_795_776_009_000_000_000, 1_000_000_000_000, 1_000_000_000_000)

    def __call__(self) -> Clocks:
        return self.now

    def move(self, seconds: float, *, asleep: float = 0, wall: float = 0) -> None:
        """Let time pass: awake, asleep, and steps of the wall clock, all in seconds."""
        awake, slept = int(seconds * 1e9), int(asleep * 1e9)
        self.now = Clocks(
            self.now.wall_ns + awake + slept + int(wall * 1e9),
            self.now.monotonic_ns + awake,
            self.now.boottime_ns + awake + slept,
        )


class Machine:
    """A root directory, a clock and positions, from which collectors are made."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock, self.positions = root, Clock(), Positions()

    def put(self, path: str, text: str | bytes) -> Path:
        """Write a file of the machine."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def make(self, kind: type[Collector], *, boot_id: str = BOOT, **changes: Any) -> Any:
        """Return a collector with the default settings and these changes."""
        section = load_settings()[kind.name]
        section = Section(section.name, {**section.values, **changes})
        halt = threading.Event()
        return kind(Context(section, self.positions, halt, self.root, self.clock, boot_id))

    def take(self, emissions: Iterable[Emission]) -> list[EventRecord]:
        """Return what was said as records, each checked; positions move as if they had been sealed."""
        pipeline = Pipeline(HOST, RUN, None, PipelineLimits(rate=1e6, burst=10**6), clocks=self.clock)
        for one in emissions:
            if isinstance(one, Observation):
                pipeline.emit(one)
                if one.position is not None:
                    self.positions.set(*one.position)
        records = []
        for line in pipeline.snapshot():
            VALIDATOR.validate(json.loads(line))
            records.append(EventRecord.from_json(line))
        return records

    def look(self, collector: PeriodicCollector) -> list[EventRecord]:
        """Return what one look says."""
        return self.take(collector.look())


def until_quiet(collector: Collector, most: int = 1000) -> Iterator[Observation | FeedLoss]:
    """Yield emissions of a running collector until it says that nothing happened."""
    for number, one in enumerate(collector.events()):
        if one is None or number >= most:
            return
        yield one


def facts(record: EventRecord) -> dict[str, str]:
    """Return a record's attributes without those that every record has."""
    return {
        key: value for key, value in record.attributes if key not in {"boot_id", "machine_id", "hostname"}
    }
