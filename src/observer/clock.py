# SPDX-License-Identifier: Apache-2.0
"""The only door for time: every reading of a clock goes through here, so that a test can freeze it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["boot_id", "boot_ns", "device_ns", "monotonic_ns", "to_datetime", "wall_ns"]


def wall_ns() -> int:
    """Return CLOCK_REALTIME in ns since the Unix epoch."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Return CLOCK_MONOTONIC in ns; comparable only within one boot (see `boot_id`)."""
    return time.monotonic_ns()


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in ns: like monotonic, but counts time asleep. Source: clock_gettime(2)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def device_ns(handle: int) -> int:
    """Return the clock behind an open clock device (/dev/ptpN) in ns; raises OSError where it has none.

    Source: clock_gettime(2), "Dynamic clocks".
    """
    return time.clock_gettime_ns(~handle << 3 | 3)


def boot_id() -> str:
    """Return the kernel's random id of this boot, lower-case UUID text; source proc(5)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def to_datetime(ns: int) -> datetime:
    """Return the UTC datetime of a wall clock reading in ns, to the microsecond below."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(microsecond=ns // 1000 % 1_000_000)
