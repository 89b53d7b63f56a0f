# SPDX-License-Identifier: Apache-2.0
"""How the verdict on a sealed log is told: sentences for people, one JSON object per log, one error for the shell."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from observer.cli.printing import safe
from observer.errors import (
    ChainBroken,
    ClockRegression,
    FormatError,
    IntegrityError,
    MacMismatch,
    ManifestMismatch,
    SequenceGap,
    TruncatedLog,
)
from observer.evidence import Audit, Finding

__all__ = ["audit_facts", "failure_of", "tell_audit"]

_CLASSES: dict[str, type[IntegrityError | FormatError]] = {
    "OBS401": ChainBroken,
    "OBS402": MacMismatch,
    "OBS403": SequenceGap,
    "OBS405": ManifestMismatch,
    "OBS406": TruncatedLog,
    "OBS407": ClockRegression,
}


def audit_facts(audit: Audit) -> dict[str, Any]:
    """Return an audit as plain JSON values."""
    facts = dataclasses.asdict(audit)
    facts["log"] = str(audit.log)
    facts["findings"] = [
        {
            name: str(value) if name == "path" else value
            for name, value in finding.items()
            if value not in (None, ())
        }
        for finding in facts["findings"]
    ]
    return facts


def failure_of(audit: Audit) -> IntegrityError | FormatError | None:
    """Return the error that ends the command when the evidence does not hold, else None."""
    if audit.holds:
        return None
    worst = audit.findings[0]
    where = {name: getattr(worst, name) for name in ("line", "offset", "first", "last")}
    place = {name: value for name, value in where.items() if value is not None}
    kind = _CLASSES.get(worst.code, IntegrityError)
    return kind(f"{audit.verdict}: {worst.text}", where={"path": str(worst.path), **place})


def tell_audit(audit: Audit) -> list[str]:
    """Return the verdict on one log as lines of text for people."""
    head = audit.verdict
    if audit.verdict == "VERIFIED_TO" and audit.covered_size:
        head = f"VERIFIED_TO {audit.covered_size - 1:,}"
    told = [f"{head}  {safe(str(audit.log))}"]
    proof = audit.proof
    if proof is not None:
        files = "one file" if audit.files == 1 else f"{audit.files} files"
        told += [
            f"  lines       {proof.lines:,} in {files}, sequence {proof.first_sequence:,} to {proof.last_sequence:,}",
            f"  log         {safe(proof.origin)} ({proof.log})",
            f"  chain head  {proof.head}",
            f"  tree root   {proof.root} of {proof.size:,}",
            f"  signature   {_signature(audit)}",
            f"  checkpoint  {_checkpoint(audit)}",
            f"  end         {'closed by its writer' if proof.closed else 'not closed: still open, or cut off'}",
        ]
        if audit.witnessed_size is not None and audit.witnessed_at is not None:
            when = datetime.fromtimestamp(audit.witnessed_at, UTC).isoformat()
            told.append(f"  witnessed   up to sequence {audit.witnessed_size - 1:,} at {when}")
        told += [
            f"  damage      {item['bytes']:,} bytes {item['class']}, as the log declares"
            for item in proof.damage
        ]
        told += [f"  pruned      {safe(item['file'])}, as the log declares" for item in proof.pruned]
        if proof.pruned_before:
            told.append(f"  pruned      all before sequence {proof.pruned_before:,}, as the log declares")
        told += [
            f"  clock       stepped by {step['step_ns'] / 1e9:+.3f} s at sequence {step['sequence']:,}, as the log declares"
            for step in proof.clock
            if step["declared"]
        ]
    return told + [
        f"  {finding.verdict}  {_place(finding)}{safe(finding.text)}" for finding in audit.findings
    ]


def _place(finding: Finding) -> str:
    if finding.first is None:
        return ""
    last = finding.last
    span = f"{finding.first:,}" if last in (None, finding.first) else f"{finding.first:,} to {last:,}"
    return f"sequence {span}: "


def _signature(audit: Audit) -> str:
    proof = audit.proof
    if proof is None or not proof.signed:
        return "none: changes are found, but who can write here can seal another history"
    if proof.key_checked:
        return f"holds on every line with the given key (epoch {proof.epoch})"
    return "present but not checked: set WSLMON_LOG_HMAC_KEY or WSLMON_LOG_HMAC_KEY_FILE"


def _checkpoint(audit: Audit) -> str:
    proof = audit.proof
    if proof is None or proof.signer is None:
        return "none: the log signs no checkpoints"
    covered = "none yet" if audit.covered_size is None else f"up to sequence {audit.covered_size - 1:,}"
    keys = [key for key in (proof.signer, proof.cosigner and _short(proof.cosigner)) if key]
    return f"{covered}, signed by {' and '.join(map(safe, keys))}"


def _short(key: str) -> str:
    """An ML-DSA-44 key without its 1,750 digits."""
    return f"{key.rpartition('+')[0]} (ML-DSA-44)"
