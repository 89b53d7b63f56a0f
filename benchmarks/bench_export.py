# SPDX-License-Identifier: Apache-2.0
"""Export against upstream's own protobuf library, in one run: the encoder alone, and the way from a recording to requests."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from observer import trace
from observer.export.content import Content, batches, open_export

ROOT = Path(__file__).resolve().parent.parent
PEER_RECORDS = 20_000


def core() -> dict[str, float]:
    """Return what the Rust core measures of its encoder."""
    command = ["cargo", "run", "--quiet", "--release", "-p", "observer-export", "--example", "speed"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def peer() -> float | None:
    """Return records per CPU second of opentelemetry-proto's objects, made and encoded; None without the package."""
    try:
        from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
        from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs, SeverityNumber
    except ImportError:
        return None
    started = time.process_time()
    logs = ScopeLogs()
    for number in range(PEER_RECORDS):
        texts = {
            "syscall.name": "openat",
            "syscall.outcome": "ok",
            "log.record.uid": f"0b0e:s{number}",
            "file.path": "/etc/hosts",
        }
        numbers = {"syscall.duration_ns": 1234, "syscall.result": 3, "process.pid": 4711, "thread.id": 4711}
        pairs = [KeyValue(key=k, value=AnyValue(string_value=v)) for k, v in texts.items()]
        pairs += [KeyValue(key=k, value=AnyValue(int_value=v)) for k, v in numbers.items()]
        logs.log_records.append(
            LogRecord(
                time_unix_nano=number,
                severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
                event_name="process.syscall",
                body=AnyValue(string_value='openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3'),
                attributes=pairs,
                trace_id=bytes(16),
                span_id=bytes(8),
            )
        )
    logs.SerializeToString()
    return PEER_RECORDS / (time.process_time() - started)


def whole(place: Path) -> tuple[int, float]:
    """Return how many log records a recording gives, and how many of them per CPU second, decoded and encoded."""
    command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=150000", "status=none"]
    done = trace.record_command(command, trace.RecordingOptions(path=place / "rec"))
    recording = trace.Recording(done.path)
    exporter = open_export(recording, Content(calls="full", findings=False), as_json=False)
    started, count = time.process_time(), 0
    for batch in batches(exporter, ("logs",), 8192, 4 << 20):
        count += len(batch)
        batch.request(0, len(batch))
    return count, count / (time.process_time() - started)


def main() -> int:
    """Measure and print."""
    encoder = core()
    with tempfile.TemporaryDirectory() as place:
        count, rate = whole(Path(place))
    other = peer()
    print(
        "export     records per second of one core; ratio to upstream's Python protobuf library (upb), same run"
    )
    for name, value, size in (
        ("encoder, protobuf", encoder["protobuf"], f"{encoder['protobuf_bytes']:.0f} B/record"),
        ("encoder, OTLP/JSON", encoder["json"], f"{encoder['json_bytes']:.0f} B/record"),
        ("recording to requests", rate, f"{count:,} records, decoded to text"),
    ):
        ratio = f"{value / other:6.0f}x" if other else "      -"
        print(f"  {name:<24} {value:>12,.0f}  {ratio}  {size}")
    print(
        f"  {'opentelemetry-proto':<24} {other:>12,.0f}       1x"
        if other
        else "  opentelemetry-proto      absent"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
