# SPDX-License-Identifier: Apache-2.0
"""Files of an export: true to the recording by upstream's own definitions, whole or not there, private, and never obeyed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from observer import trace
from tests.export.decoding import attributes, records_of_file, spans
from tests.export.test_collector import OBSERVER, export


@pytest.fixture(scope="module")
def whole(
    recording: trace.Recording, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    path = tmp_path_factory.mktemp("whole") / "all.jsonl"
    done = export(recording.path, "--format", "otlp-jsonl", "-o", path, "--calls", "full")
    assert done.returncode == 0, done.stderr
    return {
        name: [json.loads(line)["item"] for line in lines] for name, lines in records_of_file(path).items()
    }


def test_the_ids_are_those_of_the_recording(
    recording: trace.Recording, whole: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    import base64

    want = recording.start.trace_id.bytes
    for item in whole["traces"] + whole["logs"]:
        assert base64.b64decode(item["traceId"]) == want
        assert len(base64.b64decode(item["spanId"])) == 8
    again = tmp_path / "again.jsonl"
    export(recording.path, "--format", "otlp-jsonl", "-o", again, "--calls", "full")
    second = spans(records_of_file(again)["traces"])
    assert [item["spanId"] for item in second] == [item["spanId"] for item in whole["traces"]], (
        "ids are stable"
    )


def test_spans_are_the_process_tree(
    recording: trace.Recording, whole: dict[str, list[dict[str, Any]]]
) -> None:
    by_id = {item["spanId"]: item for item in whole["traces"]}
    assert len(by_id) == len(whole["traces"])
    (root,) = [item for item in whole["traces"] if "parentSpanId" not in item]
    lines = [line.event for line in recording.lines()]
    starts = [e for e in lines if e.get("type") == "process" and e["what"] == "start"]
    processes = [item for item in whole["traces"] if item is not root]
    assert sorted(attributes(item)["process.pid"] for item in processes) == sorted(e["pid"] for e in starts)
    parent_of = {e["pid"]: e["ppid"] for e in starts}
    for item in processes:
        parent, facts = by_id[item["parentSpanId"]], attributes(item)
        if parent is not root:
            assert attributes(parent)["process.pid"] == parent_of[facts["process.pid"]]
        assert (
            int(parent["startTimeUnixNano"]) <= int(item["startTimeUnixNano"]) <= int(item["endTimeUnixNano"])
        )
        assert facts["observer.process.exit_seen"]
    ends = Counter(item.get("status", {}).get("message") for item in processes)
    assert ends["exit status 3"] == 1
    assert any(text and "SIGSEGV" in text for text in ends)
    names = {item["name"] for item in processes}
    assert {"cat", "ls"} <= names


def test_log_records_are_the_calls(
    recording: trace.Recording, whole: dict[str, list[dict[str, Any]]]
) -> None:
    calls = {call["id"]: call for call in recording.calls({"signals": True})}
    told = {}
    for item in whole["logs"]:
        facts = attributes(item)
        if item["eventName"] in ("process.syscall", "process.signal"):
            told[facts["log.record.uid"].partition(":")[2]] = (item, facts)
    assert told.keys() == calls.keys()
    owner = {item["spanId"]: attributes(item).get("process.pid") for item in whole["traces"]}
    for rid, (item, facts) in told.items():
        call = calls[rid]
        assert int(item["timeUnixNano"]) == call["wall_ns"]
        assert owner[item["spanId"]] == call["pid"] == facts["process.pid"]
        if "syscall" in call:
            assert facts["syscall.name"] == call["syscall"]
            assert facts["syscall.outcome"] == call["outcome"]
            assert facts.get("error.type") == call["errno"]
            shown = ", ".join(arg["text"] for arg in call["args"])
            assert item["body"]["stringValue"] == f"{call['syscall']}({shown}) = {call['result_text']}"
    assert any(facts.get("network.peer.address") == "127.0.0.1" for _, facts in told.values())
    strange = [facts["file.path"] for _, facts in told.values() if "\x1b" in facts.get("file.path", "")]
    assert strange
    assert strange[0].endswith("a\x1b[31m\u202e\ufffd\n\"'")


def test_metrics_count_every_call(recording: trace.Recording, whole: dict[str, list[dict[str, Any]]]) -> None:
    by_name = {item["name"]: item for item in whole["metrics"]}
    want = Counter((call["syscall"], call["outcome"]) for call in recording.calls())
    got: Counter[tuple[str, str]] = Counter()
    for point in by_name["syscall.count"]["sum"]["dataPoints"]:
        facts = attributes(point)
        got[facts["syscall.name"], facts["syscall.outcome"]] += int(point["asInt"])
    assert got == want
    for point in by_name["syscall.duration"]["histogram"]["dataPoints"]:
        assert sum(map(int, point["bucketCounts"])) == int(point["count"])
        assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
    assert int(by_name["process.count"]["sum"]["dataPoints"][0]["asInt"]) == len(whole["traces"]) - 1
    assert by_name["observer.records.lost"]["sum"]["dataPoints"]


def test_notable_is_part_of_full(
    recording: trace.Recording, whole: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    assert export(recording.path, "--format", "otlp-jsonl", "-o", f"{tmp_path}/").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"traces.jsonl", "logs.jsonl", "metrics.jsonl"}
    logs = [json.loads(line)["item"] for line in records_of_file(tmp_path / "logs.jsonl")["logs"]]
    names = {attributes(item).get("syscall.name") for item in logs} - {None}
    assert {"execve", "connect"} <= names
    assert not {"read", "mmap", "openat"} & names
    ids = [attributes(item)["log.record.uid"] for item in logs]
    assert set(ids) <= {attributes(item)["log.record.uid"] for item in whole["logs"]}
    assert len(ids) == len(set(ids))


def test_plain_json_lines(recording: trace.Recording, tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    assert export(recording.path, "--format", "jsonl", "-o", path).returncode == 0
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    kinds = Counter(line["message_type"] for line in lines)
    assert kinds["recording"] == 1
    assert kinds["call"] + kinds["signal"] == recording.stats()["calls"]
    assert kinds["signal"] >= 1
    assert "\x1b" not in path.read_text()


def test_files_are_private_and_replaced_only_when_asked(recording: trace.Recording, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("mine")
    refused = export(recording.path, "--format", "jsonl", "-o", path)
    assert (refused.returncode, path.read_text()) == (2, "mine")
    assert export(recording.path, "--format", "jsonl", "-o", path, "--force").returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_the_recording_is_not_touched(recording: trace.Recording, tmp_path: Path) -> None:
    def state() -> list[tuple[str, int, bytes]]:
        files = sorted(path for path in recording.path.rglob("*") if path.is_file())
        return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in files]

    before = state()
    export(recording.path, "--format", "jsonl", "-o", tmp_path / "x")
    assert state() == before


def test_what_does_not_hold_is_not_exported_unless_asked(recording: trace.Recording, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(recording.path, copy)
    log = copy / "sealed.log"
    log.write_bytes(log.read_bytes().replace(b'"exit_code":3', b'"exit_code":4', 1))
    refused = export(copy, "--format", "otlp-jsonl", "-o", tmp_path / "x")
    assert refused.returncode == 14
    assert not (tmp_path / "x").exists()
    assert export(copy, "--format", "otlp-jsonl", "-o", tmp_path / "x", "--unproven").returncode == 0
    assert '"observer.evidence.verified","value":{"boolValue":false}' in (tmp_path / "x").read_text()


def test_a_full_disk_leaves_nothing(recording: trace.Recording, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("MOUNTING A SMALL FILE SYSTEM NEEDS ROOT: a full disk is not tried")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        for form in ("otlp-jsonl", "jsonl"):
            done = export(recording.path, "--format", form, "-o", small / "x", "--calls", "full")
            assert done.returncode == 13, done.stderr
            assert "OBS301" in done.stderr
            assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_interrupted_it_leaves_a_valid_file(tmp_path: Path) -> None:
    done = trace.record_command(
        ["sh", "-c", "i=0; while [ $i -lt 4000 ]; do : </dev/null; i=$((i+1)); done"],
        trace.RecordingOptions(path=tmp_path / "rec"),
    )
    path = tmp_path / "x.jsonl"
    command = [*OBSERVER, "export", str(done.path), "--format", "jsonl", "-o", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "x.jsonl.part"
    deadline = time.monotonic() + 20
    while (
        not (part.exists() and part.stat().st_size) and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    if process.returncode == 0:
        pytest.skip("the export was over before the interruption")
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "only the beginning" in said
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines
    for line in lines:
        assert line.endswith(b"\n")
        json.loads(line)
    count = re.search(r"([\d,]+) records", said)
    assert count
    assert int(count.group(1).replace(",", "")) == len(lines)
    assert not part.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say where to"),
        (("--format", "jsonl"), "-o"),
        (("--format", "jsonl", "-o", "x", "--otlp", "http://h"), "say where to"),
        (("--otlp=full", "--calls", "notable"), "one of full and notable"),
        (("--format", "jsonl", "-o", "-", "--json"), "stdout"),
    ],
)
def test_contradictions_are_named(recording: trace.Recording, words: tuple[str, ...], says: str) -> None:
    done = export(recording.path, *words)
    assert done.returncode == 2
    assert says in done.stderr
