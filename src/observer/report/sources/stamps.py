# SPDX-License-Identifier: Apache-2.0
"""Clock readings as they stand in logs: kernel stamps, RFC 3164, RFC 3339, `dmesg -T`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["mono_us", "parse_rfc3164", "parse_rfc3339"]

_MONTHS = {
    name: index
    for index, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?")
_YEAR = 2000
"""RFC 3164 has no year; a leap year keeps 29 February readable. Only differences within one log are used."""


def mono_us(seconds: str, fraction: str) -> int:
    """Microseconds of a kernel stamp given as its two parts, such as `12` and `345678`."""
    return int(seconds) * 1_000_000 + int(fraction[:6].ljust(6, "0"))


def parse_rfc3164(month: str, day: str, clock: str) -> int | None:
    """Microseconds since 1970 of `Nov 23 04:30:55`, in the year 2000; None where it is no date."""
    try:
        hour, minute, second = (int(part) for part in clock.split(":"))
        moment = datetime(
            _YEAR, _MONTHS[month.capitalize()], int(day), hour, minute, min(second, 59), tzinfo=UTC
        )
    except (KeyError, ValueError):
        return None
    return int(moment.timestamp()) * 1_000_000


def parse_rfc3339(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time; without a zone it is taken as UTC; None where it is none."""
    found = _ISO.match(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(found[index]) for index in range(1, 7))
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(found[8]))
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000 + int((found[7] or "0")[:6].ljust(6, "0"))


def _zone(text: str | None) -> timezone:
    if text in (None, "Z"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]) % 24, minutes=int(digits[2:]) % 60))
