# SPDX-License-Identifier: Apache-2.0
"""What a request or a line of OTLP says, by upstream's definitions alone, in a form that two sides can be compared in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

REQUESTS = {
    "traces": trace_service_pb2.ExportTraceServiceRequest,
    "logs": logs_service_pb2.ExportLogsServiceRequest,
    "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
}
PARTS = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
}
IDS = ("traceId", "spanId", "parentSpanId")


def parse_line(line: str) -> tuple[str, Any]:
    """Parse a line of OTLP/JSON with upstream's definitions; unknown fields are errors."""
    values = json.loads(line)
    signal = next(name for name, (outer, *_) in PARTS.items() if outer in values)
    _to_base64(values)
    return signal, json_format.ParseDict(values, REQUESTS[signal](), ignore_unknown_fields=False)


def parse_bytes(signal: str, body: bytes) -> Any:
    """Parse a request in protobuf; unknown fields are errors."""
    message = REQUESTS[signal].FromString(body)
    assert not list(_unknown(message)), "fields that upstream does not know"
    return message


def _unknown(message: Any) -> Iterator[Any]:
    from google.protobuf.unknown_fields import UnknownFieldSet

    yield from UnknownFieldSet(message)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                yield from _unknown(item)


def _to_base64(value: Any) -> None:
    """OTLP/JSON writes ids in hex, protobuf's own JSON in base64."""
    if isinstance(value, dict):
        for key, held in value.items():
            if key in IDS and isinstance(held, str):
                value[key] = base64.b64encode(bytes.fromhex(held)).decode()
            else:
                _to_base64(held)
    elif isinstance(value, list):
        for held in value:
            _to_base64(held)


def records(signal: str, message: Any) -> Iterator[str]:
    """Yield each signal with its resource and scope, attributes in order of name, as text that equals for equal signals."""
    outer, inner, each = PARTS[signal]
    values = json_format.MessageToDict(message)
    for group in values.get(outer, ()):
        for scoped in group[inner]:
            for item in scoped[each]:
                whole = {"resource": group["resource"], "scope": scoped["scope"], "item": item}
                yield json.dumps(_sorted(whole), sort_keys=True)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(held) for key, held in value.items()}
    if isinstance(value, list):
        items = [_sorted(held) for held in value]
        return (
            sorted(items, key=lambda item: item["key"])
            if items and isinstance(items[0], dict) and "key" in items[0]
            else items
        )
    return value


def records_of_file(path: Path) -> dict[str, list[str]]:
    """Return all signals in a file of OTLP/JSON lines, by kind."""
    found: dict[str, list[str]] = {name: [] for name in PARTS}
    for line in path.read_text(encoding="utf-8").splitlines():
        signal, message = parse_line(line)
        found[signal] += records(signal, message)
    return found


def spans(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the spans alone."""
    return [json.loads(line)["item"] for line in lines]


def attributes(item: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a signal by name; lists as lists of text, integers as int."""
    found = {}
    for pair in item.get("attributes", ()):
        ((kind, value),) = pair["value"].items()
        if kind == "arrayValue":
            value = [next(iter(each.values())) for each in value.get("values", ())]
        found[pair["key"]] = int(value) if kind == "intValue" else value
    return found
