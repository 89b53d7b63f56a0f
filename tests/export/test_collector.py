# SPDX-License-Identifier: Apache-2.0
"""A real OpenTelemetry Collector receives what we send: each record as we wrote it, none lost, also over its restart."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from observer import trace
from tests.export.conftest import Collector
from tests.export.decoding import records_of_file

OBSERVER = [sys.executable, "-m", "observer"]


def export(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    import os

    clean = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    return subprocess.run(
        [*OBSERVER, "export", *map(str, words)], capture_output=True, text=True, check=False,
        env={**clean, **(env or {})}, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def own(recording: trace.Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What our own file says: the same records, by another encoder."""
    path = tmp_path_factory.mktemp("own") / "own.jsonl"
    done = export(recording.path, "--format", "otlp-jsonl", "-o", path, "--calls", "full")
    assert done.returncode == 0, done.stderr
    return records_of_file(path)


def same(received: dict[str, list[str]], own: dict[str, list[str]]) -> None:
    for signal, wanted in own.items():
        assert sorted(received[signal]) == sorted(wanted), signal


@pytest.mark.parametrize(
    ("protocol", "compression"), [("http/protobuf", "gzip"), ("http/json", "none"), ("grpc", "gzip")]
)
def test_every_record_arrives_as_it_was_written(
    collector: Collector,
    recording: trace.Recording,
    own: dict[str, list[str]],
    protocol: str,
    compression: str,
) -> None:
    if protocol == "grpc":
        pytest.importorskip("grpc")
    port = collector.grpc if protocol == "grpc" else collector.http
    done = export(
        recording.path, "--otlp", f"http://127.0.0.1:{port}", "--otlp=full", "--protocol", protocol, "--json",
        env={"OTEL_EXPORTER_OTLP_COMPRESSION": compression},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    collector.stop()
    received = records_of_file(collector.output)
    same(received, own)
    assert {signal: len(lines) for signal, lines in received.items()} == told["sent"]
    assert told["sent"]["logs"] > recording.stats()["calls"]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nothing_is_lost_when_the_collector_restarts_in_between(
    collector: Collector, recording: trace.Recording, own: dict[str, list[str]], protocol: str
) -> None:
    if protocol == "grpc":
        pytest.importorskip("grpc")
    port = collector.grpc if protocol == "grpc" else collector.http
    answers: list[subprocess.CompletedProcess[str]] = []

    def send() -> None:
        # Small requests, so that the restart falls between many of them.
        answers.append(
            export(
                recording.path,
                "--otlp",
                f"http://127.0.0.1:{port}",
                "--otlp=full",
                "--protocol",
                protocol,
                "--batch",
                2,
                "--json",
            )
        )

    sender = threading.Thread(target=send)
    sender.start()
    deadline = time.monotonic() + 30
    while (
        not (collector.output.exists() and collector.output.stat().st_size > 50_000)
        and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    collector.stop()
    assert sender.is_alive(), "the restart came too late to be one"
    time.sleep(0.5)
    collector.start()
    sender.join()
    assert answers[0].returncode == 0, answers[0].stderr
    told = json.loads(answers[0].stdout)
    assert told["retries"] > 0
    collector.stop()
    received = records_of_file(collector.output)
    # A request whose answer was lost is sent again: its records arrive twice and are known by their ids.
    same({signal: sorted(set(lines)) for signal, lines in received.items()}, own)


def test_tls_with_certificates_of_both_sides(
    collector_program: Path, recording: trace.Recording, tmp_path: Path
) -> None:
    pytest.importorskip("grpc")
    script = """
        set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
        for who in server client; do
          openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who.key -out $who.csr
          echo 'subjectAltName=IP:127.0.0.1' > san
          openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out $who.pem
        done
    """
    subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    tls = f", tls: {{cert_file: {tmp_path}/server.pem, key_file: {tmp_path}/server.key, client_ca_file: {tmp_path}/ca.pem}}"
    running = Collector(tmp_path, tls=tls)
    running.start()
    keys = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{tmp_path}/ca.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"{tmp_path}/client.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"{tmp_path}/client.key",
    }
    try:
        for protocol, port in (("http/protobuf", running.http), ("grpc", running.grpc)):
            where = (
                recording.path,
                "--otlp",
                f"https://127.0.0.1:{port}",
                "--protocol",
                protocol,
                "--retry-for",
                "1",
            )
            assert export(*where, env=keys).returncode == 0
            unknown = export(*where, env={**keys, "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{tmp_path}/client.pem"})
            assert unknown.returncode == 18
            assert "accepted before that: nothing" in unknown.stderr
    finally:
        running.stop()
    received = records_of_file(running.output)
    assert len(received["logs"]) == 2 * len(set(received["logs"]))
