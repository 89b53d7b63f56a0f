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
        first_sequence: Of the first line proven.
        last_sequence: Of the last line proven, inclusive.
        lines: Lines proven, the log's own records among them.
        events: Lines that are events.
        head: Chain value of the last line, 64 hexadecimal digits.
        size: Leaves of the Merkle tree.
        root: RFC 6962 root of all lines, 64 hexadecimal digits.
        bytes: Bytes of whole lines.
        signed: Every line carries an HMAC.
        key_checked: The HMACs were checked.
        closed: The last line is an `end` record.
        tail: `{"state": "whole"}`, or `torn` / `zeroed` with `offset` and `bytes`: damage that a crash explains.
        damage: Damage that earlier crashes left and the log declares.
        dropped: Events that the log declares as lost.
    """

    log: str
    origin: str
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
    closed: bool
    tail: dict[str, Any]
    damage: tuple[dict[str, Any], ...]
    dropped: int


def verify_log(
    path: str | os.PathLike[str], *, key: bytes | None = None, min_size: int | None = None
) -> ChainProof:
    """Prove that a log is whole and in order, reading it once, forward, in constant memory.

    Args:
        path: The log.
        key: HMAC-SHA256 key, 32 to 4,096 bytes; None checks the hash chain only. With a key, an unsigned log fails.
        min_size: Fewest lines it must have, known from elsewhere.

    Returns:
        What was proven. A torn or zeroed tail is damage, not tampering, and stands in `tail`.

    Raises:
        ChainBroken: A line is not what was sealed; carries `sequence`, `line` and byte `offset`. [OBS401]
        MacMismatch: The chain holds but the signature does not, is missing, or is of another key. [OBS402]
        SequenceGap: Lines are missing, repeated or out of order. [OBS403]
        TruncatedLog: Fewer lines than `min_size`. [OBS406]
        FormatError: Not a sealed log. [OBS500]
        NewerVersion: Of a newer format. [OBS501]

    Source: docs/spec/evidence-log.md, "Reader duties"; RFC 2104; RFC 6962 section 2.1.
    """
    facts = json.loads(_native.evidence_verify(os.fspath(path), key=key, min_size=min_size))
    facts["damage"] = tuple(facts["damage"])
    return ChainProof(**facts)
