# SPDX-License-Identifier: Apache-2.0
"""What a replay may use and is kept away from: a limit ends it with a clear outcome."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from observer.cli.main import run as command_line
from observer.errors import ReplayError
from observer.forensic.debugging import DebuggedReplay
from observer.forensic.native import replay_command
from observer.model.forensic import IsolationLevel, ReplayEnvironment, ResourceLimits
from tests.replay.conftest import run

HUNGRY = """
import os, time
for n in range(4):
    if os.fork() == 0:
        block = b"x" * (60 << 20)
        end = time.process_time() + 0.4
        while time.process_time() < end: pass
        os._exit(0)
for n in range(4): os.wait()
"""


@pytest.fixture(scope="module")
def hungry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hungry") / "rec"
    done = run("record", "--replayable", "-q", "-o", place, "--", "/usr/bin/python3", "-c", HUNGRY)
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--memory", "50M", "max_memory"),
        ("--cpu-time", "0.2", "max_cpu_time"),
        ("--timeout", "0.2", "max_wall_time"),
        ("--processes", "3", "max_processes"),
    ],
)
def test_a_limit_ends_a_replay_and_is_named(hungry: Path, option: str, value: str, name: str) -> None:
    ended = run("replay", hungry, "--json", option, value)
    assert ended.returncode == 16
    told = json.loads(ended.stdout)
    assert told["status"] == "limit" and name in told["limit"] and told["divergence"] is None
    assert b"OBS600" in ended.stderr and name.encode() in ended.stderr


def test_room_enough_changes_nothing(hungry: Path) -> None:
    options = [
        "--memory",
        "2G",
        "--cpu-time",
        "120",
        "--timeout",
        "120",
        "--processes",
        "50",
        "--descriptors",
        "50",
    ]
    told = json.loads(run("replay", hungry, "--json", *options).stdout)
    assert told["status"] == "completed" and told["limit"] is None


def test_the_kernel_gives_no_descriptor_beyond_the_limit(hungry: Path) -> None:
    none = ReplayEnvironment(resource_limits=ResourceLimits(max_file_descriptors=0))
    assert "max_file_descriptors" in str(replay_command(hungry, none, output=False).limit)
    with pytest.raises(ReplayError, match="max_file_descriptors"):
        DebuggedReplay(hungry, none).run()


@pytest.mark.parametrize(
    ("level", "left"),
    [
        ("full", {"filesystem", "ipc", "network", "uts"}),
        ("network", {"network"}),
        ("filesystem", {"filesystem"}),
        ("custom:ipc,uts", {"ipc", "uts"}),
    ],
)
def test_levels_leave_the_namespaces_they_say(made: Path, level: str, left: set[str]) -> None:
    told = json.loads(run("replay", made / "rec", "--json", "--isolation", level).stdout)
    assert told["identical"] is True
    if not told["isolation"]:
        pytest.skip("SKIPPED: this user may leave no namespace here, not even through one of its own")
    assert set(told["isolation"]) == left


def test_the_api_takes_the_same_levels(made: Path) -> None:
    environment = ReplayEnvironment(isolation_level=IsolationLevel.custom("network"))
    assert set(replay_command(made / "rec", environment, output=False).isolation) <= {"network"}


def test_nonsense_is_refused(made: Path) -> None:
    for options in (
        ["--isolation", "none"],
        ["--isolation", "custom:moon"],
        ["--isolation", "full:network"],
        ["--memory", "much"],
        ["--cpu-time", "0"],
        ["--cpu-time", str(math.inf)],
        ["--processes", "-1"],
    ):
        assert command_line(["replay", str(made / "rec"), *options]) == 2, options
