# SPDX-License-Identifier: Apache-2.0
"""Sums a recording up: proves it first, then counts, then applies the rules. Deterministic; no model, no guess."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.errors import FormatError
from observer.evidence.keys import load_hmac_key
from observer.model.summary import Deduction, LlmSummary, RiskFactor, ThreadDna, TraceDna
from observer.model.trace import Outcome, TraceStatus
from observer.trace.findings import find_risks
from observer.trace.reading import Recording
from observer.trace.rules import Sight
from observer.trace.stored import verify_stored_files
from observer.trace.story import key_events

__all__ = ["assess", "summarise", "verify_recording"]

_TOP: Final = 10
_GRADES: Final = ((90, "high"), (70, "fair"), (40, "low"), (0, "poor"))


@dataclass(frozen=True, slots=True)
class _Facts:
    status: TraceStatus
    end: Mapping[str, Any] | None
    proof: Mapping[str, Any]
    stats: Mapping[str, Any]
    digest: Mapping[str, Any]


def verify_recording(path: Path, *, check_key: bool = True) -> dict[str, Any]:
    """Prove a recording and return what was proved.

    Args:
        path: Its directory.
        check_key: Check signatures too, with the log key when the environment names one.

    Raises:
        IntegrityError: The evidence does not hold. [OBS4xx]
        FormatError: Not a recording, or one whose log is damaged after its end was sealed. [OBS500]
    """
    if not (path / "sealed.log").is_file():
        raise FormatError(f"{path} is not a recording: it has no sealed.log", where={"path": str(path)})
    proof: dict[str, Any] = json.loads(
        _native.verify_recording(str(path), load_hmac_key() if check_key else None)
    )
    tail = proof["log"]["tail"]
    if proof["closed"] and tail["state"] != "whole":
        # A writer that reached the end of the trace wrote that last line whole: this is damage that came later.
        text = f"{path / 'sealed.log'} is damaged at byte {tail['offset']}, after the end of the trace was sealed"
        hint = "keep the original untouched; everything before this byte holds"
        raise FormatError(text, hint=hint, where={"path": str(path), "offset": tail["offset"]})
    if (stored := verify_stored_files(path)) is not None:
        proof |= {"stored_files": stored[0], "stored_bytes": stored[1]}
    return proof


def summarise(recording: Recording) -> LlmSummary:
    """Return the summary of a recording.

    Nothing is summed up that does not verify: a recording whose evidence does not hold raises.

    Raises:
        IntegrityError: The evidence does not hold. [OBS4xx]
        FormatError: It is damaged in a way no tampering needs. [OBS500]
    """
    proof, end = verify_recording(recording.path), recording.end()
    facts = _Facts(recording.status(end), end, proof, recording.stats(), recording.digest())
    risks = find_risks(recording, recording.lines(), _whole(facts))
    deductions = [Deduction(risk.deduct, risk.text, risk.record_ids) for risk in risks if risk.deduct]
    score = max(0, 100 - sum(deduction.points for deduction in deductions))
    start, outcomes = recording.start, {**facts.digest["outcomes"]}
    total, denied = sum(outcomes.values()), outcomes.get("denied", 0)
    duration_ns = _duration_ns(recording, facts)
    return LlmSummary(
        trace_id=start.trace_id,
        container_id=start.container_id,
        plugin_id=start.plugin_id,
        identity=str(start.identity),
        status=str(facts.status),
        command=start.command,
        duration=timedelta(microseconds=duration_ns // 1000),
        duration_ns=duration_ns,
        syscall_count=total,
        allowed_syscalls=total - denied,
        denied_syscalls=denied,
        failed_syscalls=outcomes.get("failed", 0),
        outcomes=outcomes,
        top_syscalls=_top(facts.digest["counts"]),
        key_events=key_events(start, recording.lines()),
        integrity_score=score,
        integrity_assessment=assess(score, facts.proof, risks),
        deductions=deductions,
        risk_factors=risks,
        dna=_dna(facts.digest["dna"]) if total else None,
    )


def _whole(facts: _Facts) -> list[Sight]:
    found = []
    if facts.end is None and facts.status != TraceStatus.ACTIVE:
        found.append(
            Sight("recording", "", traits={"not-closed"}, subjects={"text": str(facts.status.reason)})
        )
    elif facts.status.is_failed:
        found.append(Sight("recording", "", traits={"failed"}, subjects={"text": str(facts.status.reason)}))
    if (unsealed := int(facts.stats.get("unsealed_bytes") or 0)) and facts.status != TraceStatus.ACTIVE:
        text = f"{unsealed:,} bytes after the last sealed chunk were never sealed"
        found.append(Sight("recording", "", traits={"unsealed"}, subjects={"text": text}))
    return found


def _duration_ns(recording: Recording, facts: _Facts) -> int:
    last = int(facts.digest.get("last_ns") or 0)
    if facts.end is not None:
        last = int(facts.end.get("monotonic_ns") or last)
    return max(0, last - recording.start.monotonic_ns)


def _top(counts: Mapping[str, Mapping[str, int]]) -> tuple[tuple[str, int], ...]:
    words = [outcome.value for outcome in Outcome]
    totals = [(name, sum(each.get(word, 0) for word in words)) for name, each in counts.items()]
    return tuple(sorted(totals, key=lambda item: (-item[1], item[0]))[:_TOP])


def _dna(dna: Mapping[str, Any]) -> TraceDna:
    return TraceDna(
        rolling=str(dna["rolling"]),
        threads=tuple(ThreadDna(item["place"], item["calls"], item["digest"]) for item in dna["threads"]),
        syscall_entropy_bits=float(dna["syscall_entropy_bits"]),
        bigram_entropy_bits=float(dna["bigram_entropy_bits"]),
    )


def assess(score: int, proof: Mapping[str, Any], risks: Sequence[RiskFactor]) -> str:
    """Return the assessment in words: the score, what was proved and by what means, and what lowered it."""
    log = proof["log"]
    grade = next(word for least, word in _GRADES if score >= least)
    signed = (
        "signature holds"
        if log["key_checked"]
        else "signed, key not given"
        if log["signed"]
        else "not signed"
    )
    closed = "closed by its writer" if proof["closed"] else "never closed"
    taken = [f"{risk.deduct} for {risk.rule}" for risk in risks if risk.deduct]
    why = f"; points taken off: {', '.join(taken)}" if taken else "; nothing to take off"
    held = (
        f"the chain of {log['lines']:,} sealed lines and the {proof['records']:,} records they vouch for hold"
    )
    return f"{grade} ({score}/100): {held}, {signed}, {closed}{why}"
