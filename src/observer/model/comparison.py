# SPDX-License-Identifier: Apache-2.0
"""How two executions compare: the calls, times and outcomes in which they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = [
    "ComparedSide",
    "DifferenceKind",
    "Divergence",
    "OutcomeDifference",
    "RecordingComparison",
    "ReplayComparison",
    "SyscallDifference",
    "TimingDifference",
]


class DifferenceKind(Enum):
    """How a call of the replay differs from the recorded one."""

    MISSING = "missing"
    EXTRA = "extra"
    NAME_CHANGED = "name_changed"
    ARGS_CHANGED = "args_changed"
    DECISION_CHANGED = "decision_changed"
    RESULT_CHANGED = "result_changed"
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True)
class SyscallDifference:
    """One call that differs.

    Attributes:
        kind: How.
        index_original: Record number in the recording; None for an extra call.
        index_replay: Number of the call in the replay; None for a missing one.
        original: The recorded call, as text.
        replay: The replayed call, as text.
        detail: What differs.
        process: Place of the thread in the process tree, `0` the first, `0.1` the second it started; empty for a plugin.
        program: File name of the program it ran; empty where that is not told.
    """

    kind: DifferenceKind
    index_original: int | None
    index_replay: int | None
    original: str | None
    replay: str | None
    detail: str
    process: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True)
class TimingDifference:
    """Time up to a call, recorded and replayed.

    Of a replay: the time that the program itself took before the call. Of two recordings: from the return of the thread's call
    before to the return of this one.

    Attributes:
        index: Record number of the call.
        syscall: Its name.
        original_ns: Recorded, ns.
        replay_ns: Replayed, ns.
        exceeds_tolerance: Whether it differs by more than the tolerance.
    """

    index: int
    syscall: str
    original_ns: int
    replay_ns: int
    exceeds_tolerance: bool

    @property
    def delta_ns(self) -> int:
        """Replayed minus recorded, ns."""
        return self.replay_ns - self.original_ns

    @property
    def ratio(self) -> float:
        """Replayed by recorded; infinite when the recorded time is 0."""
        return self.replay_ns / self.original_ns if self.original_ns else float("inf")


@dataclass(frozen=True, slots=True)
class OutcomeDifference:
    """Something that came out otherwise.

    Attributes:
        subject: `syscall`, `event`, `final status`, `memory`, `state`, `process` or `loss`.
        original: Recorded.
        replay: Replayed.
        severity: `info`, `warning` or `error`.
        index: Record number where it shows, or None.
        process: Place of the thread in the process tree; empty where there is none.
    """

    subject: str
    original: str
    replay: str
    severity: str = "error"
    index: int | None = None
    process: str = ""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first call that differs, and how the program came there.

    Attributes:
        difference: The call.
        at_ns: Since the first call of the recording, ns.
        pid: Process id in the recording.
        tid: Thread id in the recording.
        backtrace: Frames, innermost first, of the original; empty when its recording cannot be run again.
        backtrace_replay: Of the other side, likewise.
    """

    difference: SyscallDifference
    at_ns: int
    pid: int
    tid: int
    backtrace: tuple[str, ...] = ()
    backtrace_replay: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayComparison:
    """How a replay compares with its recording.

    Attributes:
        match_percentage: Calls that are equal, as a fraction in [0, 1]; multiply by 100 for per cent.
        syscall_differences: Calls that differ, in order; the first is the divergence.
        timing_differences: The largest differences in the program's own time.
        outcome_differences: What came out otherwise.
        first_divergence: The first call that differs; None when none does, or when that is all that is known of it.
    """

    match_percentage: float
    syscall_differences: tuple[SyscallDifference, ...] = ()
    timing_differences: tuple[TimingDifference, ...] = ()
    outcome_differences: tuple[OutcomeDifference, ...] = ()
    first_divergence: Divergence | None = None

    @property
    def is_identical(self) -> bool:
        """Whether no call and nothing that came out differs."""
        return not self.syscall_differences and not self.outcome_differences


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """One of two recordings that were compared.

    Attributes:
        calls: Calls that were compared.
        processes: How many.
        threads: How many, the first of each process among them.
        duration_ns: From the first call to the end of the last.
        lost: Records that the recording itself declares lost.
        closed: Whether it has an end.
        command: What was recorded; None for an embedder's trace.
    """

    calls: int
    processes: int
    threads: int
    duration_ns: int
    lost: int
    closed: bool
    command: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class RecordingComparison:
    """How two recordings compare.

    Attributes:
        comparison: What differs; at most as many calls as were asked for.
        counts: All differing calls, by kind.
        equal: Calls that are equal.
        original: The first recording.
        replay: The second one.
        processes: Every process and thread with its counterpart, as docs/spec/comparison.md §4 has them.
        left_out: Calls that the schedule decides and that were not compared, by what they are, of either recording.
    """

    comparison: ReplayComparison
    counts: Mapping[str, int]
    equal: int
    original: ComparedSide
    replay: ComparedSide
    processes: tuple[Mapping[str, Any], ...]
    left_out: tuple[Mapping[str, int], Mapping[str, int]]

    @property
    def is_identical(self) -> bool:
        """Whether no call and nothing that came out differs."""
        return not any(self.counts.values()) and self.comparison.is_identical
