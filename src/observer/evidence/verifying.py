# SPDX-License-Identifier: Apache-2.0
"""Proves logs: returns what was proven or raises where it does not hold; never a bare yes or no."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from observer import _native

__all__ = ["ChainProof", "verify_log"]


@dataclass(frozen=True, slots=True)
class ChainProof:
    """What a verification proved.

    Attributes:
        log: The log's random identity, 32 hexadecimal digits.
        origin: The log's name.
        signer: C2SP verifier key that the log names for its checkpoints, or None.
        cosigner: The one of a second signature on each of them, ML-DSA-44, or None.
        first_sequence: Of the first line proven.
        last_sequence: Of the last line proven, inclusive.
        lines: Lines proven, the log's own records among them.
        events: Lines that are events.
        head: Chain value of the last line, 64 hexadecimal digits.
        size: Leaves of the Merkle tree.
        root: RFC 6962 root of all lines, 64 hexadecimal digits.
        bytes: Bytes of whole lines in the last file.
        signed: Every line carries an HMAC.
        key_checked: The HMACs were checked.
        epoch: Key epoch after the last line.
        closed: The last line is an `end` record.
        tail: `{"state": "whole"}`, or `torn` / `zeroed` with `offset` and `bytes`: damage that a crash explains.
        damage: Damage that earlier crashes left and the log declares.
        dropped: Events that the log declares as lost.
        repairs: Repairs of sidecars that the log declares.
        checkpoints: Checkpoints inside the log, all right.
        checkpoint_size: Lines that the last of them covers, or None.
        pruned: Files that the log declares as removed by policy, as far as the records that say so are at hand.
        pruned_before: All lines before this sequence were removed by policy, as the log declares; 0 when none were.
        clock: Steps of the wall clock: `sequence`, `step_ns`, `declared`.
    """

    log: str
    origin: str
    signer: str | None
    cosigner: str | None
    first_sequence: int
    last_sequence: int
    lines: int
    events: int
    head: str
    size: int
    root: str
    bytes: int
    signed: bool
    key_checked: bool
    epoch: int
    closed: bool
    tail: dict[str, Any]
    damage: tuple[dict[str, Any], ...]
    dropped: int
    repairs: int
    checkpoints: int
    checkpoint_size: int | None
    pruned: tuple[dict[str, Any], ...]
    pruned_before: int
    clock: tuple[dict[str, Any], ...]

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> ChainProof:
        """Make a proof from the native core's JSON object."""
        lists = {name: tuple(facts[name]) for name in ("damage", "pruned", "clock")}
        return cls(**{**facts, **lists})


def verify_log(
    path: str | os.PathLike[str], *, key: bytes | None = None, min_size: int | None = None, threads: int = 1
) -> ChainProof:
    """Prove that one file of a log is whole and in order, reading it once, forward, in constant memory.

    Args:
        path: The log's file, live or rotated.
        key: HMAC-SHA256 key, 32 to 4,096 bytes; None checks the hash chain only. With a key, an unsigned log fails.
        min_size: Fewest lines the log must have, known from elsewhere.
        threads: Threads to use.

    Returns:
        What was proven. A torn or zeroed tail is damage, not tampering, and stands in `tail`.

    Raises:
        ChainBroken: A line is not what was sealed; carries `sequence`, `line` and byte `offset`. [OBS401]
        MacMismatch: The chain holds but a signature does not, is missing, or is of another key. [OBS402]
        SequenceGap: Lines are missing, repeated or out of order. [OBS403]
        TruncatedLog: Fewer lines than `min_size`. [OBS406]
        FormatError: Not a sealed log. [OBS500]
        NewerVersion: Of a newer format. [OBS501]

    Source: docs/spec/evidence-log.md, "Reader duties"; RFC 2104; RFC 6962 section 2.1.
    """
    facts = _native.evidence_verify(os.fspath(path), key=key, min_size=min_size, threads=threads)
    return ChainProof.from_facts(json.loads(facts))
