# SPDX-License-Identifier: Apache-2.0
"""A recording made for replay is a recording like every other: it verifies, shows, sums up, exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.replay.conftest import run


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("read") / "rec"
    done = run(
        "record", "--replayable", "-q", "-o", place, "--", "bash", "-c", "cat /etc/hostname; date | wc -c"
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def copy(recording: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recording, tmp_path / "copy"))


def test_stored_files_are_part_of_what_is_verified(recording: Path) -> None:
    proof = json.loads(run("verify", recording, "--json").stdout)
    sizes = [file.stat().st_size for file in (recording / "blobs").iterdir()]
    assert proof["verdict"] == "VERIFIED"
    assert (proof["stored_files"], proof["stored_bytes"]) == (len(sizes), sum(sizes))
    assert f"{len(sizes):,} stored".encode() in run("verify", recording).stdout


def test_a_changed_a_missing_and_a_foreign_stored_file_are_found(copy: Path) -> None:
    victim = max((copy / "blobs").iterdir(), key=lambda file: file.stat().st_size)
    content = victim.read_bytes()
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    victim.write_bytes(bytes(changed))
    for damage in ("changed", "missing", "link"):
        if damage == "missing":
            victim.unlink()
        if damage == "link":
            (copy / "elsewhere").write_bytes(content)
            victim.symlink_to(copy / "elsewhere")
        told = run("verify", copy, "--json")
        assert told.returncode == 14, damage
        assert (
            json.loads(told.stdout)["code"] == "OBS404" and victim.name in json.loads(told.stdout)["message"]
        )
        assert run("summary", copy).returncode == 14, damage
        assert run("replay", copy).returncode in (14, 15, 17), damage


def test_it_is_shown_and_summed_up(recording: Path) -> None:
    calls = [json.loads(line) for line in run("show", recording, "--calls", "--json").stdout.splitlines()]
    names = {call["syscall"] for call in calls if call.get("message_type") == "call"}
    assert {"execve", "openat", "read", "write", "wait4"} <= names, names
    shown = run("show", recording)
    assert shown.returncode == 0 and b"cat" in shown.stdout
    summary = json.loads(run("summary", recording, "--json").stdout)
    assert summary["syscall_count"] == sum(call.get("message_type") == "call" for call in calls)


@pytest.mark.parametrize("form", ["jsonl", "otlp-jsonl", "parquet", "perfetto"])
def test_it_is_exported(recording: Path, form: str, tmp_path: Path) -> None:
    done = run("export", recording, "--format", form, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "out"
    files = [made] if made.is_file() else [file for file in made.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) > 1000
