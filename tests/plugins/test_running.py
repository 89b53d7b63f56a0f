# SPDX-License-Identifier: Apache-2.0
"""A plugin runs as it would without a recorder, and its recording tells everything."""

import json
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

from observer.plugins import PluginLimits, PluginState
from observer.trace import Recording, summarise, verify_recording


def calls(path: Path) -> list[dict]:
    return list(Recording(path).calls())


def test_a_program_that_uses_files_runs_and_is_recorded(built, run, tmp_path, data):
    outcome, plugin = run(built("files"), "word")
    assert (outcome.kind, outcome.detail, outcome.exit_status) == ("exited", "7", 7)
    assert plugin.state is PluginState.STOPPED
    text = (tmp_path / "stdout.txt").read_text()
    assert text.startswith("read: hello file\n")
    assert "up: Operation not permitted" in text

    proof = verify_recording(plugin.path)
    recorded = calls(plugin.path)
    assert proof["closed"] and proof["records"] == len(recorded) > 20
    names = [call["syscall"] for call in recorded]
    assert names[-1] == "proc_exit" and recorded[-1]["outcome"] == "no_result"
    read = next(call for call in recorded if call["syscall"] == "fd_read")
    assert read["args"][1]["text"] == '"hello file\\n"' and read["result"] == 0
    escape = next(call for call in recorded if call["syscall"] == "path_open" and call["result"] != 0)
    assert escape["errno"] in ("EPERM", "ENOTCAPABLE") and escape["outcome"] == "denied"
    assert all(call["allowed"] for call in recorded)
    assert all(call["duration_ns"] >= 0 for call in recorded[:-1])
    assert "sk-not-there" not in json.dumps(recorded)


def test_every_record_carries_the_plugin(built, run):
    _, plugin = run(built("files"))
    recording = Recording(plugin.path)
    assert recording.start.plugin_id == plugin.plugin_id
    states = [
        line.event["data"] for line in recording.lines() if line.event.get("event_type") == "plugin_state"
    ]
    assert [state["to"] for state in states] == [
        "created",
        "initializing",
        "ready",
        "running",
        "stopping",
        "stopped",
    ]
    assert {state["plugin_id"] for state in states} == {str(plugin.plugin_id)}


def test_the_summary_names_what_it_touched(built, run):
    _, plugin = run(built("files"))
    told = "\n".join(event.text for event in summarise(Recording(plugin.path)).key_events)
    for path in ("/data/in.txt", "/data/out.txt", "/data/sub", "/etc/passwd"):
        assert path in told


def test_a_killed_host_leaves_what_was_sealed(built, tmp_path):
    code = tmp_path / "clock.wasm"
    code.write_bytes(built("clock"))
    rec = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "observer",
        "plugin",
        "run",
        "-o",
        str(rec),
        str(code),
        "--",
        "2000000000",
    ]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 30
    while (
        not (rec / "segments" / "000000.seg").exists()
        or (rec / "segments" / "000000.seg").stat().st_size < 100_000
    ):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    proof = verify_recording(rec)
    assert not proof["closed"] and proof["records"] > 1000
    assert {call["syscall"] for call in islice(Recording(rec).calls(first=10), 50)} == {"clock_time_get"}


def test_a_million_calls_fill_the_ring_many_times_and_none_is_lost(built, run):
    outcome, plugin = run(built("clock"), "300000")
    assert outcome.ok
    counts = Recording(plugin.path).digest()["counts"]
    assert counts["clock_time_get"]["ok"] == 300_000


def test_the_recorders_own_ring_does_not_count_as_the_plugins_memory(built, run):
    outcome, _ = run(built("clock"), "20000", limits=PluginLimits(memory_bytes=3 << 16))
    assert outcome.ok
