# SPDX-License-Identifier: Apache-2.0
"""Sizes, formats and patterns as people write and read them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Final

from observer.cli.times import parse_span
from observer.errors import UsageError
from observer.model.snapshot import SnapshotFormat

__all__ = [
    "FORMATS",
    "SCHEMA",
    "parse_addresses",
    "parse_bytes",
    "parse_format",
    "parse_place",
    "show_bytes",
    "show_pause",
]

SCHEMA: Final = "observer.snapshot/1"
FORMATS: Final = {
    "raw": SnapshotFormat.RAW,
    "compressed": SnapshotFormat.COMPRESSED,
    "encrypted": SnapshotFormat.ENCRYPTED,
    "compressed-encrypted": SnapshotFormat.COMPRESSED_AND_ENCRYPTED,
}
_UNITS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_format(text: str) -> SnapshotFormat:
    """Return the format of that name."""
    found = FORMATS.get(text.lower().replace("_", "-").replace("-and-", "-"))
    if found is None:
        raise argparse.ArgumentTypeError(f"one of {', '.join(FORMATS)}")
    return found


def parse_bytes(text: str) -> int:
    """Return a number of bytes; K, M, G and T are powers of 1,024."""
    unit = _UNITS.get(text[-1:].lower(), 1)
    digits = text[:-1] if unit > 1 else text
    if not digits.isdigit():
        raise argparse.ArgumentTypeError("a number of bytes, with K, M, G or T behind it if you like")
    return int(digits) * unit


def parse_addresses(text: str) -> tuple[int, int]:
    """Return the first address and the one behind the last of `START-END`."""
    try:
        start, _, end = text.partition("-")
        low, high = int(start, 16), int(end, 16)
    except ValueError:
        raise argparse.ArgumentTypeError("hexadecimal START-END, as /proc/PID/maps shows it") from None
    if low >= high:
        raise argparse.ArgumentTypeError("an end behind the start")
    return low, high


def parse_place(text: str) -> int | timedelta | datetime:
    """Return a moment of a recording: a number of events, a time after its start, or a time of day."""
    if text.isdecimal():
        return int(text)
    try:
        return timedelta(microseconds=parse_span(text) / 1000)
    except UsageError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "a number of events, a time after the start such as 250ms or 1.5s, or an RFC 3339 time"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def show_bytes(count: int) -> str:
    """Return a size as people read it."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def show_pause(ns: int) -> str:
    """Return a pause in milliseconds."""
    return f"{ns / 1e6:.2f} ms"
