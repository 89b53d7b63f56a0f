# SPDX-License-Identifier: Apache-2.0
"""Reads the lines of a log without judging them; `verify_log` judges."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from observer import _native

__all__ = ["LogLine", "read_log"]

_BATCH_LINES = 1024  # one crossing into the native core per so many lines


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes:
        sequence: From 0; also the index of the line's leaf in the log's Merkle tree.
        offset: Byte offset of the line in its file.
        kind: None for an event; `begin`, `resume`, `loss`, `end` … for the log's own records.
        event: The exact bytes that were sealed, a JSON object.
        chain_hash: 64 hexadecimal digits that the line states.
    """

    sequence: int
    offset: int
    kind: str | None
    event: bytes
    chain_hash: str


def read_log(path: str | os.PathLike[str]) -> Iterator[LogLine]:
    """Yield the whole lines of a log in constant memory, stopping at a tail that a crash tore or zeroed.

    Raises:
        FormatError: Not a sealed log, or a symbolic link. [OBS500]
        ChainBroken: A line in the middle is not a line. [OBS401]
        NotFoundError: No such file. [OBS700]

    Source: docs/spec/evidence-log.md, "Lines".
    """
    reader = _native.EvidenceReader(os.fspath(path))
    while batch := reader.next_batch(_BATCH_LINES):
        for line in batch:
            yield LogLine(*line)
