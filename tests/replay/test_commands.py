# SPDX-License-Identifier: Apache-2.0
"""Commands that everybody has: what depends on time, chance, processes and threads comes out as it was."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.replay.conftest import Pair, run

THREADS = """
import threading, time
seen = []
def work(n):
    for _ in range(5):
        seen.append(n)
        time.sleep(0.001)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(seen)
"""
COMMANDS = {
    "date": ["date", "+%s.%N"],
    "listing": ["ls", "-l", "/etc"],
    "pipeline": ["bash", "-c", "for i in 3 1 2; do echo $i; done | sort -r; echo $RANDOM $$"],
    "exit status": ["bash", "-c", "echo gone >&2; exit 7"],
    "signal handler": ["bash", "-c", "trap 'echo caught' USR1; kill -USR1 $$; echo after"],
    "python": ["python3", "-c", "import os, random, time; print(random.random(), time.time(), os.getpid())"],
    "threads": ["python3", "-c", THREADS],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_replays_as_recorded(pair: Callable[..., Pair], command: list[str]) -> None:
    pair(*command).assert_identical()


def test_the_verdict_names_the_end(pair: Callable[..., Pair]) -> None:
    both = pair("bash", "-c", "exit 7")
    assert both.recorded.returncode == 7
    told = json.loads(run("replay", "--json", both.recording).stdout)
    assert told["identical"] is True
    assert told["exit_code"] == 7
    assert told["memory_checks"] >= 1


def test_a_recording_of_another_kind_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("plain") / "rec"
    assert run("record", "-q", "-o", place, "--", "true").returncode == 0
    refused = run("replay", place)
    assert refused.returncode == 12
    assert b"was not recorded for replay" in refused.stderr
