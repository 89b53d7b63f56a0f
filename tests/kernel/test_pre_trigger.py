# SPDX-License-Identifier: Apache-2.0
"""The kept past: what fires, what is sealed then, and what is not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer import errors
from observer.trace import verify_recording
from observer.trace.live import PreTrigger, Watch, WatchOptions
from observer.trace.live.rule_triggers import conditions_of_rule
from observer.trace.rules import load_rules
from tests.kernel.conftest import calls, events, eventually, observer

# Touches a file named after the tenth of a second it is, until told otherwise on standard input.
LOOP = (
    "import os,select,sys,subprocess\ni=0\nwhile True:\n i+=1\n os.access('/tick/%d'%i,0)\n"
    " if select.select([0],[],[],.05)[0]:\n  exec(sys.stdin.readline())"
)

REFUSED = 'exec("os.setresuid(65534,65534,0)\\ntry: os.kill(1,0)\\nexcept OSError: pass")'


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-S", "-c", LOOP], stdin=subprocess.PIPE, text=True) as child:
        yield child
        child.kill()


def tell(child: subprocess.Popen[str], what: str) -> None:
    assert child.stdin is not None
    child.stdin.write(what + "\n")
    child.stdin.flush()


def watch(child: subprocess.Popen[str], path: Path, *on: str, **settings: object) -> Watch:
    values: dict[str, object] = {"before_s": 1.0, "after_s": 0.5, "conditions": on, "windows": 1}
    past = PreTrigger(**(values | settings))  # type: ignore[arg-type]
    return Watch(WatchOptions(path=path, pids=(child.pid,), pre_trigger=past))


def ticks(path: Path) -> list[int]:
    rows = [r for r in calls(path) if r["syscall"] == "access" and "/tick/" in r["args"][0]["text"]]
    return [int(r["args"][0]["text"].strip('"').rpartition("/")[2]) for r in rows]


def test_past_and_what_follows_are_sealed_when_a_condition_holds(
    place: Path, worker: subprocess.Popen[str]
) -> None:
    path = place / "rec"
    running = watch(worker, path, 'syscall == "openat" and args[1].contains("passwd")')
    time.sleep(2.5)
    assert not path.exists(), "nothing was to be written before the trigger"
    tell(worker, "open('/etc/passwd').close()")
    assert running.wait(20)
    running.stop()
    verify_recording(path)
    seen = ticks(path)
    assert seen == list(range(seen[0], seen[0] + len(seen))), "the window has a hole"
    (trigger,) = [e for e in events(path) if e.get("event_type") == "trigger"]
    assert trigger["data"]["pid"] == worker.pid and "python" in trigger["data"]["exe"]
    first, last = (calls(path)[i]["start_ns"] for i in (0, -1))
    before, after = (trigger["data"]["at_ns"] - first) / 1e9, (last - trigger["data"]["at_ns"]) / 1e9
    assert 0.9 < before < 2.2 and 0.3 < after < 1.5, (before, after)
    assert next(e for e in events(path) if e["type"] == "process")["pid"] == worker.pid


@pytest.mark.parametrize(
    ("condition", "deed"),
    [
        ("exit_code == 7", "subprocess.run(['/bin/sh','-c','exit 7'])"),
        ('signal == "SIGSEGV" and kind == "exit"', "subprocess.run(['/bin/sh','-c','kill -SEGV $$'])"),
        ('denied and syscall == "kill"', REFUSED),
        ('exe.endswith("/true")', "subprocess.run(['/bin/true'])"),
    ],
)
def test_what_fires(place: Path, worker: subprocess.Popen[str], condition: str, deed: str) -> None:
    if "kill" in condition and os.geteuid() != 0:
        pytest.skip("not root: the denied call is NOT tested")
    running = watch(worker, place / "rec", condition)
    tell(worker, deed)
    assert running.wait(20), f"{condition} did not fire"
    running.stop()
    assert [e["data"]["condition"] for e in events(place / "rec") if e.get("event_type") == "trigger"] == [
        condition
    ]


def test_a_rule_fires_and_is_named(place: Path, worker: subprocess.Popen[str]) -> None:
    running = watch(worker, place / "rec", "rule:sensitive-file-read")
    tell(worker, "open('/etc/hostname').close()")
    time.sleep(0.5)
    assert not (place / "rec").exists()
    tell(worker, "os.path.exists('/etc/shadow') and open('/etc/shadow').close()")
    assert running.wait(20)
    running.stop()
    (trigger,) = [e for e in events(place / "rec") if e.get("event_type") == "trigger"]
    assert trigger["data"]["rule"] == "sensitive-file-read" and trigger["data"]["pid"] == worker.pid


@pytest.mark.without_probe
def test_each_rule_is_a_condition_or_says_why_not() -> None:
    calls = frozenset({"openat", "open", "unlink", "mount", "bpf", "connect", "ptrace", "clock_settime"})
    conditions = {}
    for rule in load_rules():
        try:
            conditions[rule.id] = conditions_of_rule(rule.id, calls)
        except errors.UsageError as error:
            assert rule.id in str(error) and error.hint
    assert {"sensitive-file-read", "persistence", "log-tampering", "mounts", "loss", "crashed"} <= set(
        conditions
    )
    assert any('path.matches("/etc/shadow")' in text for text in conditions["sensitive-file-read"])
    assert all(0 < len(text) <= 4096 for texts in conditions.values() for text in texts)
    with pytest.raises(errors.NotFoundError):
        conditions_of_rule("no-such-rule", calls)


def test_overlapping_triggers_lengthen_one_window_and_later_ones_open_another(
    place: Path, worker: subprocess.Popen[str]
) -> None:
    running = watch(worker, place / "rec", 'path == "/fire"', windows=2, after_s=1.0)
    for pause in (0.7, 0.7, 3.0, 0.0):
        tell(worker, "os.access('/fire',0)")
        time.sleep(pause)
    assert running.wait(20)
    report = running.stop()
    assert report.recordings == (place / "rec", place / "rec-2")
    counts = [len([e for e in events(p) if e.get("event_type") == "trigger"]) for p in report.recordings]
    assert counts == [3, 1]
    assert (
        len({str(e["trace_id"]) for p in report.recordings for e in events(p) if e["type"] == "trace_start"})
        == 2
    )
    a, b = (ticks(path) for path in report.recordings)
    assert max(a) < min(b)
    for path in report.recordings:
        verify_recording(path)


def test_a_request_over_the_socket_fires(place: Path, worker: subprocess.Popen[str]) -> None:
    control = place / "control"
    running = watch(worker, place / "rec", control=control)
    assert control.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control))
        client.sendall(b"please \x1b[31m now\n")
        assert client.recv(64) == b"sealing\n"
    assert running.wait(20)
    running.stop()
    (trigger,) = [e for e in events(place / "rec") if e.get("event_type") == "trigger"]
    assert trigger["data"]["request"] == "please \x1b[31m now" and trigger["data"]["pid"] == os.getpid()
    eventually(lambda: not control.exists())


def test_nothing_fired_leaves_nothing(place: Path, worker: subprocess.Popen[str]) -> None:
    running = watch(worker, place / "rec", "false")
    time.sleep(0.5)
    report = running.stop()
    assert report.recordings == () and not (place / "rec").exists() and report.calls > 0


def test_conditions_that_mean_nothing_are_refused(place: Path) -> None:
    for condition in ("sycall == 'x'", "syscall == 'opennat'", "__import__('os')", ""):
        with pytest.raises(errors.UsageError):
            past = PreTrigger(conditions=(condition,))
            Watch(WatchOptions(path=place / "rec", everything=True, pre_trigger=past))
    done = observer("watch", "--all", "--pre-trigger", "1s", "--on", "sycall == 1", check=False)
    assert done.returncode == 2 and "syscall" in done.stderr
