# SPDX-License-Identifier: Apache-2.0
"""Breakpoints, places and jobs on replays of recorded commands."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from observer import forensic
from observer.cli.main import run
from observer.forensic.debugging import DebuggedReplay
from observer.trace.reading import Recording
from tests.replay.made import OBSERVER

pytestmark = pytest.mark.usefixtures("home")


def replayed(made: Path, *places: forensic.Breakpoint, **more: object) -> object:
    return DebuggedReplay(made / "rec", forensic.ReplayEnvironment(breakpoints=places), **more).run()  # type: ignore[arg-type]


def test_log_tells_each_call_that_is_met_and_changes_nothing(made: Path) -> None:
    report = replayed(
        made, forensic.Breakpoint("openat", "args[1].contains('passwd') and result >= 0 and not failed")
    )
    assert report.status == "completed" and report.comparison.match_percentage == 1.0 and not report.modified
    assert len(report.log) == 1 and report.log[0].startswith("log: s") and '"/etc/passwd"' in report.log[0]
    assert report.ended["exit_code"] == 3


def test_conditions_name_result_pid_thread_and_time(made: Path) -> None:
    pid = next(Recording(made / "rec").calls())["pid"]
    for condition, met in (
        (f"pid == {pid} and thread == {pid}", True),
        (f"pid == {pid + 1}", False),
        ("time >= 0 and path == '/etc/hostname'", True),
        ("time < 0 or result == 12345678", False),
    ):
        report = replayed(made, forensic.Breakpoint("openat", condition))
        assert bool(report.log) == met, condition


def test_pause_shows_registers_maps_and_memory_at_the_call(made: Path) -> None:
    report = replayed(
        made, forensic.Breakpoint("openat", "path == '/etc/passwd'", forensic.BreakpointAction.PAUSE)
    )
    place = report.inspection
    assert report.status == "aborted" and place is not None and '"/etc/passwd"' in (place.call or "")
    assert place.registers["orig_rax"] == 257 and place.registers["rip"]
    assert (
        any(m["start"] <= place.registers["rsp"] < m["end"] for m in place.maps) and len(place.stack) == 256
    )


def test_modified_result_makes_a_what_if_run(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = "openat: path == '/etc/hostname' => result=-13"
    status = run(["replay", str(made / "rec"), "--modify", place])
    out, err = capfd.readouterr()
    assert status == 16  # the program now does not read, which was recorded
    assert "WHAT-IF" in err and "left the recording" in err
    assert "/etc/hostname" not in out


def test_modified_data_is_what_the_program_reads(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wanted = (made / "stdout").read_text().splitlines()[0]
    length = int(wanted.split()[1])
    place = f"read: result == {length} and args[0] == '3' => data={'x' * length}"
    assert run(["replay", str(made / "rec"), "--modify", place]) == 0
    out, err = capfd.readouterr()
    assert "WHAT-IF" in err and wanted in out


def test_abort_ends_it_before_the_call(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(made / "rec"), "--abort", "openat: path == '/etc/passwd'"]) == 0
    out, _ = capfd.readouterr()
    assert "/etc/hostname" in out and "/etc/passwd" not in out


def test_to_stops_exactly_there_each_time(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for _ in range(3):
        assert run(["replay", str(made / "rec"), "--to", "25", "--json"]) == 0
        seen.append(json.loads(capsys.readouterr().out)["inspection"])
    assert seen[0]["event"] == 25 and seen[0] == seen[1] == seen[2]
    assert run(["replay", str(made / "rec"), "--to", "0ns", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] <= 2
    assert run(["replay", str(made / "rec"), "--to", "soon"]) == 2


def test_original_usage_example(made: Path) -> None:
    environment = forensic.ReplayEnvironment(
        isolation_level=forensic.IsolationLevel.FULL,
        resource_limits=forensic.ResourceLimits(),
        simulated_inputs={},
        breakpoints=(
            forensic.Breakpoint(
                syscall="open_file",
                condition="args[0].contains('passwd')",
                action=forensic.BreakpointAction.LOG,
            ),
        ),
    )
    replay_id = forensic.start_replay(made / "rec", environment)
    forensic.wait_for_replay(replay_id, timeout_s=60)
    context = forensic.get_replay_context(replay_id)
    assert context.status == forensic.ReplayStatus.COMPLETED
    assert context.comparison is not None
    assert f"Match percentage: {context.comparison.match_percentage * 100.0}%" == "Match percentage: 100.0%"
    assert context.comparison.syscall_differences == ()
    assert len(context.log) == 1 and '"/etc/passwd"' in context.log[0]


def test_job_survives_its_caller_is_listed_inspected_and_aborted(made: Path) -> None:
    argv = [OBSERVER, "replay", str(made / "rec"), "--start", "--pause", "openat: path == '/etc/passwd'"]
    job = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    shown: dict[str, object] = {}
    for _ in range(300):
        told = subprocess.run(
            [OBSERVER, "replay", "--job", job, "--json"], capture_output=True, text=True, check=True
        )
        shown = json.loads(told.stdout)
        if shown["status"] not in ("preparing", "running"):
            break
        time.sleep(0.1)
    assert shown["status"] == "paused" and isinstance(shown["inspection"], dict)
    assert '"/etc/passwd"' in shown["inspection"]["call"]
    assert [str(context.replay_id) for context in forensic.list_replays()] == [job]
    assert run(["replay", "--abort-job", job]) == 0
    context = forensic.wait_for_replay(forensic.list_replays()[0].replay_id, timeout_s=30)
    for _ in range(200):
        context = forensic.get_replay_context(context.replay_id)
        if context.status.is_over:
            break
        time.sleep(0.05)
    assert context.status == forensic.ReplayStatus.ABORTED


def test_limits_end_a_replay_and_say_which(made: Path) -> None:
    limits = forensic.ResourceLimits(max_memory=4096)
    with pytest.raises(Exception, match="max_memory"):
        DebuggedReplay(made / "rec", forensic.ReplayEnvironment(resource_limits=limits)).run()


def test_nonsense_is_refused(made: Path) -> None:
    assert run(["replay", str(made / "rec"), "--modify", "openat"]) == 2
    assert run(["replay", str(made / "rec"), "--break", "openat: path ="]) == 2
    assert run(["replay"]) == 2
