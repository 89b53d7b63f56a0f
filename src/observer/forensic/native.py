# SPDX-License-Identifier: Apache-2.0
"""Replays recorded commands: executes the program again with everything it asks of the kernel answered from the recording.

Source: docs/spec/replay.md. The native core does the work; nothing outside the recording is opened, sent to or signalled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.errors import DesyncError, ReplayError
from observer.forensic.gdb import backtrace_at
from observer.forensic.limits import native_options
from observer.model.forensic import ReplayEnvironment, ResourceLimits

__all__ = ["CommandReplay", "Divergence", "UNLIMITED", "replay_command"]

_EVENTS: Final = 1 << 20  # in one crossing into the core; time cuts it short before
_SECONDS: Final = 0.1  # between two looks at the limits


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference between a replay and its recording.

    Attributes:
        message: One sentence.
        details: Event, thread, registers of both sides, and the replay's stack: see docs/spec/replay.md §8.
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
        limit: The limit at which the replay was ended, and how it was reached; None when it was not.
        isolation: What the replayed processes were kept away from by namespaces, beside the filter that allows them no call.
        differences: With `keep_going`, what the replay went on at, the first of it among them; see docs/spec/replay.md §7.
    """

    events: int
    checks: int
    exit_code: int | None
    signal: int | None
    whole: bool
    notes: tuple[str, ...]
    divergence: Divergence | None
    written: tuple[int, int]
    limit: str | None
    isolation: tuple[str, ...]
    differences: tuple[dict[str, Any], ...]

    @property
    def identical(self) -> bool:
        """Whether every event, as far as the recording goes, was replayed as recorded."""
        return self.divergence is None and self.limit is None


# Nothing but what the caller asked for: a person at a terminal ends what takes too long.
UNLIMITED: Final = ReplayEnvironment(
    resource_limits=ResourceLimits(max_memory=-1, max_cpu_time=-1, max_file_descriptors=-1, max_processes=-1)
)


def replay_command(
    path: Path,
    environment: ReplayEnvironment = UNLIMITED,
    *,
    output: bool = True,
    keep_going: bool = False,
    backtrace: bool = True,
) -> CommandReplay:
    """Execute a recorded command again and compare each event with the recorded one.

    Args:
        path: The recording, made by `observer record --replayable`.
        environment: What it is kept away from, and what it may use; a negative limit is none. Breakpoints are not looked at.
        output: Write what the program writes to this process's standard output and error.
        keep_going: Go on at a difference, as far as that can be.
        backtrace: At a difference, replay to there once more and let gdb say how the program came there.

    Raises:
        CapabilityError: The recording holds nothing to replay, or this machine cannot replay it. [OBS200]
        FormatError: The recording is damaged. [OBS500]
        ChunkMismatch: A chunk is not what was sealed. [OBS404]
    """
    options = native_options(environment, output=output, keep_going=keep_going)
    session = _native.ReplaySession(path, json.dumps(options).encode())
    divergence, limit = None, None
    status: dict[str, Any] = json.loads(session.status())
    try:
        while not status["finished"]:
            status = json.loads(session.run(_EVENTS, _SECONDS))
    except DesyncError as error:
        divergence = Divergence(str(error), json.loads(getattr(error, "divergence", "{}")))
    except ReplayError as error:
        limit = str(error)
    status = json.loads(session.status())
    if status["differences"]:
        first = status["differences"][0]
        divergence = Divergence(first["message"], first)
    if divergence is not None and backtrace:
        divergence.details["backtrace"] = list(backtrace_at(path, divergence.details["event"]))
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
        limit=limit,
        isolation=tuple(status["isolation"]),
        differences=tuple(status["differences"]),
    )
