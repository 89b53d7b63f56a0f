# SPDX-License-Identifier: Apache-2.0
"""Judges logs with all their files: live, rotated, compressed, pruned, and what is known of them from elsewhere."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observer import _native
from observer.errors import FormatError, NotFoundError, UsageError
from observer.evidence.verifying import ChainProof

__all__ = ["Audit", "FAILURES", "Finding", "audit_logs", "load_policy"]

_MAX_POLICY_BYTES = 1 << 20  # a policy with a thousand keys is far below

# Verdicts that mean: the evidence does not hold.
FAILURES = frozenset(
    {
        "CLOCK_ANOMALY",
        "FORK",
        "POLICY_DOWNGRADE",
        "ROLLBACK",
        "SEGMENT_MISSING",
        "SEQ_GAP",
        "TAMPERED",
        "WRONG_KEY",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        verdict: Its kind, such as `TAMPERED`.
        code: Stable error code, such as `OBS401`.
        text: One sentence.
        path: The file.
        line: Line in the file, from 1, or None.
        offset: Byte offset in the file, or None.
        first: First sequence that is affected, or None.
        last: Last sequence that is affected, inclusive, or None.
        evidence: Signed notes that prove it to others.
    """

    verdict: str
    code: str
    text: str
    path: Path
    line: int | None = None
    offset: int | None = None
    first: int | None = None
    last: int | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything found about one log.

    Attributes:
        log: The live file's path.
        verdict: The worst of the findings; `VERIFIED` when there are none.
        findings: Worst first.
        proof: What was proven, or None.
        files: Files read.
        covered_size: Lines covered by a checkpoint with the signatures that the policy wants, or None.
        witnessed_size: Lines that the policy's witnesses have cosigned, or None.
        witnessed_at: When, s since 1970, or None.
        tail_lines: Lines after the last covered one, or None.
        tail_seconds: Time after the last cosignature, s, or None.
    """

    log: Path
    verdict: str
    findings: tuple[Finding, ...]
    proof: ChainProof | None
    files: int
    covered_size: int | None
    witnessed_size: int | None
    witnessed_at: int | None
    tail_lines: int | None
    tail_seconds: int | None

    @property
    def holds(self) -> bool:
        """True unless a finding means that the evidence does not hold."""
        return self.verdict not in FAILURES


def audit_logs(
    path: str | os.PathLike[str],
    *,
    key: bytes | None = None,
    policy: dict[str, Any] | None = None,
    threads: int | None = None,
) -> list[Audit]:
    """Judge a log with all its rotated files, or every log in a directory.

    Args:
        path: A live log, a single rotated file, or a directory.
        key: HMAC-SHA256 key of epoch 0, or None.
        policy: What must be there (see `load_policy`); None insists on nothing.
        threads: Threads to use; None means all cores this process may run on.

    Returns:
        One audit per log, in order of their names.

    Raises:
        NotFoundError: No such file, or no log in the directory. [OBS700]
        FormatError: The file is not a sealed log. [OBS500]
        UsageError: The policy cannot be used. [OBS100]

    Source: docs/spec/evidence-log.md section 7, docs/spec/manifest-and-chainstate.md section 5.
    """
    where = Path(path)
    logs = [Path(log) for log in _native.evidence_logs_in(os.fspath(where))] if where.is_dir() else [where]
    if not logs:
        raise NotFoundError(f"no sealed log in {where}", hint="name a log, or a directory that holds one")
    text = json.dumps(policy or {})
    count = threads or len(os.sched_getaffinity(0))
    found = [_native.evidence_audit(os.fspath(log), key=key, policy=text, threads=count) for log in logs]
    return [_audit(json.loads(facts)) for facts in found]


def _audit(facts: dict[str, Any]) -> Audit:
    proof = facts["proof"]
    findings = tuple(
        Finding(**{**finding, "path": Path(finding["path"]), "evidence": tuple(finding.get("evidence", ()))})
        for finding in facts["findings"]
    )
    made = None if proof is None else ChainProof.from_facts(proof)
    return Audit(**{**facts, "log": Path(facts["log"]), "findings": findings, "proof": made})


def load_policy(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a policy file: TOML with any of these keys.

    `origin` (text), `require_hmac` (bool), `signers` and `witnesses` (lists of C2SP verifier keys), `quorum` (how many
    witnesses; all by default), `min_size` and `max_tail` (lines), `known` (files with signed checkpoints known from
    elsewhere, relative to the policy file).

    Returns:
        The policy, with the contents of the files that `known` names in their place.

    Raises:
        FormatError: Not TOML. [OBS500]
        UsageError: A file cannot be read or `known` is not a list of names. [OBS100]
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            policy = tomllib.loads(opened.read(_MAX_POLICY_BYTES).decode())
        names = policy.get("known", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"policy {file}: 'known' must be a list of file names")
        policy["known"] = [(file.parent / name).read_text(encoding="utf-8") for name in names]
    except OSError as error:
        raise UsageError(f"cannot read policy {file}: {error.strerror}: {error.filename}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"policy {file} is not TOML: {error}", hint="see docs/spec/evidence-log.md"
        ) from error
    return policy
