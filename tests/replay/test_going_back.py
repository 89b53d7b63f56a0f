# SPDX-License-Identifier: Apache-2.0
"""A replay that goes back is, at each place, what it was there the first time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from observer import _native
from tests.replay.conftest import run

COUNTING = """
import os, threading
seen = []
def work(number):
    for _ in range(20):
        seen.append(os.getppid() + number)
for round in range(3):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    print(len(seen), flush=True)
"""


def state(session: Any) -> dict[str, Any]:
    """Return registers of all threads, and what lies on their stacks."""
    found = {}
    for task in json.loads(session.tasks()):
        number = task["task"]
        registers = json.loads(session.registers(number))
        found[number] = (registers, session.read_memory(number, registers["rsp"], 4096))
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("back") / "rec"
    done = run("record", "--replayable", "-q", "-o", place, "--", sys.executable, "-S", "-c", COUNTING)
    assert done.stdout == b"60\n120\n180\n", done.stderr
    return place


def test_each_place_is_as_it_was_the_first_time(recording: Path) -> None:
    session = _native.ReplaySession(recording, b'{"output": false}')
    end = json.loads(session.run_to(1 << 40))["position"]
    places = [end * tenth // 10 for tenth in range(1, 10)]
    once = _native.ReplaySession(recording, b'{"output": false}')
    first = {}
    for number, place in enumerate(places):
        assert json.loads(once.run_to(place))["position"] == place
        first[place] = state(once)
        assert once.checkpoint() or number % 2, "there is a place to come back to"
    kept = json.loads(once.status())["checkpoints"]
    assert len(kept) >= len(places) // 2
    for place in reversed(places):
        told = json.loads(once.run_to(place))
        assert told["position"] == place
        assert state(once) == first[place]
    last = json.loads(once.run_to(1 << 40))
    assert last["finished"]
    assert last["ended"] == {"exit_code": 0, "signal": None}
    assert last["position"] == end


def test_without_checkpoints_it_goes_back_to_the_beginning(recording: Path) -> None:
    session = _native.ReplaySession(recording, b'{"output": false}')
    session.run_to(300)
    before = state(session)
    session.run_to(10)
    assert json.loads(session.status())["checkpoints"] == []
    session.run_to(300)
    assert state(session) == before


def test_what_was_written_is_not_written_again(recording: Path) -> None:
    program = (
        "import json, sys; from pathlib import Path; from observer import _native\n"
        "session = _native.ReplaySession(Path(sys.argv[1]), b'{\"checkpoints\": true}')\n"
        "session.run_to(1 << 40); session.run_to(5); session.run_to(1 << 40)\n"
        "assert json.loads(session.status())['written'] == [11, 0]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(recording)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"60\n120\n180\n"


def test_going_back_takes_changes_away(recording: Path) -> None:
    session = _native.ReplaySession(recording, b'{"output": false}')
    session.run_to(100)
    before = state(session)
    session.override_result(0)
    assert session.checkpoint() is False, "what was changed is not come back to"
    told = json.loads(session.run_to(10))
    assert told["modified"] is False
    session.run_to(100)
    assert state(session) == before
