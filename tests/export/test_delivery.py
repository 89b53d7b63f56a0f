# SPDX-License-Identifier: Apache-2.0
"""Receivers that are slow, full, picky, gone or hostile: what is told, counted, tried again, and what is never lost or leaked.

No collector can be asked to answer so; these answers are scripted, as the OTLP specification has them.
"""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from observer import trace
from observer.errors import UsageError
from observer.export import Content, endpoints
from tests.export.conftest import free_port
from tests.export.decoding import attributes, parse_bytes, records
from tests.export.test_collector import export

Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {"content-type": "application/x-protobuf"}, b"")


class Receiver:
    """Takes requests and gives each the next answer of a script; after its end everything is taken."""

    def __init__(self) -> None:
        self.script: list[Answer | Callable[[Any], Answer]] = []
        self.taken: list[tuple[str, bytes, dict[str, str]]] = []
        self.times: list[float] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.times.append(time.monotonic())
                answer = outer.script.pop(0) if outer.script else OK
                status, headers, text = answer(self) if callable(answer) else answer
                if status < 300:
                    plain = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
                    outer.taken.append((self.path, plain, dict(self.headers)))
                self.send_response(status)
                for name, value in {"content-length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def got(self, signal: str) -> list[str]:
        return [
            text
            for path, body, _ in self.taken
            if path == f"/v1/{signal}"
            for text in records(signal, parse_bytes(signal, body))
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.server.shutdown()


def test_tried_again_and_in_order_of_what_the_receiver_asks(
    receiver: Receiver, recording: trace.Recording
) -> None:
    receiver.script = [
        (503, {}, b""),
        (429, {"retry-after": "1"}, b""),
        (502, {}, b"<b>bad gateway</b>"),
        (504, {}, b""),
    ]
    done = export(recording.path, "--otlp", receiver.url, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["retries"] == 4
    assert {signal: len(receiver.got(signal)) for signal in told["sent"]} == told["sent"]
    assert receiver.times[2] - receiver.times[1] >= 1.0, "Retry-After is honoured"


def test_a_request_that_is_too_large_is_split(receiver: Receiver, recording: trace.Recording) -> None:
    whole = export(recording.path, "--otlp", receiver.url, "--otlp=full", "--signal", "logs", "--json")
    sent = json.loads(whole.stdout)["sent"]["logs"]
    before = sorted(receiver.got("logs"))
    receiver.taken.clear()

    def limit(handler: Any) -> Answer:
        receiver.script.insert(0, limit)
        return (413, {}, b"") if int(handler.headers["content-length"]) > 4000 else OK

    receiver.script = [limit]
    done = export(recording.path, "--otlp", receiver.url, "--otlp=full", "--signal", "logs", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"]["logs"] == sent
    assert sorted(receiver.got("logs")) == before
    assert len(receiver.taken) > 4


def test_rejected_records_are_counted_and_told(receiver: Receiver, recording: trace.Recording) -> None:
    # ExportTraceServiceResponse { partial_success = 1 { rejected_spans = 1: 2, error_message = 2: "no\x1b[31m" } }
    receiver.script = [(200, {}, bytes([0x0A, 0x0B, 0x08, 2, 0x12, 7]) + b"no\x1b[31m")]
    done = export(recording.path, "--otlp", receiver.url, "--json")
    assert done.returncode == 18
    told = json.loads(done.stdout)
    assert told["rejected"] == {"traces": 2, "logs": 0, "metrics": 0}
    assert told["sent"]["logs"] > 0, "the rest is sent all the same"
    assert "rejected 2 spans" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((400, {}, b""), "HTTP 400"),
        ((401, {"content-type": "text/plain"}, b"who are you\x1b]0;x\x07"), "who are you"),
        ((404, {}, b""), "HTTP 404"),
        ((301, {"location": "http://elsewhere.example/"}, b""), "HTTP 301"),
    ],
)
def test_a_refusal_for_good_ends_it(
    receiver: Receiver, recording: trace.Recording, answer: Answer, says: str
) -> None:
    receiver.script = [answer] * 9
    done = export(recording.path, "--otlp", receiver.url)
    assert done.returncode == 18
    assert says in done.stderr
    assert "OBS800" in done.stderr
    assert "\x1b" not in done.stderr
    assert len(receiver.times) == 1, "not tried again"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nobody_there(recording: trace.Recording, protocol: str) -> None:
    if protocol == "grpc":
        pytest.importorskip("grpc")
    started = time.monotonic()
    done = export(
        recording.path,
        "--otlp",
        f"http://127.0.0.1:{free_port()}",
        "--protocol",
        protocol,
        "--retry-for",
        "0.5",
    )
    assert done.returncode == 18
    assert "OBS800" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 20


def test_a_receiver_that_never_answers_runs_into_the_timeout(
    receiver: Receiver, recording: trace.Recording
) -> None:
    def sleep(_: Any) -> Answer:
        time.sleep(2)
        return OK

    receiver.script = [sleep] * 5
    done = export(
        recording.path, "--otlp", receiver.url, "--retry-for", "0", env={"OTEL_EXPORTER_OTLP_TIMEOUT": "200"}
    )
    assert done.returncode == 18
    assert "timed out" in done.stderr


def test_headers_come_from_the_environment_and_are_never_shown(
    receiver: Receiver, recording: trace.Recording
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret,x-scope=a",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-scope=b",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{receiver.url}/base/",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{receiver.url}/own/place",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%20bed",
        "OTEL_SERVICE_NAME": "recorder",
    }
    done = export(recording.path, "--otlp", "-v", env=env)
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    heads = {path: {k.lower(): v for k, v in head.items()} for path, _, head in receiver.taken}
    assert set(heads) == {"/base/v1/traces", "/base/v1/logs", "/own/place"}
    assert all(head["authorization"] == "Bearer s3cret" for head in heads.values())
    assert (heads["/base/v1/traces"]["x-scope"], heads["/base/v1/logs"]["x-scope"]) == ("a", "b")
    resource = parse_bytes("traces", receiver.taken[0][1]).resource_spans[0].resource
    named = {pair.key: pair.value.string_value for pair in resource.attributes}
    assert (named["service.name"], named["deployment.environment.name"]) == ("recorder", "test bed")
    receiver.script = [(403, {}, b"")]
    assert "s3cret" not in export(recording.path, "--otlp", "-vv", env=env).stderr


@pytest.mark.parametrize(
    ("argument", "environ", "says"),
    [
        ("http://user:password@host:1", {}, "every user of this machine"),
        ("ftp://host", {}, "bad endpoint"),
        ("http://", {}, "bad endpoint"),
        ("http://host:99999", {}, "bad endpoint"),
        ("http://h", {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "TIMEOUT"),
        ("http://h", {"OTEL_EXPORTER_OTLP_COMPRESSION": "lzma"}, "COMPRESSION"),
        ("http://h", {"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "protocol"),
        ("http://h", {"OTEL_EXPORTER_OTLP_HEADERS": "secret-without-name"}, "HEADERS"),
        ("http://h", {"OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0ax:y"}, "HEADERS"),
        ("https://h", {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nonexistent"}, "certificates"),
    ],
)
def test_settings_that_cannot_be_meant(argument: str, environ: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        endpoints(argument, None, ("logs",), environ)
    for secret in ("password@", "secret-without-name"):
        assert secret not in str(caught.value)


def test_ports_and_schemes_of_grpc() -> None:
    def place(text: str, **environ: str) -> tuple[str, int, bool]:
        (target,) = endpoints(text, "grpc", ("logs",), environ).values()
        return target.host, target.port, target.tls is not None

    assert place("http://h") == ("h", 4317, False)
    assert place("https://h:1") == ("h", 1, True)
    assert place("h:2") == ("h", 2, True)
    assert place("h:2", OTEL_EXPORTER_OTLP_INSECURE="true") == ("h", 2, False)
    assert place("http://[::1]:3") == ("::1", 3, False)


def test_what_a_finding_says(receiver: Receiver, tmp_path: Any) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa").write_text("x")
    done = trace.record_command(
        ["cat", str(tmp_path / ".ssh" / "id_rsa")], trace.RecordingOptions(path=tmp_path / "rec")
    )
    assert export(done.path, "--otlp", receiver.url).returncode == 0
    logs = [json.loads(text)["item"] for text in receiver.got("logs")]
    found = [attributes(log) for log in logs if log["eventName"] == "observer.finding"]
    (read,) = [each for each in found if each["security_rule.name"] == "sensitive-file-read"]
    assert read["observer.finding.severity"] == "high"
    ids = {attributes(log).get("log.record.uid", "").partition(":")[2] for log in logs}
    assert set(read["observer.record.ids"]) <= ids, "the calls that a finding cites are exported with it"


def test_content_is_what_it_says() -> None:
    assert Content().signals == ("traces", "logs", "metrics")
