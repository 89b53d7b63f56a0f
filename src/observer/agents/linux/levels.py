# SPDX-License-Identifier: Apache-2.0
"""A value and its two thresholds: tells when it passes one, and when it is safely below again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from observer.model.event import EventSeverity

__all__ = ["Level", "SEVERITY_OF"]

SEVERITY_OF: Final = {
    "normal": EventSeverity.INFO,
    "warning": EventSeverity.WARNING,
    "critical": EventSeverity.CRITICAL,
}


@dataclass(slots=True)
class Level:
    """Where a value stands.

    Attributes:
        warning: Above or at this it is `warning`.
        critical: Above or at this it is `critical`.
        hysteresis: It comes down only when it is so far below the threshold it had passed.
        state: `normal`, `warning` or `critical`.
    """

    warning: float
    critical: float
    hysteresis: float
    state: str = "normal"

    def update(self, value: float) -> str | None:
        """Take a new value; returns the new state when it changed."""
        new = "critical" if value >= self.critical else "warning" if value >= self.warning else "normal"
        if self.state == "critical" and new != "critical" and value > self.critical - self.hysteresis:
            new = "critical"
        elif self.state != "normal" and new == "normal" and value > self.warning - self.hysteresis:
            new = "warning"
        if new == self.state:
            return None
        self.state = new
        return new

    @property
    def threshold(self) -> float:
        """The threshold that its state is about."""
        return self.critical if self.state == "critical" else self.warning
