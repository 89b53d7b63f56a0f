# SPDX-License-Identifier: Apache-2.0
"""Parquet opens in DuckDB with the recording's own counts; a Perfetto trace is what upstream's definitions say of it."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from observer import trace
from tests.export.test_collector import export


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
