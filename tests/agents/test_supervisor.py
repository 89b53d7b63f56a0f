# SPDX-License-Identifier: Apache-2.0
"""Collectors that fail, hang, or find no feed: restarted with back-off, recorded, and no harm to the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from observer.agents.collector import Collector, Context, Emission, Observation
from observer.agents.pipeline import Pipeline, PipelineLimits
from observer.agents.positions import Positions
from observer.agents.settings import Section
from observer.agents.supervisor import Supervisor, SupervisorTiming
from observer.errors import CapabilityError
from observer.model.event import EventSeverity
from observer.model.event_record import EventRecord
from tests.agents.feeds import HOST, RUN

TIMING = SupervisorTiming(hang_s=0.2, least_s=0.05, most_s=0.4)


class Probe(Collector):
    """A collector made for trouble."""

    lives: ClassVar[int] = 0
    release_all: ClassVar[threading.Event] = threading.Event()

    @property
    def period_s(self) -> float:
        return 0.05

    def tell(self, text: str) -> Observation:
        return Observation("crash.directory", f"test.{self.name}", "Crash", EventSeverity.INFO, text)


class Steady(Probe):
    name = "steady"

    def events(self) -> Iterator[Emission]:
        while not self.context.halt.is_set():
            yield self.tell("alive")
            self.pause(0.02)


class Failing(Probe):
    name = "failing"

    def events(self) -> Iterator[Emission]:
        type(self).lives += 1
        yield self.tell("one")
        raise ValueError("the feed is bad")


class Hanging(Probe):
    name = "hanging"

    def events(self) -> Iterator[Emission]:
        type(self).lives += 1
        yield self.tell("before")
        if type(self).lives == 1:
            self.release_all.wait(20)
            yield self.tell("late")
        while not self.context.halt.is_set():
            yield None
            self.pause(0.02)


class Missing(Probe):
    name = "missing"

    def check_compatible(self) -> None:
        type(self).lives += 1
        if type(self).lives < 3:
            raise CapabilityError("no such feed", hint="make one")

    def events(self) -> Iterator[Emission]:
        while not self.context.halt.is_set():
            yield None
            self.pause(0.02)


class Unmakeable(Probe):
    name = "unmakeable"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        raise RuntimeError("cannot be made")

    def events(self) -> Iterator[Emission]:
        yield None


@pytest.fixture
def watch() -> Iterator[Callable[..., tuple[Supervisor, Pipeline]]]:
    made: list[Supervisor] = []
    Probe.release_all = threading.Event()

    def start(*kinds: type[Probe], timing: SupervisorTiming = TIMING) -> tuple[Supervisor, Pipeline]:
        for kind in kinds:
            kind.lives = 0
        pipeline = Pipeline(HOST, RUN, None, PipelineLimits())
        context = Context(Section("x", {}), Positions())
        supervisor = Supervisor(list(kinds), lambda _: context, pipeline, timing)
        made.append(supervisor)
        return supervisor, pipeline

    yield start
    Probe.release_all.set()
    for one in made:
        one.stop(5)


def run_until(supervisor: Supervisor, done: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, supervisor.states
        supervisor.tend()
        time.sleep(0.01)


def states(pipeline: Pipeline, name: str) -> list[tuple[str, str]]:
    records = [EventRecord.from_json(one) for one in pipeline.snapshot()]
    mine = [one for one in records if one.event_type == "agent.collector" and one.get("collector") == name]
    return [(one.get("state"), one.get("detail")) for one in mine]


def test_a_failure_is_recorded_and_tried_again_ever_more_rarely(
    watch: Callable[..., tuple[Supervisor, Pipeline]],
) -> None:
    supervisor, pipeline = watch(Failing, Steady)
    run_until(supervisor, lambda: Failing.lives >= 4)
    told = [
        one for one in map(EventRecord.from_json, pipeline.snapshot()) if one.get("collector") == "failing"
    ]
    failures = [one for one in told if one.get("state") == "failed"]
    assert failures[0].get("detail") == "ValueError: the feed is bad"
    assert [one.get("retry") for one in failures[:4]] == ["0.05", "0.1", "0.2", "0.4"][: len(failures)]
    assert all(one.severity is EventSeverity.ERROR for one in failures)
    assert pipeline.counts["test.steady"] > 10, "the others go on"
    assert states(pipeline, "steady") == [("running", "its feed is read")]


def test_a_hang_is_left_behind_and_what_it_says_late_is_counted(
    watch: Callable[..., tuple[Supervisor, Pipeline]],
) -> None:
    supervisor, pipeline = watch(Hanging, Steady)
    run_until(supervisor, lambda: ("running", "after hung") in states(pipeline, "hanging"))
    assert Hanging.lives == 2
    assert any(state == "hung" for state, _ in states(pipeline, "hanging"))
    Probe.release_all.set()
    run_until(supervisor, lambda: pipeline.dropped > 0)
    pipeline.declare_losses(now=True)
    losses = [
        one for one in map(EventRecord.from_json, pipeline.snapshot()) if one.event_type == "agent.loss"
    ]
    assert [(one.get("of"), one.get("dropped"), one.get("reason")) for one in losses] == [
        ("test.hanging", "1", "abandoned")
    ]


def test_a_missing_feed_is_degraded_said_once_and_found_later(
    watch: Callable[..., tuple[Supervisor, Pipeline]],
) -> None:
    supervisor, pipeline = watch(Missing)
    run_until(supervisor, lambda: ("running", "after degraded") in states(pipeline, "missing"))
    assert states(pipeline, "missing") == [
        ("degraded", "no such feed; make one"),
        ("running", "after degraded"),
    ]
    assert supervisor.degraded == []


def test_one_that_cannot_be_made_is_a_failure_like_others(
    watch: Callable[..., tuple[Supervisor, Pipeline]],
) -> None:
    supervisor, pipeline = watch(Unmakeable, Steady)
    run_until(supervisor, lambda: len(states(pipeline, "unmakeable")) >= 2)
    assert "cannot be made" in states(pipeline, "unmakeable")[0][1]


def test_abandoned_threads_are_bounded(
    watch: Callable[..., tuple[Supervisor, Pipeline]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Always(Hanging):
        name = "always"

        def events(self) -> Iterator[Emission]:
            type(self).lives += 1
            yield None
            self.release_all.wait(20)

    monkeypatch.setattr("observer.agents.supervisor._MAX_ABANDONED", 2)
    supervisor, _ = watch(Always, timing=SupervisorTiming(0.05, 0.01, 0.02))
    run_until(supervisor, lambda: Always.lives == 3)
    for _ in range(40):
        supervisor.tend()
        time.sleep(0.01)
    assert Always.lives == 3
