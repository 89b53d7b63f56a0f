# SPDX-License-Identifier: Apache-2.0
"""Decides what of a recording is exported and what is said of it as a whole; the native core does the rest."""

from __future__ import annotations

import functools
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final
from urllib.parse import unquote

from observer import __version__, _native
from observer.model.summary import RiskFactor
from observer.trace import Recording, summarise
from observer.trace.rules import load_words

__all__ = ["CALLS", "Content", "SIGNALS", "batches", "open_export"]

CALLS: Final = ("notable", "full")
SIGNALS: Final = ("traces", "logs", "metrics")
_SEVERITY: Final = {"info": 9, "low": 13, "medium": 13, "high": 17, "critical": 21}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What to export.

    Attributes:
        calls: `notable` calls or `full`, all of them; docs/spec/export.md §3.
        signals: Which of traces, logs, metrics.
        findings: Apply the risk rules and export what they find.
        verified: Whether the recording was proved; goes into the resource.
        redact: Take secrets out of what leaves; docs/spec/export.md §10.
    """

    calls: str = "notable"
    signals: tuple[str, ...] = SIGNALS
    findings: bool = True
    verified: bool = True
    redact: bool = True


def open_export(recording: Recording, content: Content, *, as_json: bool) -> _native.OtlpExporter:
    """Prepare an export of a recording as OTLP, in protobuf or in JSON.

    Raises:
        IntegrityError: The recording is not what was sealed. [OBS4xx]
        FormatError: It is malformed. [OBS500]
    """
    risks = summarise(recording).risk_factors if content.findings and content.verified else []
    failed = recording.status(recording.end())
    options = {
        "json": as_json,
        "full": content.calls == "full",
        "notable": notable_calls(),
        "cited": [int(rid[1:]) for risk in risks for rid in risk.record_ids if rid.startswith("s")],
        "resource": _resource(recording, content),
        "version": __version__,
        "root": _root(recording),
        "root_error": str(failed.reason) if failed.is_failed else None,
        "extra": [_finding(risk) for risk in risks],
        "redact": content.redact,
    }
    return _native.OtlpExporter(
        str(recording.path), recording.start.trace_id.bytes, json.dumps(options).encode()
    )


def batches(
    exporter: _native.OtlpExporter, signals: tuple[str, ...], most: int, most_bytes: int
) -> Iterator[_native.OtlpBatch]:
    """Yield the batches of an export: spans, log records, metrics; none of them empty."""
    sources = {
        "traces": lambda: exporter.next_spans(most, most_bytes),
        "logs": lambda: exporter.next_logs(most, most_bytes),
        "metrics": exporter.next_metrics,
    }
    for signal in SIGNALS:
        while signal in signals and len(batch := sources[signal]()):
            yield batch


@functools.cache
def notable_calls() -> list[str]:
    """Return the names of the calls that `notable.toml` names, by action or by name."""
    table = tomllib.loads((resources.files("observer.export") / "notable.toml").read_text(encoding="utf-8"))
    actions, words = set(table["actions"]), load_words()
    names = {name for name, action in words.actions.items() if action in actions} | set(table["names"])
    return sorted(names - set(table["names_not"]))


def _finding(risk: RiskFactor) -> dict[str, Any]:
    return {
        "event_name": "observer.finding",
        "severity": _SEVERITY.get(risk.severity, 13),
        "body": str(risk),
        "id": f"f:{risk.rule}",
        "attributes": {
            "security_rule.name": risk.rule,
            "observer.finding.severity": risk.severity,
            "observer.finding.support": risk.support,
            "observer.record.ids": list(risk.record_ids),
        },
    }


def _resource(recording: Recording, content: Content) -> dict[str, Any]:
    start = recording.start
    facts: dict[str, Any] = {
        "service.name": "observer",
        "host.name": start.hostname,
        "host.arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(start.arch, start.arch) or None,
        "os.type": "linux",
        "os.version": start.kernel,
        "container.id": None if start.container_id is None else str(start.container_id),
        "telemetry.sdk.name": "observer",
        "telemetry.sdk.language": "rust",
        "telemetry.sdk.version": __version__,
        "observer.trace_id": str(start.trace_id),
        "observer.plugin_id": None if start.plugin_id is None else str(start.plugin_id),
        "observer.source": start.source,
        "observer.boot_id": start.boot_id,
        "observer.identity": str(start.identity),
        "observer.evidence.verified": content.verified,
    }
    facts |= _from_environment(os.environ)
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    # Source: opentelemetry.io/docs/specs/otel/resource/sdk: OTEL_SERVICE_NAME goes before the list.
    facts = {}
    for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, equals, value = item.partition("=")
        if equals and name.strip():
            facts[name.strip()] = unquote(value.strip())
    if environ.get("OTEL_SERVICE_NAME"):
        facts["service.name"] = environ["OTEL_SERVICE_NAME"]
    return facts


def _root(recording: Recording) -> dict[str, Any]:
    stats, end = recording.stats(), recording.end()
    facts = {
        "process.command_args": list(recording.start.command) if recording.start.command else None,
        "observer.trace.status": str(recording.status(end)),
        "observer.records": stats["calls"],
        "observer.lost": stats["lost"],
        "observer.unsealed_bytes": stats["unsealed_bytes"],
    }
    return {name: value for name, value in facts.items() if value is not None}
