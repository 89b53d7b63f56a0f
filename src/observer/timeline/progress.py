# SPDX-License-Identifier: Apache-2.0
"""How far a long pass is: one line on a terminal, rewritten."""

from __future__ import annotations

import sys

from observer import clock

__all__ = ["ProgressLine"]

_TICK_NS = 200_000_000


class ProgressLine:
    """Writes to stderr while it is a terminal; nothing otherwise."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._shown = False
        self._last = 0
        self._stage = ""
        self._terminal = sys.stderr.isatty()

    def tell(self, stage: str, done: int) -> None:
        """Show the stage and how many lines are done, at most five times a second."""
        now = clock.monotonic_ns()
        if self._terminal and (now - self._last > _TICK_NS or stage != self._stage):
            self._last, self._stage, self._shown = now, stage, True
            sys.stderr.write(f"\r\x1b[K{stage}: {done:,} lines")
            sys.stderr.flush()

    def done(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
