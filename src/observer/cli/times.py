# SPDX-License-Identifier: Apache-2.0
"""Times and spans as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from observer.errors import UsageError

__all__ = ["parse_moment", "parse_span", "show_moment", "show_span"]

_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w)")
_HINT: Final = "RFC 3339 such as 2026-03-01T12:00:00Z, or 10m for ten minutes ago; units: ns us ms s m h d w"


def parse_moment(text: str, *, now_ns: int, start_ns: int | None = None) -> int:
    """Return a moment as ns since the Unix epoch.

    Args:
        text: RFC 3339 with a zone (without one: UTC), `10m` for ten minutes ago, or `+2s` for two seconds after
            the start.
        now_ns: The present, ns since the Unix epoch.
        start_ns: The start that `+` counts from; None where there is none.

    Raises:
        UsageError: None of these.
    """
    if match := _SPAN.fullmatch(text):
        return now_ns - _span_ns(match)
    if start_ns is not None and (match := _SPAN.fullmatch(text[1:])) and text[0] == "+":
        return start_ns + _span_ns(match)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"cannot read the time {text!r}", hint=_HINT) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1000


def parse_span(text: str) -> int:
    """Return a length of time such as `10s` or `1.5m` in ns.

    Raises:
        UsageError: It is none.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise UsageError(
            f"cannot read the length of time {text!r}", hint="a number and one of ns us ms s m h d w"
        )
    return _span_ns(match)


def _span_ns(match: re.Match[str]) -> int:
    return round(float(match.group(1)) * _UNITS_NS[match.group(2)])


def show_moment(moment: datetime) -> str:
    """Return a UTC time as RFC 3339 with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def show_span(span_ns: int) -> str:
    """Return a span with three significant digits and its unit, such as `34.8 ms`."""
    for unit in ("h", "m", "s", "ms", "us"):
        if span_ns >= _UNITS_NS[unit]:
            return f"{span_ns / _UNITS_NS[unit]:.3g} {unit}"
    return f"{span_ns} ns"
