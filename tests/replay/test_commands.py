# SPDX-License-Identifier: Apache-2.0
"""Commands that everybody has: what depends on time, chance, processes and threads comes out as it was."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replay.conftest import OBSERVER, Pair, run

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


LOOP = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { for (int i = 0; i < 100000; i++) { printf("%d\n", i); fflush(stdout); usleep(1000); } return 0; }
"""


def build(tmp_path: Path, source: str, *options: str) -> Path:
    """Compile a C program."""
    (tmp_path / "prog.c").write_text(source)
    made = tmp_path / "prog"
    subprocess.run(["gcc", "-O1", *options, "-o", made, tmp_path / "prog.c"], check=True)
    return made


def test_nothing_but_the_recording_is_needed(tmp_path: Path) -> None:
    program = build(tmp_path, '#include <stdio.h>\nint main(void) { puts("still here"); return 3; }\n')
    place = tmp_path / "rec"
    assert run("record", "--replayable", "-q", "-o", place, "--", program).returncode == 3
    program.unlink()
    replayed = run("replay", place)
    assert (replayed.returncode, replayed.stdout) == (0, b"still here\n")


def test_a_static_program_replays(tmp_path: Path) -> None:
    program = build(tmp_path, '#include <stdio.h>\nint main(void) { puts("static"); return 0; }\n', "-static")
    place = tmp_path / "rec"
    assert run("record", "--replayable", "-q", "-o", place, "--", program).returncode == 0
    for _ in range(5):
        assert run("replay", place).stdout == b"static\n"


def test_a_killed_recorder_leaves_what_replays_up_to_there(tmp_path: Path) -> None:
    program, place = build(tmp_path, LOOP), tmp_path / "rec"
    command = [*OBSERVER, "record", "--replayable", "-q", "-o", str(place), "--", str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout is not None
        for _ in range(500):
            recorder.stdout.readline()
        recorder.kill()
    replayed = run("replay", place)
    lines = replayed.stdout.split()
    assert replayed.returncode == 0, replayed.stderr
    assert lines[:100] == [str(n).encode() for n in range(100)]
    assert b"the recorder was ended before" in replayed.stderr


def test_a_changed_blob_is_found(pair: Callable[..., Pair]) -> None:
    recording = pair("true").recording
    blob = max((recording / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    refused = run("replay", recording)
    assert refused.returncode == 15
    assert b"is not what was recorded" in refused.stderr
