# SPDX-License-Identifier: Apache-2.0
"""Compares two recordings call by call: what one did and the other did not. The work is done by the native core."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.forensic.engines import is_replayable
from observer.forensic.events import replay_calls
from observer.forensic.gdb import backtrace_at
from observer.model import comparison as model

__all__ = ["compare_recordings"]

_LIMIT: Final = 1000  # differing calls that are told one by one


def compare_recordings(
    original: Path, replay: Path, *, limit: int = _LIMIT, schedule: bool = False, backtraces: bool = True
) -> model.RecordingComparison:
    """Compare two recordings.

    Process trees are matched first, then the calls of each pair of threads are aligned. Process ids, addresses, descriptor
    numbers, made-up file names and times are not compared. Holds 64 bytes for each call of either recording.

    Args:
        original: One recording's directory.
        replay: The other's.
        limit: At most this many differing calls are listed; all are counted.
        schedule: Compare also the calls whose number depends on who was faster (futex, sched_yield, …).
        backtraces: Replay a recording that can be replayed to the first difference, and let gdb say how the program came there.

    Raises:
        FormatError: One is no recording, or has more than 20 million calls. [OBS500]
        IntegrityError: The bytes of one are not those that were sealed. [OBS4xx]

    Source: docs/spec/comparison.md.
    """
    options = json.dumps({"limit": limit, "all": schedule}).encode()
    told: dict[str, Any] = json.loads(_native.compare_recordings(str(original), str(replay), options))
    calls = tuple(map(_call, told["syscall_differences"]))
    first = told["syscall_differences"][0] if calls else None
    comparison = model.ReplayComparison(
        match_percentage=told["match_percentage"],
        syscall_differences=calls,
        timing_differences=tuple(model.TimingDifference(**item) for item in told["timing_differences"]),
        outcome_differences=tuple(model.OutcomeDifference(**item) for item in told["outcome_differences"]),
        first_divergence=_divergence(calls[0], first, (original, replay) if backtraces else None)
        if first is not None
        else None,
    )
    return model.RecordingComparison(
        comparison=comparison,
        counts=told["counts"],
        equal=told["equal"],
        original=_side(told["a"]),
        replay=_side(told["b"]),
        processes=tuple(told["processes"]),
        left_out=(told["left_out"]["a"], told["left_out"]["b"]),
    )


def _call(item: Mapping[str, Any]) -> model.SyscallDifference:
    return model.SyscallDifference(
        kind=model.DifferenceKind(item["kind"]),
        index_original=item["index_original"],
        index_replay=item["index_replay"],
        original=item["original"],
        replay=item["replay"],
        detail=item["detail"],
        process=item["process"],
        program=item["program"],
    )


def _divergence(
    call: model.SyscallDifference, item: Mapping[str, Any], paths: tuple[Path, Path] | None
) -> model.Divergence:
    return model.Divergence(
        call,
        at_ns=item["at_ns"],
        pid=item["pid_original"],
        tid=item["tid_original"],
        backtrace=_backtrace(paths[0], call.index_original) if paths else (),
        backtrace_replay=_backtrace(paths[1], call.index_replay) if paths else (),
    )


def _backtrace(path: Path, record: int | None) -> tuple[str, ...]:
    """Return the frames at a record; nothing for a recording that cannot be run again."""
    if record is None or not is_replayable(path):
        return ()
    event = next((call.event for call in replay_calls(path) if call.call["record"] == record), None)
    return backtrace_at(path, event) if event is not None else ()


def _side(told: Mapping[str, Any]) -> model.ComparedSide:
    command = told["command"]
    return model.ComparedSide(
        calls=told["calls"],
        processes=told["processes"],
        threads=told["threads"],
        duration_ns=told["duration_ns"],
        lost=told["lost"],
        closed=told["closed"],
        command=None if command is None else tuple(command),
    )
