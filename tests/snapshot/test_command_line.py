# SPDX-License-Identifier: Apache-2.0
"""What a user types, and what comes back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.snapshot.conftest import Start


def observer(*words: str, status: int = 0) -> str:
    """Run the command line and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "observer", "snapshot", *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == status, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if status == 0 else result.stderr


def test_a_snapshot_from_creation_to_core(start: Start, tmp_path: Path) -> None:
    process = start("threads")
    line = observer("create", "--pid", str(process.pid))
    assert "1 process" in line
    assert "paused" in line
    name = line.split()[1].rstrip(":")
    assert name in observer("list")
    shown = observer("show", name[:8], "--regions", "--threads", "--descriptors")
    for word in ("[heap]", "rip=", "/etc/hostname", "16.0 TiB"):
        assert word in shown
    objects = [json.loads(text) for text in observer("show", "last", "--json").splitlines()]
    assert {item["message_type"] for item in objects} == {
        "snapshot",
        "process",
        "region",
        "thread",
        "component",
    }
    assert "holds" in observer("verify", "last")
    found = json.loads(observer("strings", "last", "--pattern", "needle in", "--json").splitlines()[0])
    assert found["text"].startswith("needle in the heap")
    assert "needle in the he" in observer("show", "last", "--read", f"{found['address']:x}", "--length", "18")
    observer("core", "last", "-o", str(tmp_path / "core"))
    assert "OBS" in observer("core", "last", "-o", str(tmp_path / "core"), status=13)
    observer("export", "last", "-o", str(tmp_path / "out.osnap"), "--format", "raw")
    observer("create", "--pid", "999999999", status=17)
    observer("show", "nothing", status=17)


CHANGING = """
import sys
x = bytearray(1 << 20)
print("ready", flush=True)
sys.stdin.readline()
x[5000:5030] = b"a string that was not there!!!"
f = open("/etc/passwd")
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_difference_names_what_changed(start: Start) -> None:
    process = start("", command=[sys.executable, "-c", CHANGING])
    observer("create", "--pid", str(process.pid))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()
    observer("create", "--pid", str(process.pid))
    names = [line.split()[0] for line in observer("list").splitlines()]
    found = [json.loads(text) for text in observer("diff", *names, "--json").splitlines()]
    assert any("a string that was not there!!!" in item.get("text", "") for item in found)
    assert any(
        item["message_type"] == "descriptor" and item["after"]["path"] == "/etc/passwd" for item in found
    )
    assert 0 < found[-1]["pages_changed"] < 500
    text = observer("diff", *names)
    assert "pages differ" in text
    assert observer("diff", names[0], names[0]).strip() == "0 pages differ"


def test_a_schedule_keeps_what_it_was_told(start: Start, home: Path) -> None:
    process = start("threads")
    command = [
        "schedule",
        "--pid",
        str(process.pid),
        "--every",
        "50ms",
        "--count",
        "6",
        "--full-every",
        "3",
        "--keep",
        "2",
        "--json",
    ]
    lines = [json.loads(text) for text in observer(*command).splitlines()]
    taken = [line for line in lines if line["message_type"] == "snapshot"]
    assert [line["method"]["increment"] for line in taken] == [False, True, True] * 2
    assert len(observer("list").splitlines()) == 2
    for line in observer("list").splitlines():
        observer("verify", line.split()[0])
    kept = {path.suffix for path in (home / "snapshots").iterdir()}
    assert ".part" not in kept
    process.kill()
    process.wait()
    time.sleep(0.01)
    observer("schedule", "--pid", str(process.pid), "--every", "1s", status=17)
