# SPDX-License-Identifier: Apache-2.0
"""The agent as a program: run, asked, killed, started again, flooded, out of disk space; its log verifies after each."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from observer.evidence import read_log, verify_log
from observer.model.event_record import EventRecord
from tests.agents.feeds import VALIDATOR

CONFIG = """
[agent]
heartbeat = "1s"
[journal]
enabled = false
[kernel]
enabled = false
[units]
enabled = false
[kills]
enabled = false
[pstore]
enabled = false
"""


class Run:
    """A running agent in a directory of its own."""

    def __init__(self, place: Path, config: str = CONFIG, before: tuple[str, ...] = ()) -> None:
        self.place, self.socket = place, place / "s"
        (place / "agent.toml").write_text(config)
        self.words = ["--logs", str(place / "logs"), "--socket", str(self.socket)]
        command = [*before, sys.executable, "-m", "observer", "agent", "run", *self.words]
        command += ["--state", str(place / "state"), "--config", str(place / "agent.toml")]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("WSLMON")}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert line.startswith("observer agent: run "), line + self.process.stderr.read()

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        action, *rest = words
        command = [sys.executable, "-m", "observer", "agent", action, *self.words, *rest]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    def status(self) -> dict[str, object]:
        return json.loads(self.ask("status", "--json").stdout)

    def wait(self, done: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.ask("status").stdout
            time.sleep(0.1)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def log(self) -> Path:
        return self.place / "logs/guest-events.log"

    def records(self) -> list[EventRecord]:
        records = []
        for line in read_log(self.log):
            if line.kind is None:
                record = EventRecord.from_json(line.event)
                if all(record.event_type != one.event_type for one in records):
                    VALIDATOR.validate(json.loads(line.event))
                records.append(record)
        return records


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(config: str = CONFIG, before: tuple[str, ...] = (), place: Path = tmp_path) -> Run:
        runs.append(Run(place, config, before))
        return runs[-1]

    yield make
    for one in runs:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


def types(records: list[EventRecord]) -> list[str]:
    return [one.event_type for one in records]


def test_a_run_in_order(start: Callable[..., Run]) -> None:
    agent = start()
    agent.wait(lambda: "agent.heartbeat" in agent.ask("status", "--buffer", "0").stdout)
    status = agent.status()
    assert (status["running"], status["previous_end"], status["dropped"]) == (True, "none", 0)
    assert {one["name"] for one in status["collectors"]} == {  # type: ignore[attr-defined]
        *("crashes", "resources", "cgroups", "pressure", "blocked", "network", "clocks", "peer")
    }
    buffer = [json.loads(line) for line in agent.ask("status", "--buffer", "3").stdout.splitlines()]
    assert len(buffer) == 3
    answer = json.loads(agent.ask("dump", "--json").stdout)
    assert len(Path(answer["path"]).read_text().splitlines()) == answer["events"]
    assert agent.end() == 0
    records = agent.records()
    assert (types(records)[0], types(records)[-1]) == ("agent.start", "agent.stop")
    assert records[-1].get("signal") == "SIGTERM"
    assert {"resource.sample", "clock.sample", "agent.dump", "agent.heartbeat"} <= set(types(records))
    proof = verify_log(agent.log)
    assert proof.closed
    assert agent.log.stat().st_mode & 0o777 == 0o600
    again = start()
    assert again.status()["previous_end"] == "clean"


def test_killed_it_loses_nothing_and_says_so(start: Callable[..., Run]) -> None:
    agent = start()
    agent.wait(lambda: len(agent.ask("status", "--buffer", "0").stdout.splitlines()) > 10)
    buffer = agent.ask("status", "--buffer", "0").stdout.splitlines()
    agent.end(signal.SIGKILL)
    dead = agent.ask("status", "--json")
    facts = json.loads(dead.stdout)
    assert (dead.returncode, facts["running"], facts["ended_in_order"], facts["this_boot"]) == (
        18,
        False,
        False,
        True,
    )
    again = start()
    again.end()
    records = again.records()
    sealed = {line.event.decode() for line in read_log(again.log)}
    assert set(buffer) <= sealed, "all that could be seen is sealed"
    unclean = next(one for one in records if one.event_type == "agent.unclean_shutdown")
    assert unclean.get("kind") == "agent_killed"
    report = json.loads(Path(unclean.get("report")).read_text())
    assert (report["schema"], report["kind"]) == ("observer.last-minute/1", "agent_killed")
    assert {one["run"] for one in report["events"]} == {report["previous_run"]}
    assert len(report["events"]) >= len(buffer)
    verify_log(again.log)


def test_killed_at_any_moment_every_record_is_sealed_once(start: Callable[..., Run], tmp_path: Path) -> None:
    config = CONFIG + '[resources]\nperiod = "100ms"\n[clocks]\nperiod = "100ms"\nsample = "1s"\n'
    for round_number in range(6):
        agent = start(config)
        time.sleep(0.15 * round_number)
        agent.end(signal.SIGKILL)
    agent.end()
    last = start(config)
    last.end()
    records = last.records()
    seen = [(one.run, one.source, one.sequence) for one in records]
    assert len(seen) == len(set(seen)), "no record is sealed twice"
    for run in {one.run for one in records}:
        for source in {one.source for one in records}:
            numbers = sorted(one.sequence for one in records if (one.run, one.source) == (run, source))
            assert numbers == list(range(1, len(numbers) + 1)), "and none is missing"
    assert types(records).count("agent.start") == 7
    verify_log(last.log)


def test_another_boot_is_a_machine_that_died(start: Callable[..., Run]) -> None:
    agent = start()
    agent.end(signal.SIGKILL)
    ring = agent.place / "logs/guest-events.ring"
    data = bytearray(ring.read_bytes())
    boot = bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    for offset in (4096, 8192):
        assert bytes(data[offset + 8 : offset + 24]) in {boot, bytes(16)}
        data[offset + 8 : offset + 24] = bytes(15) + b"\x07"
        body = bytes(data[offset : offset + 68])
        data[offset + 68 : offset + 72] = zlib.crc32(body).to_bytes(4, "little")
    ring.write_bytes(data)
    again = start()
    again.end()
    unclean = next(one for one in again.records() if one.event_type == "agent.unclean_shutdown")
    assert (unclean.get("kind"), unclean.severity.value) == ("machine_died", "critical")
    assert unclean.get("previous_boot_id") == "00000000-0000-0000-0000-000000000007"


def test_a_log_that_was_changed_is_set_aside_and_said(start: Callable[..., Run]) -> None:
    agent = start()
    agent.end()
    data = agent.log.read_bytes()
    agent.log.write_bytes(data.replace(b"Agent started", b"Agent stained"))
    again = start()
    again.end()
    told = next(one for one in again.records() if one.event_type == "agent.storage")
    assert "refused" in told.get("detail")
    (kept,) = (agent.place / "logs/refused").glob("*/guest-events.log")
    assert b"Agent stained" in kept.read_bytes()
    verify_log(again.log)


def test_a_lost_checkpoint_key_costs_no_start_and_is_said(start: Callable[..., Run]) -> None:
    agent = start()
    agent.end(signal.SIGKILL)
    before = agent.log.read_bytes()
    (agent.place / "state/checkpoint.seed").unlink()
    again = start()
    again.end()
    told = next(one for one in again.records() if one.event_type == "agent.storage")
    assert told.get("state") == "key_lost"
    assert any(one.event_type == "agent.unclean_shutdown" for one in again.records())
    (kept,) = (agent.place / "logs/refused").glob("*/guest-events.log")
    assert kept.read_bytes() == before, "untouched"
    verify_log(kept)
    verify_log(again.log)


def fill(path: Path) -> None:
    """Write until there is no space."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space"):
        while True:
            os.write(handle, b"x" * 4096)
    os.close(handle)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: needs root")
def test_a_full_disk(start: Callable[..., Run], tmp_path: Path) -> None:
    config = CONFIG + '[log]\nreserve = "16KiB"\nkeep = "1MiB"\n[resources]\nperiod = "100ms"\n'
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "observer-agent-test", str(place)], check=True)
    try:
        agent = start(config, place=place)
        filler = place / "filler"
        fill(filler)
        agent.wait(lambda: bool(agent.status()["problem"]), 60)
        ring_before = len(agent.ask("status", "--buffer", "0").stdout.splitlines())
        assert ring_before > 10, "the rolling buffer goes on"
        filler.unlink()
        agent.wait(lambda: not agent.status()["problem"], 60)
        assert agent.end() == 0
        states = [one.get("state") for one in agent.records() if one.event_type == "agent.storage"]
        assert states[-1] == "restored"
        assert "reserve_used" in states
        losses = [json.loads(line.event) for line in read_log(agent.log) if line.kind == "loss"]
        assert sum(one["dropped"] for one in losses) > 0
        verify_log(agent.log)
    finally:
        agent.process.kill()
        agent.process.wait()
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_bad_configuration_or_key_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[agent]\nqueue = 'many'\n")
    command = [sys.executable, "-m", "observer", "agent", "run", "--config", str(tmp_path / "agent.toml")]
    command += [
        "--logs",
        str(tmp_path / "logs"),
        "--state",
        str(tmp_path / "state"),
        "--socket",
        str(tmp_path / "s"),
    ]
    bad = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert bad.returncode == 2
    assert re.search(r"agent\.toml:2: queue wants a whole number", bad.stderr)
    (tmp_path / "agent.toml").write_text("")
    environ = {**os.environ, "WSLMON_LOG_HMAC_KEY": "short"}
    key = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environ)
    assert key.returncode == 2
    assert not (tmp_path / "logs/guest-events.log").exists(), "no unsigned log instead"
