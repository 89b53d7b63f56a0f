# SPDX-License-Identifier: Apache-2.0
"""A real gdb attaches to replays of recorded commands."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from observer import forensic
from observer.cli.main import run
from observer.forensic.gdb import GdbServer, backtrace_at, event_of, run_gdb
from tests.replay.made import OBSERVER, SOURCE

pytestmark = pytest.mark.usefixtures("home")


def gdb(made: Path, commands: list[str], event: int = 0) -> str:
    if shutil.which("gdb") is None:
        pytest.skip("SKIPPED: gdb is needed: apt install gdb")
    with GdbServer(made / "rec") as server:
        serving = threading.Thread(target=server.serve, args=(event,), daemon=True)
        serving.start()
        try:
            return run_gdb(server.address, [f"directory {made}", *commands])
        finally:
            serving.join(10)


def test_real_gdb_breaks_reads_variables_and_steps(made: Path) -> None:
    out = gdb(
        made,
        [
            "break look",
            "continue",
            "print path",
            "backtrace",
            "next",
            "next",
            "print length",
            "print counter",
            "continue",
            "print path",
            "print counter",
            "delete",
            "info registers rip",
            "continue",
        ],
    )
    assert '"/etc/hostname"' in out and '"/etc/passwd"' in out, out
    assert "#1" in out and "main ()" in out
    length = (made / "stdout").read_text().split()[1]
    assert f"$2 = {length}" in out and "$5 = 10" in out
    assert "exited with code 03" in out


def test_gdb_sees_memory_and_single_instructions(made: Path) -> None:
    out = gdb(
        made,
        [
            "break main",
            "continue",
            "x/3i $rip",
            "stepi",
            "stepi",
            "info auxv",
            "info threads",
            "set var counter = 7",
            "next",
            "print counter",
        ],
    )
    assert "<main+" in out and "AT_RANDOM" in out and "recorded as process" in out
    assert "= 17" in out


def test_gdb_starts_where_it_is_told_to(made: Path) -> None:
    place = forensic.Breakpoint("openat", "path == '/etc/passwd'")
    event = event_of(made / "rec", [place])
    frames = backtrace_at(made / "rec", event)
    if not frames:
        pytest.skip("SKIPPED: gdb is needed: apt install gdb")
    assert any("look" in frame and "passwd" in frame for frame in frames), frames
    assert any("main" in frame for frame in frames)


def test_socket_path_is_removed_and_nonsense_is_refused(made: Path, tmp_path: Path) -> None:
    with GdbServer(made / "rec", str(tmp_path / "s")) as server:
        assert server.address == str(tmp_path / "s") and (tmp_path / "s").exists()
        assert server.serve(patience_s=0.05) is False
    assert not (tmp_path / "s").exists()
    assert run(["replay", str(made / "rec"), "--gdb", str(tmp_path / "no" / "such")]) != 0
    assert run(["replay", str(made / "rec"), "--modify", "openat"]) == 2
    assert run(["replay", str(made / "rec"), "--break", "openat: path ="]) == 2


def test_diff_pins_the_first_difference_with_its_backtrace(made: Path, tmp_path: Path) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("SKIPPED: gdb is needed: apt install gdb")
    (made / "prog.c").write_text(SOURCE.replace("/etc/hostname", "/etc/hosts"))
    subprocess.run(["gcc", "-g", "-O0", "-o", "prog", "prog.c"], cwd=made, check=True, timeout=60)
    argv = [OBSERVER, "record", "--replayable", "--force", "-o", str(tmp_path / "rec"), "--", "./prog"]
    subprocess.run(argv, cwd=made, capture_output=True, timeout=60, check=False)
    (made / "prog").unlink()
    found = forensic.compare_recordings(made / "rec", tmp_path / "rec")
    pinned = found.comparison.first_divergence
    assert pinned is not None and pinned.difference.kind == forensic.DifferenceKind.ARGS_CHANGED
    assert '"/etc/hostname" → "/etc/hosts"' in pinned.difference.detail
    for frames in (pinned.backtrace, pinned.backtrace_replay):
        assert any("look" in frame for frame in frames) and any("main" in frame for frame in frames), frames
