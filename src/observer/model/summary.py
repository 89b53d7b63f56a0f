# SPDX-License-Identifier: Apache-2.0
"""What a summary says of a trace: counted facts and findings, each with the records that support it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

__all__ = ["Deduction", "KeyEvent", "LlmSummary", "RiskFactor", "ThreadDna", "TraceDna"]


class KeyEvent(str):
    """A sentence with the ids of the records that support it; prints as the sentence.

    Attributes:
        record_ids: `sN` for syscall records, `eN` for lines of the sealed log.
        support: How many records support it; may exceed the ids listed.
    """

    record_ids: tuple[str, ...]
    support: int

    def __new__(cls, text: str, record_ids: Sequence[str] = (), support: int | None = None) -> Self:
        """Make the sentence; `support` defaults to the number of ids."""
        self = super().__new__(cls, text)
        self.record_ids = tuple(record_ids)
        self.support = len(self.record_ids) if support is None else support
        return self

    @property
    def text(self) -> str:
        """The sentence alone."""
        return str.__str__(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the sentence and its support as JSON values."""
        return {"text": self.text, "record_ids": list(self.record_ids), "support": self.support}


class RiskFactor(KeyEvent):
    """A finding that raises risk; prints as its sentence.

    Attributes:
        rule: Id of the rule that found it.
        severity: `info`, `low`, `medium`, `high` or `critical`.
        deduct: Points it costs the integrity score.
    """

    rule: str
    severity: str
    deduct: int

    @classmethod
    def found(cls, event: KeyEvent, *, rule: str, severity: str, deduct: int) -> Self:
        """Return the finding that this rule made of a supported sentence."""
        self = super().__new__(cls, event.text, event.record_ids, event.support)
        self.rule, self.severity, self.deduct = rule, severity, deduct
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the finding and its support as JSON values."""
        return {**super().to_dict(), "rule": self.rule, "severity": self.severity, "deduct": self.deduct}


@dataclass(frozen=True, slots=True)
class Deduction:
    """Why the integrity score is lower than 100.

    Attributes:
        points: Points taken off, 1 to 100.
        reason: What was found, one clause.
        record_ids: The records that support it.
    """

    points: int
    reason: str
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadDna:
    """What one thread did.

    Attributes:
        place: Its place in the tree of threads, by order of birth: `0` is the first, `0.1` its second child.
        calls: How many calls it made.
        digest: SHA-256 over its calls as in `TraceDna.rolling`, hex.
    """

    place: str
    calls: int
    digest: str


@dataclass(frozen=True, slots=True)
class TraceDna:
    """What a trace did, in a form that two runs can be compared by.

    Attributes:
        rolling: SHA-256 over (identity digest, syscall, argument digest, decision, outcome) of all calls,
            thread by thread, hex.
        threads: The same per thread, in order of their places.
        syscall_entropy_bits: Shannon entropy of the syscall distribution.
        bigram_entropy_bits: Shannon entropy of pairs of consecutive syscalls of a thread.
    """

    rolling: str
    threads: tuple[ThreadDna, ...]
    syscall_entropy_bits: float
    bigram_entropy_bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSummary:
    """A trace in counted facts, for people and language models; no model made it.

    Attributes:
        trace_id: The trace.
        container_id: Its container.
        plugin_id: Its plugin.
        identity: On whose behalf, as one line.
        status: How it ended, as one line.
        command: The recorded command line, if a command was recorded.
        duration: First to last moment, to the microsecond; `duration_ns` is exact.
        duration_ns: The same in ns.
        syscall_count: Attempts.
        allowed_syscalls: Attempts that no policy and no kernel permission refused.
        denied_syscalls: Attempts refused, by a policy's decision or by the kernel (EPERM, EACCES, seccomp).
        failed_syscalls: Allowed attempts that returned an error.
        outcomes: Attempts by outcome.
        top_syscalls: Most frequent names with their counts, most frequent first.
        key_events: What happened, in order of time.
        integrity_score: 0 to 100: 100 less the deductions, not below 0.
        integrity_assessment: The score and what was proved of the evidence, in words.
        deductions: Each reason for a lower score.
        risk_factors: Findings, worst first.
        dna: What the trace did, comparable across runs; None when it holds no call.
    """

    trace_id: UUID
    container_id: UUID | None
    plugin_id: UUID | None
    identity: str
    status: str
    command: tuple[str, ...] | None
    duration: timedelta
    duration_ns: int
    syscall_count: int
    allowed_syscalls: int
    denied_syscalls: int
    failed_syscalls: int
    outcomes: dict[str, int] = field(default_factory=dict)
    top_syscalls: tuple[tuple[str, int], ...] = ()
    key_events: list[KeyEvent] = field(default_factory=list)
    integrity_score: int = 100
    integrity_assessment: str = ""
    deductions: list[Deduction] = field(default_factory=list)
    risk_factors: list[RiskFactor] = field(default_factory=list)
    dna: TraceDna | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values; times in ns, ids as text."""
        return {
            "trace_id": str(self.trace_id),
            "container_id": str(self.container_id) if self.container_id else None,
            "plugin_id": str(self.plugin_id) if self.plugin_id else None,
            "identity": self.identity,
            "status": self.status,
            "command": list(self.command) if self.command is not None else None,
            "duration_ns": self.duration_ns,
            "syscall_count": self.syscall_count,
            "allowed_syscalls": self.allowed_syscalls,
            "denied_syscalls": self.denied_syscalls,
            "failed_syscalls": self.failed_syscalls,
            "outcomes": self.outcomes,
            "top_syscalls": [{"syscall": name, "count": count} for name, count in self.top_syscalls],
            "key_events": [event.to_dict() for event in self.key_events],
            "integrity_score": self.integrity_score,
            "integrity_assessment": self.integrity_assessment,
            "deductions": [
                {"points": item.points, "reason": item.reason, "record_ids": list(item.record_ids)}
                for item in self.deductions
            ],
            "risk_factors": [risk.to_dict() for risk in self.risk_factors],
            "dna": None if self.dna is None else _dna_dict(self.dna),
        }


def _dna_dict(dna: TraceDna) -> dict[str, Any]:
    return {
        "rolling": dna.rolling,
        "threads": [
            {"place": item.place, "calls": item.calls, "digest": item.digest} for item in dna.threads
        ],
        "syscall_entropy_bits": dna.syscall_entropy_bits,
        "bigram_entropy_bits": dna.bigram_entropy_bits,
    }
