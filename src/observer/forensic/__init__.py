# SPDX-License-Identifier: Apache-2.0
"""Replays recordings and compares what happens with what was recorded.

    from observer import forensic

    replay_id = forensic.start_replay(trace_id, forensic.ReplayEnvironment())
    forensic.wait_for_replay(replay_id)
    comparison = forensic.get_replay_context(replay_id).comparison
    print(f"{comparison.match_percentage * 100} %")

A replay is a process of its own: it goes on when the program that asked for it ends. Which engine replays is told by what made
the recording. The room never writes to a recording; results lie beside it in the store.
"""

from observer.forensic.comparing import compare_recordings
from observer.forensic.jobs import (
    abort_replay,
    get_replay_context,
    list_replays,
    pause_replay,
    resume_replay,
    start_replay,
    wait_for_replay,
)
from observer.model.comparison import (
    ComparedSide,
    DifferenceKind,
    Divergence,
    OutcomeDifference,
    RecordingComparison,
    ReplayComparison,
    SyscallDifference,
    TimingDifference,
)
from observer.model.forensic import (
    Breakpoint,
    BreakpointAction,
    ForensicContext,
    IsolationLevel,
    ReplayEnvironment,
    ReplayStatus,
    ResourceLimits,
)

__all__ = [
    "Breakpoint",
    "BreakpointAction",
    "ComparedSide",
    "DifferenceKind",
    "Divergence",
    "ForensicContext",
    "IsolationLevel",
    "OutcomeDifference",
    "RecordingComparison",
    "ReplayComparison",
    "ReplayEnvironment",
    "ReplayStatus",
    "ResourceLimits",
    "SyscallDifference",
    "TimingDifference",
    "abort_replay",
    "compare_recordings",
    "get_replay_context",
    "list_replays",
    "pause_replay",
    "resume_replay",
    "start_replay",
    "wait_for_replay",
]
