# SPDX-License-Identifier: Apache-2.0
"""Crash Watcher on real directories: files told once, hashed when complete, directories that come late."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer.agents.linux.crashes import CrashWatcher
from observer.agents.linux.inotify import Inotify
from observer.model.event import EventSeverity
from observer.model.event_record import EventRecord
from tests.agents.feeds import Machine

CRASH = "/var/crash"


class Driver:
    """Runs a watcher step by step: each step ends when it says that nothing more happened."""

    def __init__(self, machine: Machine, **changes: object) -> None:
        self.machine = machine
        self.watcher = machine.make(CrashWatcher, **changes)
        self.events = self.watcher.events()

    def step(self) -> list[EventRecord]:
        seen = []
        for one in self.events:
            if one is None:
                break
            seen.append(one)
        return self.machine.take(seen)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr("observer.agents.linux.crashes._TICK_S", 0.05)
    machine = Machine(tmp_path)
    machine.put("/proc/sys/kernel/core_pattern", "|/usr/share/apport/apport %p\n")
    (tmp_path / "var/crash").mkdir(parents=True)
    return machine


def dumps(seen: list[EventRecord]) -> list[tuple[str, str]]:
    return [(one.get("path"), one.get("found")) for one in seen if one.event_type == "crash.dump"]


def test_a_file_is_told_when_it_is_closed(machine: Machine) -> None:
    driver = Driver(machine)
    first = driver.step()
    states = {(one.get("path"), one.get("state")) for one in first}
    assert states == {
        ("/proc/sys/kernel/core_pattern", "core_pattern"),
        (CRASH, "watched"),
        ("/var/lib/systemd/coredump", "missing"),
    }
    with (machine.root / "var/crash/a.crash").open("wb") as stream:
        stream.write(b"ProblemType: Crash\nExecutablePath: /usr/bin/x\nSignal: 11\n")
        stream.flush()
        assert dumps(driver.step()) == [], "it is not complete"
        stream.write(b"y" * 100_000)
    seen = driver.step()
    assert dumps(seen) == [(f"{CRASH}/a.crash", "closed")]
    data = (machine.root / "var/crash/a.crash").read_bytes()
    assert (seen[0].get("sha256"), seen[0].get("size")) == (hashlib.sha256(data).hexdigest(), str(len(data)))
    assert (seen[0].severity, seen[0].get("executable"), seen[0].get("signal")) == (
        EventSeverity.CRITICAL,
        "/usr/bin/x",
        "11",
    )
    assert dumps(driver.step()) == []


def test_a_file_that_nobody_closes_settles(machine: Machine) -> None:
    driver = Driver(machine)
    driver.step()
    with (machine.root / "var/crash/open.crash").open("wb") as stream:
        stream.write(b"x")
        stream.flush()
        driver.step()
        machine.clock.move(1)
        stream.write(b"y")
        stream.flush()
        assert dumps(driver.step()) == []
        machine.clock.move(1.5)
        assert dumps(driver.step()) == [], "it grew a moment ago"
        machine.clock.move(1)
        assert dumps(driver.step()) == [(f"{CRASH}/open.crash", "settled")]


def test_a_moved_file_a_link_and_a_fifo(machine: Machine) -> None:
    driver = Driver(machine)
    driver.step()
    outside = machine.put("/elsewhere/b.crash", "core")
    (machine.root / "var/crash/link.crash").symlink_to(outside)
    os.mkfifo(machine.root / "var/crash/fifo.crash")
    machine.put("/var/crash/c.lock", "")
    outside.rename(machine.root / "var/crash/b.crash")
    machine.clock.move(10)
    seen = dumps(driver.step())
    machine.clock.move(10)
    seen += dumps(driver.step()) + dumps(driver.step())
    assert seen == [(f"{CRASH}/b.crash", "closed")], "a link is not followed, a pipe is not opened"


def test_a_directory_that_comes_late_and_one_that_goes(machine: Machine) -> None:
    driver = Driver(machine)
    driver.step()
    late = machine.put("/var/lib/systemd/coredump/core.app.0.deadbeef.12.1795776009000000.zst", "zz")
    seen = driver.step()
    assert dumps(seen) == [("/var/lib/systemd/coredump/" + late.name, "startup")]
    assert next(one for one in seen if one.event_type == "crash.dump").get("executable") == "app"
    late.unlink()
    late.parent.rmdir()
    assert [one.get("state") for one in driver.step()] == ["missing"]


def test_a_directory_that_cannot_be_watched_is_said_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    machine.put("/var/crash/a.crash", "x")
    driver = Driver(machine)
    with monkeypatch.context() as patched:
        patched.setattr(Inotify, "add", refuse)
        seen = [one for one in driver.step() if one.get("state") == "unwatched"]
        assert {(one.get("value"), one.severity) for one in seen} == {
            ("Permission denied", EventSeverity.WARNING)
        }
        assert not [one for one in driver.step() if one.get("state") == "unwatched"]
    assert ("/var/crash", "watched") in [(one.get("path"), one.get("state")) for one in driver.step()]


def test_a_later_run_tells_what_came_in_between_and_nothing_twice(machine: Machine) -> None:
    machine.put("/var/crash/ancient.crash", "old")
    first = Driver(machine)
    assert dumps(first.step()) == [], "at the very first start it is old"
    machine.put("/var/crash/seen.crash", "s")
    assert dumps(first.step()) == [(f"{CRASH}/seen.crash", "closed")]
    first.events.close()
    machine.put("/var/crash/between.crash", "b")
    assert dumps(Driver(machine).step()) == [(f"{CRASH}/between.crash", "startup")]


def test_the_directory_of_core_pattern_is_watched(machine: Machine) -> None:
    driver = Driver(machine)
    driver.step()
    (machine.root / "cores").mkdir()
    machine.put("/proc/sys/kernel/core_pattern", "/cores/core.%e.%p\n")
    states = [(one.get("path"), one.get("state"), one.get("value")) for one in driver.step()]
    assert ("/proc/sys/kernel/core_pattern", "core_pattern", "/cores/core.%e.%p") in states
    machine.put("/cores/core.x.1", "c")
    assert dumps(driver.step()) == [("/cores/core.x.1", "closed")]


def test_a_large_file_is_told_without_its_hash(machine: Machine) -> None:
    driver = Driver(machine, hash_most=10)
    driver.step()
    machine.put("/var/crash/big.crash", "x" * 11)
    seen = driver.step()
    assert (seen[0].get("size"), seen[0].get("sha256")) == ("11", "")
