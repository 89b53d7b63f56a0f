# SPDX-License-Identifier: Apache-2.0
"""Numbers, rates, bounds: nothing is dropped without a record that says how many, why, and between which numbers."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.agents.collector import FeedLoss, Observation
from observer.agents.pipeline import MAX_RECORD_BYTES, Pipeline, PipelineLimits
from observer.model.event import EventSeverity
from observer.model.event_record import EventRecord
from tests.agents.feeds import HOST, RUN, VALIDATOR, Clock

INFO, WARNING, ERROR = EventSeverity.INFO, EventSeverity.WARNING, EventSeverity.ERROR


def seen(severity: EventSeverity = INFO, message: str = "m", source: str = "kernel.kmsg") -> Observation:
    facts = {"level": "6", "facility": "kern", "kmsg_sequence": "1"}
    return Observation("kernel.message", source, "Kernel", severity, message, facts)


def pipeline(clock: Clock, **limits: float) -> Pipeline:
    return Pipeline(HOST, RUN, None, PipelineLimits(**limits), clocks=clock)  # type: ignore[arg-type]


def drained(line: Pipeline) -> list[EventRecord]:
    records = []
    while batch := line.take(512):
        for one in batch:
            record = EventRecord.from_json(one.data)
            if record.event_type == "agent.loss":
                VALIDATOR.validate(json.loads(one.data))
            records.append(record)
    return records


def account(records: list[EventRecord], source: str) -> tuple[set[int], int]:
    """Return the sequences that are missing, and how many were declared dropped with numbers."""
    present = [one.sequence for one in records if one.source == source]
    losses = [one for one in records if one.event_type == "agent.loss" and one.get("of") == source]
    highest = max([*present, *(int(one.get("last_sequence", "0")) for one in losses)], default=0)
    missing = set(range(1, highest + 1)) - set(present)
    for one in losses:
        low, high = int(one.get("first_sequence", "0")), int(one.get("last_sequence", "0"))
        assert not low or (low in missing and high in missing)
    return missing, sum(int(one.get("dropped")) for one in losses if one.get("first_sequence"))


def test_a_storm_is_cut_and_each_missing_number_is_declared() -> None:
    clock = Clock()
    line = pipeline(clock, rate=100, burst=500, queue=10_000)
    records = []
    for _ in range(10):
        for _ in range(1000):
            line.emit(seen())
        clock.move(1)
        line.declare_losses()
        records += drained(line)
    missing, declared = account(records, "kernel.kmsg")
    assert len(missing) == declared == 10_000 - sum(one.source == "kernel.kmsg" for one in records)
    assert sum(one.source == "kernel.kmsg" for one in records) == 500 + 9 * 100
    assert {one.get("reason") for one in records if one.event_type == "agent.loss"} == {"rate_limit"}


def test_info_cannot_starve_errors_nor_one_source_another() -> None:
    line = pipeline(Clock(), rate=1, burst=10)
    for _ in range(1000):
        line.emit(seen())
    assert line.emit(seen(ERROR)) is not None
    assert line.emit(seen(WARNING)) is not None
    assert line.emit(seen(source="systemd.journal")) is not None
    assert line.emit(seen()) is None


@given(
    st.lists(st.sampled_from([INFO, WARNING, ERROR, None]), max_size=400),
    st.integers(1, 40),
    st.integers(1, 60),
)
def test_any_mix_adds_up(steps: list[EventSeverity | None], burst: int, queue: int) -> None:
    clock = Clock()
    line = pipeline(clock, rate=5, burst=burst, queue=queue)
    records, emitted = [], 0
    for step in steps:
        if step is None:
            clock.move(0.7)
            line.declare_losses()
            records += drained(line)
        else:
            line.emit(seen(step))
            emitted += 1
    line.declare_losses(now=True)
    records += drained(line)
    missing, declared = account(records, "kernel.kmsg")
    assert len(missing) == declared
    assert sum(one.source == "kernel.kmsg" for one in records) + declared == emitted


def test_what_a_feed_lost_is_declared_without_numbers() -> None:
    line = pipeline(Clock())
    line.lose(FeedLoss("kernel.kmsg", 45))
    line.declare_losses(now=True)
    (loss,) = drained(line)
    assert (loss.get("of"), loss.get("dropped"), loss.get("reason")) == ("kernel.kmsg", "45", "feed_overrun")
    assert loss.get("first_sequence") == ""


def test_the_buffer_keeps_the_newest_even_of_what_the_queue_refused() -> None:
    line = pipeline(Clock(), queue=10, buffer=16, burst=1000)
    for number in range(100):
        line.emit(seen(message=str(number)))
    assert [json.loads(one)["message"] for one in line.snapshot()] == [
        str(number) for number in range(84, 100)
    ]
    line.declare_losses(now=True)
    records = drained(line)
    assert account(records, "kernel.kmsg") == (set(range(11, 101)), 90)
    assert records[-1].get("reason") == "queue_full"


def test_memory_is_bounded_in_a_storm() -> None:
    line = pipeline(Clock(), queue=1000, buffer=1024, rate=1e9, burst=10**9)
    line.emit(seen())
    tracemalloc.start()
    for _ in range(6_000):
        line.emit(seen(message="x" * 300))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert line.dropped == 6_001 - 1000


@pytest.mark.parametrize("text", ["\x00" * 8192, "\U0001f4a9" * 8192, "a" * 100_000, "\ud800"])
def test_a_record_never_outgrows_its_bound(text: str) -> None:
    line = pipeline(Clock())
    line.emit(seen(message=text))
    data = line.take(1)[0].data
    assert len(data) <= MAX_RECORD_BYTES
    record = EventRecord.from_json(data)
    assert record.message == text.encode("utf-8", "replace").decode()[: len(record.message)]


def test_records_that_could_not_be_sealed_come_first_again() -> None:
    line = pipeline(Clock(), queue=4)
    for number in range(4):
        line.emit(seen(message=str(number)))
    batch = line.take(2)
    line.put_back(batch)
    assert [one.message for one in drained(line)] == ["0", "1", "2", "3"]
