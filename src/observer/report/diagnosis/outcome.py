# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis says: evidence, steps, incidents, alternatives; and its one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from observer.report.kernel import KernelReport
from observer.report.sources import LogLine

__all__ = ["Alternative", "Diagnosis", "Evidence", "Incident", "Step", "evidence_of", "stamp_of"]

_TEXT_LIMIT = 600
ABSTAIN = "INSUFFICIENT_EVIDENCE"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One cited record: where it stands, its digest, and what it says in its own (untrusted) words."""

    source: str
    sequence: int
    sha256: str
    time: Mapping[str, Any]
    origin: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        """As in docs/spec/verdicts.md §3."""
        return {
            "source": self.source,
            "sequence": self.sequence,
            "line": self.sequence,
            "sha256": self.sha256,
            "time": dict(self.time),
            "origin": self.origin,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a causal chain; `role` is `cause`, `symptom`, `context` or `end`."""

    says: str
    role: str
    signal: str
    evidence: Evidence
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As in docs/spec/verdicts.md §3."""
        return {
            "says": self.says,
            "role": self.role,
            "signal": self.signal,
            "count": self.count,
            "sequence": self.evidence.sequence,
            "sha256": self.evidence.sha256,
            "source": self.evidence.source,
        }


@dataclass(frozen=True, slots=True)
class Alternative:
    """A verdict that was considered and lost."""

    verdict: str
    confidence: float
    lost: str

    def to_dict(self) -> dict[str, Any]:
        """As in docs/spec/verdicts.md §3."""
        return {"verdict": self.verdict, "confidence": round(self.confidence, 2), "lost_because": self.lost}


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that happened, with its causal chain in order."""

    verdict: str
    meaning: str
    confidence: float
    scope: str
    boot: str
    chain: tuple[Step, ...]
    alternatives: tuple[Alternative, ...]
    missing: tuple[str, ...]
    advice: str
    rank: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As in docs/spec/verdicts.md §3."""
        cited = cited_of(self.chain)
        return {
            "verdict": self.verdict,
            "meaning": self.meaning,
            "confidence": round(self.confidence, 2),
            "scope": self.scope,
            "boot": self.boot,
            "time_span": {
                "first": dict(self.chain[0].evidence.time),
                "last": dict(self.chain[-1].evidence.time),
            },
            "chain": [step.to_dict() for step in self.chain],
            "evidence": [record.to_dict() for record in cited],
            "alternatives": [other.to_dict() for other in self.alternatives],
            "missing": list(self.missing),
            "advice": self.advice,
        }


def cited_of(chain: tuple[Step, ...]) -> list[Evidence]:
    """The records a chain cites, each once, in the order of the chain."""
    seen: dict[tuple[str, int, str], Evidence] = {}
    for step in chain:
        seen.setdefault((step.evidence.source, step.evidence.sequence, step.evidence.sha256), step.evidence)
    return list(seen.values())


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer to "what happened"."""

    verdict: str
    confidence: float
    incidents: tuple[Incident, ...]
    primary: Incident | None
    alternatives: tuple[Alternative, ...]
    missing: tuple[str, ...]
    integrity: Mapping[str, Any]
    kernel_reports: tuple[KernelReport, ...]
    boots: tuple[Mapping[str, Any], ...] = field(default=())
    last: tuple[Evidence, ...] = ()
    """The last minute of the boot that was judged, for people; no part of the object."""

    @property
    def decided(self) -> bool:
        """Whether the evidence decides."""
        return self.verdict != ABSTAIN

    def to_dict(self) -> dict[str, Any]:
        """The one object of `observer why --json`; see docs/spec/verdicts.md §3."""
        return {
            "verdict": self.verdict,
            "confidence": round(self.confidence, 2),
            "chain": [step.to_dict() for step in self.primary.chain] if self.primary else [],
            "incidents": [incident.to_dict() for incident in self.incidents],
            "evidence": [record.to_dict() for record in cited_of(self.primary.chain)] if self.primary else [],
            "alternatives": [other.to_dict() for other in self.alternatives],
            "missing": list(self.missing),
            "integrity": dict(self.integrity),
            "kernel_reports": [_report_dict(report) for report in self.kernel_reports],
            "boots": [dict(boot) for boot in self.boots],
        }


def _report_dict(report: KernelReport) -> dict[str, Any]:
    return {
        "title": report.title,
        "type": report.type,
        "corrupted": report.corrupted,
        "panicked": report.panicked,
        "sequence": report.head.number,
        "sha256": report.head.sha256,
        "source": report.head.source,
        "time": stamp_of(report.head),
    }


def stamp_of(line: LogLine) -> dict[str, Any]:
    """The clocks of a line: `wall` as RFC 3339 (year 2000 where the log has no year), `boot_s` in seconds."""
    stamp: dict[str, Any] = {}
    if line.wall_us is not None:
        moment = datetime.fromtimestamp(line.wall_us // 1_000_000, UTC)
        stamp["wall"] = f"{moment:%Y-%m-%dT%H:%M:%S}.{line.wall_us % 1_000_000:06d}Z"
    if line.mono_us is not None:
        stamp["boot_s"] = round(line.mono_us / 1_000_000, 6)
    return stamp


def evidence_of(line: LogLine) -> Evidence:
    """Cite a line."""
    return Evidence(
        line.source, line.number, line.sha256, stamp_of(line), line.origin.value, line.text[:_TEXT_LIMIT]
    )
