# SPDX-License-Identifier: Apache-2.0
"""Sees steps of the wall clock against the boot clock in lines that carry both."""

from __future__ import annotations

from collections.abc import Iterator

from observer.report.sources import LogLine

__all__ = ["ClockWatch"]

_STEP_US = 5_000_000
"""NTP slews what is smaller, and syslog's whole seconds and late writing make it invisible."""


class ClockWatch:
    """Follows the difference of wall and boot clock of one boot."""

    def __init__(self) -> None:
        """Start with no reading."""
        self._offset: int | None = None

    def see(self, line: LogLine) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the name of a clock signal and its values where the difference jumps.

        Only records whose writer reads both clocks at one moment count, as journald does; in syslog files the two are read apart,
        and an agent may take in long after it happened what a feed had kept.
        """
        if line.wall_us is None or line.mono_us is None or not line.boot or not line.paired:
            return
        offset = line.wall_us - line.mono_us
        if self._offset is not None and abs(offset - self._offset) > _STEP_US:
            change = offset - self._offset
            yield (
                ("clock.jump-forward" if change > 0 else "clock.jump-back"),
                {"seconds": f"{abs(change) / 1e6:.1f}"},
            )
        self._offset = offset
