# SPDX-License-Identifier: Apache-2.0
"""Proofs that travel without the log: one record, checkable by a stranger with the log's verifier key alone."""

from __future__ import annotations

import os
from dataclasses import dataclass

from observer import _native

__all__ = ["RecordProof", "check_proof", "prove_consistency", "prove_record"]


@dataclass(frozen=True, slots=True)
class RecordProof:
    """A proof of one record.

    Attributes:
        text: `c2sp.org/tlog-proof@v1`, to be stored with the extension `.tlog-proof`.
        line: The record's exact line, without newline: what the proof is about.
    """

    text: str
    line: bytes


def prove_record(path: str | os.PathLike[str], sequence: int, *, key: bytes | None = None) -> RecordProof:
    """Make a proof that the line with `sequence` is in the log.

    Raises:
        FormatError: No such line, no checkpoint covers it yet, or the log signs none. [OBS500]
        IntegrityError: The log does not hold. [OBS4xx]

    Source: https://c2sp.org/tlog-proof
    """
    text, line = _native.evidence_prove(os.fspath(path), sequence, key=key)
    return RecordProof(text, line)


def check_proof(proof: RecordProof, verifier_key: str) -> tuple[str, int, int]:
    """Check a proof with the log's C2SP verifier key; returns the log's name, its size then, and the sequence.

    Raises:
        ChainBroken: The line is not in that log at that place, or the checkpoint's signature is wrong. [OBS401]
        FormatError: Not a proof. [OBS500]
    """
    return _native.proof_verify(proof.text, proof.line, verifier_key)


def prove_consistency(
    path: str | os.PathLike[str], old: int, new: int, *, key: bytes | None = None
) -> list[bytes]:
    """Return the hashes (32 bytes each) which prove that the first `old` lines begin the first `new` lines.

    Source: RFC 6962 section 2.1.2.
    """
    return _native.evidence_prove_consistency(os.fspath(path), old, new, key=key)
