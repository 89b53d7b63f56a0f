# SPDX-License-Identifier: Apache-2.0
"""Replays recorded commands: executes the program again with everything it asks of the kernel answered from the recording.

Source: docs/spec/replay.md. The native core does the work; nothing outside the recording is opened, sent to or signalled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer import _native, clock
from observer.errors import DesyncError, ReplayError

__all__ = ["CommandReplay", "Divergence", "replay_command"]

_EVENTS: Final = 1 << 20  # in one crossing into the core; time cuts it short before
_SECONDS: Final = 0.1  # between two looks at the limits


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference between a replay and its recording.

    Attributes:
        message: One sentence.
        details: Event, thread, registers of both sides, and the replay's stack: see docs/spec/replay.md §7.
    """

    message: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReplay:
    """How a replay came out.

    Attributes:
        events: Events replayed.
        checks: Checksums of writable memory that were compared.
        exit_code: The command's exit status as replayed; None when a signal ended it or the recording ends before.
        signal: Number of the signal that ended it, else None.
        whole: The recording was closed by its writer; false when the recorder was killed and the replay ends where it did.
        notes: What the recorder marked as not certain, in its words.
        divergence: The first difference, or None when there was none.
        written: Bytes that the program wrote to standard output and to standard error.
    """

    events: int
    checks: int
    exit_code: int | None
    signal: int | None
    whole: bool
    notes: tuple[str, ...]
    divergence: Divergence | None
    written: tuple[int, int]

    @property
    def identical(self) -> bool:
        """Whether every event, as far as the recording goes, was replayed as recorded."""
        return self.divergence is None


def replay_command(
    path: Path, *, output: bool = True, timeout_s: float | None = None, other_machine: bool = False
) -> CommandReplay:
    """Execute a recorded command again and compare each event with the recorded one.

    Args:
        path: The recording, made by `observer record --replayable`.
        output: Write what the program writes to this process's standard output and error.
        timeout_s: Seconds after which the replay is given up.
        other_machine: Try although this machine's processor differs from the recorded one.

    Raises:
        CapabilityError: The recording holds nothing to replay, or this machine cannot replay it. [OBS200]
        FormatError: The recording is damaged. [OBS500]
        ChunkMismatch: A chunk is not what was sealed. [OBS404]
        ReplayError: The time ran out. [OBS600]
    """
    session = _native.ReplaySession(
        path, json.dumps({"output": output, "other_machine": other_machine}).encode()
    )
    began, divergence = clock.monotonic_ns(), None
    status: dict[str, Any] = json.loads(session.status())
    try:
        while not status["finished"]:
            status = json.loads(session.run(_EVENTS, _SECONDS))
            if timeout_s is not None and clock.monotonic_ns() - began > timeout_s * 1e9:
                raise ReplayError(
                    f"the replay was given up after {timeout_s:g} s, at event {status['position']}",
                    hint="allow more time with --timeout",
                    where={"path": str(path)},
                )
    except DesyncError as error:
        divergence = Divergence(str(error), json.loads(getattr(error, "divergence", "{}")))
        status = json.loads(session.status())
    ended = status["ended"] or {"exit_code": None, "signal": None}
    return CommandReplay(
        events=status["position"],
        checks=status["checks"],
        exit_code=ended["exit_code"],
        signal=ended["signal"],
        whole=status["whole"],
        notes=tuple(status["notes"]),
        divergence=divergence,
        written=(status["written"][0], status["written"][1]),
    )
