# SPDX-License-Identifier: Apache-2.0
"""A recorded command at any moment of its past: memory, threads, descriptors, and what happened between two moments."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from observer import _native, snapshot
from observer.errors import CapabilityError, NotFoundError, UsageError
from observer.trace.reading import Recording
from tests.snapshot.independent import Reader
from tests.snapshot.test_image import recreate

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="replay is for x86-64: moments of a recording are NOT tested"
)


@pytest.fixture
def recording(build: Callable[[str], Path], tmp_path: Path) -> Path:
    """Record the program that changes between calls."""
    path = tmp_path / "past.rec"
    command = [sys.executable, "-m", "observer", "record", "--replayable", "-q", "-o", path, "--"]
    subprocess.run([*command, build("past")], check=True, capture_output=True)
    return path


def events(path: Path) -> list[dict[str, object]]:
    """Return all events of a recording."""
    return [json.loads(line) for line in _native.ReplayEvents(path).read(100_000).splitlines()]


def writes(path: Path) -> dict[bytes, int]:
    """Return the event of each write by what was written."""
    texts = {
        call["record"]: call["args"][1]["text"]
        for call in Recording(path).calls()
        if call["syscall"] == "write"
    }
    found = [event["n"] for event in events(path) if event.get("name") == "write"]
    return {
        text.strip('"').removesuffix("\\n").encode(): number  # type: ignore[misc]
        for text, number in zip(texts.values(), found, strict=True)
    }


def at(path: Path, moment: int | timedelta) -> snapshot.SnapshotFile:
    """Take a snapshot of a moment and open it."""
    return snapshot.open_snapshot(snapshot.create_snapshot(recording=path, at=moment))


def test_memory_is_what_it_was_then(recording: Path) -> None:
    place = writes(recording)
    early, late = (snapshot.Analysis(at(recording, place[name] + 1)) for name in (b"one", b"child"))
    assert len(early.processes) == 1
    assert list(early.find(b"first words\0"))
    # The program's own text has the words too: what counts is where they are in memory that was allocated.
    address = next(where for _, where in early.find(b"first words\0") if early.read(where + 8192, 1) == b"\0")
    parent, child = sorted(late.processes)
    assert late.read(address, 12, pid=parent) == b"first words\0"
    assert late.read(address, 12, pid=child) == b"child words\0"
    assert late.read(address + 8192, 13, pid=parent) == b"second words\0"
    assert [len(late.threads(pid)) for pid in (parent, child)] == [2, 1]
    snapshot.verify_snapshot(late.file, snapshot.SnapshotStore())
    assert {item["policy"] for process in late.file.manifest["processes"] for item in process["regions"]} >= {
        "copied",
        "reference",
    }


def test_every_page_is_that_of_another_replay(recording: Path) -> None:
    event = writes(recording)[b"two"] + 1
    file = at(recording, event)
    session = _native.ReplaySession(recording, b'{"output":false}')
    session.run_to(event)
    (task,) = json.loads(session.tasks())
    assert Reader(file.path).compare_with(task["real_pid"]) > 50
    registers = json.loads(session.registers(task["task"]))
    (thread,) = snapshot.Analysis(file).threads()
    assert thread.registers == registers


def test_state_is_what_the_recording_tells(recording: Path, build: Callable[[str], Path]) -> None:
    place = writes(recording)
    before, after = (at(recording, place[name]) for name in (b"two", b"three"))
    pid = before.manifest["processes"][0]["pid"]
    assert json.loads(before.component("descriptor", "3", pid=pid) or b"{}")["path"] == "/etc/hostname"
    assert after.component("descriptor", "3", pid=pid) is None
    assert before.component("process", "cmdline", pid=pid) == f"{build('past')}\0".encode()
    assert b"PATH=" in (before.component("process", "environ", pid=pid) or b"")
    names = {region["name"] for region in before.manifest["processes"][0]["regions"]}
    assert {str(build("past")), "[heap]", "[stack]"} <= names
    assert any(name.endswith("/libc.so.6") for name in names)
    start = Recording(recording).start
    assert start.wall_ns < before.manifest["wall_ns"] < after.manifest["wall_ns"]
    assert before.component("kernel", "meminfo") is None, "state of the machine then was not recorded"


def test_a_time_names_the_same_moment_as_its_event(recording: Path) -> None:
    start = Recording(recording).start
    event = writes(recording)[b"two"]
    time_ns = events(recording)[event]["time_ns"]
    assert isinstance(time_ns, int)
    by_time = at(recording, timedelta(microseconds=(time_ns - start.monotonic_ns) // 1000 + 1))
    by_event = at(recording, event + 1)
    digests = [
        [(region.address, region.content_hash) for region in file.regions()] for file in (by_time, by_event)
    ]
    assert digests[0] == digests[1]


def test_a_debugger_sees_functions_of_that_moment(recording: Path, tmp_path: Path) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed: cores of past moments are NOT opened")
    file = at(recording, writes(recording)[b"two"] + 1)
    core = tmp_path / "core"
    snapshot.Analysis(file).write_core(core)
    command = [
        "gdb",
        "-batch",
        "-nx",
        "-ex",
        "bt",
        "-ex",
        "print heap",
        "-ex",
        "x/s heap+8192",
        "-c",
        str(core),
    ]
    command.append(file.manifest["processes"][0]["exe"])
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "second_part" in shown
    assert "main" in shown
    assert '"second words"' in shown


def test_a_process_of_that_moment_stands_for_a_debugger(recording: Path) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed: attaching to a past moment is NOT tested")
    analysis = snapshot.Analysis(at(recording, writes(recording)[b"two"] + 1))
    with recreate(analysis) as image:
        exe = analysis.file.manifest["processes"][0]["exe"]
        command = ["gdb", "-batch", "-nx", "-ex", f"file {exe}", "-ex", f"attach {image.pid}"]
        for words in ("bt", "x/s heap+8192"):
            command += ["-ex", words]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        assert image.absent_pages == 0
    assert "second_part" in shown
    assert '"second words"' in shown


def test_calls_between_two_moments_are_named(recording: Path) -> None:
    place = writes(recording)
    first, second = (at(recording, place[name] + 1) for name in (b"one", b"two"))
    command = [sys.executable, "-m", "observer", "snapshot", "diff", str(first.path), str(second.path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert 'openat(AT_FDCWD, "/etc/hostname", O_RDONLY) = 3' in shown
    assert 'write(1, "two\\n", 4) = 4' in shown
    assert 'write(1, "one\\n", 4)' not in shown
    assert "2 calls in between" in shown
    assert "new string: second words" in shown
    assert "fd 3: None -> " in shown
    listed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    calls = [json.loads(line) for line in listed.splitlines() if '"call"' in line]
    assert [call["syscall"] for call in calls] == ["openat", "write"]


def test_what_cannot_be_is_said(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="runs no program after"):
        at(recording, 1_000_000)
    with pytest.raises(UsageError, match="no event -1"):
        at(recording, -1)
    with pytest.raises(UsageError, match="needs a moment"):
        snapshot.create_snapshot(recording=recording)
    plain = tmp_path / "plain.rec"
    command = [
        sys.executable,
        "-m",
        "observer",
        "record",
        "-q",
        "--engine",
        "ptrace",
        "-o",
        str(plain),
        "--",
        "true",
    ]
    subprocess.run(command, check=True, env=os.environ)
    with pytest.raises(CapabilityError):
        at(plain, 1)
    asked = [sys.executable, "-m", "observer", "snapshot", "create", "--recording", str(recording)]
    refused = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--at" in refused.stderr
