# SPDX-License-Identifier: Apache-2.0
"""The two ways in which a recording most often ends early: the terminal's Ctrl-C and a full disk."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer import _native
from observer.errors import StorageFull
from tests.capture import tracing
from tests.capture.test_engine import events_of

CTRL_C = b"\x03"
TRAPPER = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done"


def read_until(terminal: int, wanted: bytes) -> bytes:
    """Read a terminal until a word appears or its other side is closed."""
    seen = b""
    while wanted not in seen:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # EIO: the last one on the other side has gone
            break
    return seen


def test_ctrl_c_reaches_the_program_once_and_the_recording_is_closed(tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-m",
        "observer",
        "record",
        "-o",
        str(tmp_path / "rec"),
        "--",
        "/bin/sh",
        "-c",
        TRAPPER,
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, {**os.environ, "OBSERVER_HOME": str(tmp_path / "home")})
    assert b"ready" in read_until(terminal, b"ready")
    time.sleep(0.1)
    os.write(terminal, CTRL_C)
    said = read_until(terminal, b"recorded")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert said.count(b"caught") == 1
    assert status == 9
    assert json.loads(_native.verify_recording(str(tmp_path / "rec"), None))["closed"] is True
    digest = json.loads(_native.RecordingReader(str(tmp_path / "rec")).digest())
    assert digest["signals"]["SIGINT"] >= 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 200 KiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_the_recording_and_not_the_program(small_disk: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    script = f"find /usr -xdev -name nothing; touch {done}"
    config = tracing.config(["/bin/sh", "-c", script], small_disk / "rec", tmp_path)
    with pytest.raises(StorageFull):
        _native.record_command(json.dumps(config).encode(), None)
    assert done.exists(), "the program was stopped with its recording"
    proof = json.loads(_native.verify_recording(str(small_disk / "rec"), None))
    assert proof["closed"] is False
    assert proof["records"] > 1000
    loss = next(e for e in events_of(small_disk / "rec") if e["type"] == "loss")
    assert loss["what"] == "records"
    assert isinstance(loss["count"], int)
    assert loss["count"] > 0
