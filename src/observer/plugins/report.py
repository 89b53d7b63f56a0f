# SPDX-License-Identifier: Apache-2.0
"""What a replay reports at its end."""

from __future__ import annotations

from dataclasses import dataclass

from observer.model.comparison import ReplayComparison
from observer.plugins.options import PluginOutcome

__all__ = ["ReplayReport"]


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How a replay came out.

    Attributes:
        status: `completed`, `diverged`, `stopped` at the wanted place, or `aborted` by a breakpoint.
        comparison: How it compares.
        calls: Calls replayed.
        fuel: Fuel used.
        outcome: How the last call into the plugin came out.
        log: What breakpoints saw.
    """

    status: str
    comparison: ReplayComparison
    calls: int
    fuel: int
    outcome: PluginOutcome
    log: tuple[str, ...] = ()
