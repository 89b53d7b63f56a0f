# SPDX-License-Identifier: Apache-2.0
"""observer diff: real programs recorded twice, with the same and with other input; the differences are those that were made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from observer import forensic, trace
from observer.cli.main import run
from observer.evidence.keys import KEY_FILE_VARIABLE, KEY_VARIABLE

OBSERVER = str(Path(sys.executable).with_name("observer"))
PLAIN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent", "PYTHONHASHSEED": "0"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OBSERVER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)
    return tmp_path


def record(place: Path, name: str, *command: str) -> Path:
    """Record a command whose input and output are a file of its own."""
    work = place / "work"
    work.mkdir(exist_ok=True)
    with (place / f"{name}.out").open("w") as out:
        subprocess.run(
            [OBSERVER, "record", "--engine", "ptrace", "-o", str(place / name), "--", *command],
            cwd=work,
            env=PLAIN | {"OBSERVER_HOME": str(place / "home")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    return place / name


def kinds(found: forensic.RecordingComparison) -> Counter[str]:
    return Counter(call.kind.value for call in found.comparison.syscall_differences)


def test_the_same_program_twice_is_the_same(tmp_path: Path) -> None:
    script = (
        "import os, tempfile\nos.kill(os.getpid(), 0); open(f'/proc/{os.getpid()}/cmdline').read()\n"
        "with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('x')\nprint(sorted(os.listdir('/etc'))[:3])"
    )
    pair = [record(tmp_path, name, "/usr/bin/python3", "-S", "-c", script) for name in "ab"]
    found = forensic.compare_recordings(*pair)
    names = {
        (call.original or call.replay or "").split("(")[0] for call in found.comparison.syscall_differences
    }
    assert names <= {"mmap", "munmap", "brk"}, found.comparison.syscall_differences[
        :3
    ]  # asked for as addresses fall
    assert found.comparison.match_percentage > 0.995
    assert found.equal > 100
    assert not found.comparison.outcome_differences


def test_a_simple_program_twice_has_no_difference_at_all(tmp_path: Path) -> None:
    found = forensic.compare_recordings(*(record(tmp_path, name, "sort", "/etc/passwd") for name in "ab"))
    assert found.is_identical, found.comparison.syscall_differences[:3]
    assert found.comparison.match_percentage == 1.0
    assert found.comparison.first_divergence is None


def test_a_pipeline_of_processes_twice_is_the_same(tmp_path: Path) -> None:
    pair = [record(tmp_path, name, "sh", "-c", "ls /etc | sort -r | wc -l; (true; false)") for name in "ab"]
    found = forensic.compare_recordings(*pair)
    assert found.comparison.match_percentage > 0.95
    assert not found.comparison.outcome_differences
    assert all(side["a"] and side["b"] for side in found.processes)


def test_other_input_gives_a_small_difference_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "one").write_text("alpha\nbeta\n")
    (tmp_path / "work" / "two").write_text("alpha\ngamma\n")
    pair = [record(tmp_path, f"r{name}", "sort", name) for name in ("one", "two")]
    found = forensic.compare_recordings(*pair)
    assert 0.8 < found.comparison.match_percentage < 1
    told = " ".join(call.detail for call in found.comparison.syscall_differences)
    assert '"one" → "two"' in told and "gamma" in told
    assert 2 <= sum(found.counts.values()) <= 8
    first = found.comparison.first_divergence
    assert first is not None and first.difference == found.comparison.syscall_differences[0]
    assert first.difference.original is not None and first.difference.original.startswith("execve(")


def test_one_more_open_file_does_not_shift_what_follows(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "extra").write_text("x")
    body = "import os\n{}\nfor n in range(50):\n  f = os.open('/etc/passwd', os.O_RDONLY); os.read(f, 10); os.close(f)"
    code = [body.format("pass"), body.format("held = os.open('extra', os.O_RDONLY)")]
    for name, text in zip("ab", code, strict=True):
        (work / "prog.py").write_text(text)
        record(tmp_path, name, "/usr/bin/python3", "-S", "prog.py")
    found = forensic.compare_recordings(tmp_path / "a", tmp_path / "b")
    extra = [call.replay for call in found.comparison.syscall_differences if call.kind.value == "extra"]
    assert len(extra) == 1 and extra[0] is not None and '"extra"' in extra[0]
    assert not kinds(found)["missing"] and kinds(found)["args_changed"] <= 3  # the script's own size and text


def test_missing_extra_changed_and_reordered_are_told_apart(tmp_path: Path) -> None:
    calls = {
        "a": ["mkdir('d1')", "mkdir('d2')", "rmdir('d1')", "rmdir('d2')", "chdir('/')", "umask(7)"],
        "b": ["mkdir('d2')", "mkdir('d1')", "rmdir('d1')", "rmdir('d2')", "chdir('/nope')", "getpgrp()"],
    }
    work = tmp_path / "work"
    work.mkdir()
    head = "import os\ndef t(f):\n  try: f()\n  except OSError: pass\n"
    for name, body in calls.items():
        lines = [f"t(lambda: os.{call})" for call in body]
        (work / "prog.py").write_text(head + "\n".join(lines) + "\nos._exit(0)\n")
        record(tmp_path, name, "/usr/bin/python3", "-S", "prog.py")
    found = forensic.compare_recordings(tmp_path / "a", tmp_path / "b")
    named = {
        (call.kind.value, (call.original or call.replay or "").split("(")[0])
        for call in found.comparison.syscall_differences
    }
    assert ("reordered", "mkdir") in named
    assert ("decision_changed", "chdir") in named
    assert ("name_changed", "umask") in named
    chdir = next(c for c in found.comparison.syscall_differences if c.kind.value == "decision_changed")
    assert "ENOENT" in chdir.detail


def test_exit_status_and_processes_are_outcomes(tmp_path: Path) -> None:
    pair = [
        record(tmp_path, "a", "sh", "-c", "/bin/true; exit 0"),
        record(tmp_path, "b", "sh", "-c", "/bin/true; /bin/ls / > /dev/null; kill -SEGV $$"),
    ]
    found = forensic.compare_recordings(*pair)
    told = {
        (item.subject, item.original, item.replay.split(" (")[0])
        for item in found.comparison.outcome_differences
    }
    assert ("process", "not started", "process ls") in told
    assert any(subject == "final status" and "SEGV" in after for subject, _, after in told)


def test_time_alone_is_no_difference_but_is_told(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    code = "import time, sys; time.sleep(float(open('how').read()))"
    for name, span in (("a", "0.01"), ("b", "0.20")):
        (work / "how").write_text(span)
        record(tmp_path, name, "/usr/bin/python3", "-S", "-c", code)
    slow = forensic.compare_recordings(tmp_path / "a", tmp_path / "b").comparison.timing_differences
    assert any(item.exceeds_tolerance and item.delta_ns > 100_000_000 for item in slow)


def test_command_line_says_it_and_exits_16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (record(tmp_path, name, "echo", name) for name in ("a", "b"))
    assert run(["diff", str(one), str(one)]) == 0
    assert capsys.readouterr().out.startswith("SAME  100 % ")
    assert run(["diff", str(one), str(two), "--json"]) == 16
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "observer.diff/1" and answer["identical"] is False
    assert 0 < answer["match_percentage"] < 1
    assert answer["first_divergence"]["difference"]["kind"] == "args_changed"
    assert run(["diff", str(one), str(two), "--limit", "1"]) == 16
    text = capsys.readouterr().out
    assert "first difference: echo (process 0), s0 of A, s0 of B" in text and "more; --limit N" in text


def test_what_is_no_recording_or_does_not_hold_is_refused(tmp_path: Path) -> None:
    one = record(tmp_path, "a", "true")
    (tmp_path / "none").mkdir()
    assert run(["diff", str(one), str(tmp_path / "none")]) == 15
    assert run(["diff", str(one), str(tmp_path / "absent")]) == 17
    assert run(["diff", str(one), str(one), "--limit", "0"]) == 2
    segment = one / "segments" / "000000.seg"
    changed = bytearray(segment.read_bytes())
    changed[-5] ^= 4
    segment.write_bytes(bytes(changed))
    assert run(["diff", str(one), str(one)]) == 14


def embedded(evil: str) -> Path:
    context = trace.TraceContext.new(None, None, trace.IdentityContext.new("acme", "ana"))
    for number in range(3):
        trace.record_syscall(context.trace_id, "open_file", context.identity, [f"f{number}"], True)
    trace.record_syscall(context.trace_id, "open_file", context.identity, [evil], False)
    trace.complete_trace(context.trace_id)
    return trace.TraceStore().get(context.trace_id)


def test_text_of_strangers_is_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\nSAME  100 % of the calls are equal"
    one, two = embedded("plain"), embedded(evil)
    assert run(["diff", str(one), str(two)]) == 16
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\nSAME" not in out
    found = forensic.compare_recordings(one, two)
    assert (found.equal, dict(found.counts)) == (3, {"args_changed": 1})
