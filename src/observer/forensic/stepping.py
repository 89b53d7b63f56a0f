# SPDX-License-Identifier: Apache-2.0
"""A recorded command call by call, forwards and backwards. Backwards means: replayed again, to an earlier call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from observer import _native
from observer.forensic.events import ReplayCall, replay_calls
from observer.forensic.limits import native_options
from observer.model.forensic import ReplayEnvironment

__all__ = ["Stepper"]


class Stepper:
    """A replay that stands before a call.

    Attributes:
        at: The call that is about to be made; None before the first step and after the last.
    """

    def __init__(self, path: Path, environment: ReplayEnvironment, *, output: bool = False) -> None:
        """Open the recording; nothing has run yet."""
        options = native_options(environment, output=output) | {"checkpoints": True}
        self._session: Any = _native.ReplaySession(path, json.dumps(options).encode())
        self._calls = replay_calls(path)
        self._past: list[ReplayCall] = []
        self._number = -1

    @property
    def at(self) -> ReplayCall | None:
        """The call that is about to be made."""
        return self._past[self._number] if 0 <= self._number < len(self._past) else None

    def forward(self) -> ReplayCall | None:
        """Go to the entry of the next call; None, at the end, when there is none.

        Raises:
            DesyncError: The replay leaves the recording on the way. [OBS601]
        """
        if self._number + 1 == len(self._past):
            following = next(self._calls, None)
            if following is None:
                self._finish()
                return None
            self._past.append(following)
        self._number += 1
        return self._arrive()

    def back(self) -> ReplayCall | None:
        """Go to the entry of the call before; None, where it was, when there is none."""
        if self._number <= 0:
            return None
        self._number = min(self._number, len(self._past)) - 1
        return self._arrive()

    def registers(self) -> dict[str, int]:
        """Return the registers of the thread that is about to make the call, by name."""
        if self.at is None:
            return {}
        registers: dict[str, int] = json.loads(self._session.registers(self.at.task))
        return registers

    def _arrive(self) -> ReplayCall:
        call = self._past[self._number]
        self._session.run_to(call.event)
        self._session.advance()
        return call

    def _finish(self) -> None:
        self._number = len(self._past)
        while not json.loads(self._session.run(1 << 16, 1.0))["finished"]:
            pass
