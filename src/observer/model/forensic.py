# SPDX-License-Identifier: Apache-2.0
"""What a replay is given, where it stands, and how it compares with what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar
from uuid import UUID

from observer.errors import FormatError
from observer.model.condition import Condition

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
]


@dataclass(frozen=True, slots=True)
class IsolationLevel:
    """What a replay is kept away from.

    Attributes:
        kind: `full` (no network, files or processes), `network`, `filesystem` or `custom`.
        names: What a custom level keeps away from.
    """

    kind: str = "full"
    names: tuple[str, ...] = ()

    FULL: ClassVar[IsolationLevel]
    NETWORK: ClassVar[IsolationLevel]
    FILESYSTEM: ClassVar[IsolationLevel]

    def __post_init__(self) -> None:
        if self.kind not in ("full", "network", "filesystem", "custom"):
            raise FormatError(f"unknown isolation level {self.kind!r}")

    @classmethod
    def custom(cls, *names: str) -> IsolationLevel:
        """Return a level that keeps away from these."""
        return cls("custom", names)


IsolationLevel.FULL = IsolationLevel("full")
IsolationLevel.NETWORK = IsolationLevel("network")
IsolationLevel.FILESYSTEM = IsolationLevel("filesystem")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What a replay may use.

    Attributes:
        max_memory: Bytes.
        max_cpu_time: Seconds; a replay that runs longer is ended.
        max_file_descriptors: Open at once.
        max_processes: At once.
        max_network_bandwidth: Bytes per second.
    """

    max_memory: int = 1 << 30
    max_cpu_time: float = 60.0
    max_file_descriptors: int = 1024
    max_processes: int = 100
    max_network_bandwidth: int = 10 << 20


@dataclass(frozen=True, slots=True)
class BreakpointAction:
    """What happens where a breakpoint holds: `PAUSE`, `LOG`, `ABORT`, or `modify(changes)`.

    Attributes:
        kind: `pause`, `log`, `modify` or `abort`.
        changes: For `modify`: `result` (a number), `data` (text that is handed over in place of what was read).
    """

    kind: str
    changes: Mapping[str, str] = field(default_factory=dict)

    PAUSE: ClassVar[BreakpointAction]
    LOG: ClassVar[BreakpointAction]
    ABORT: ClassVar[BreakpointAction]

    def __post_init__(self) -> None:
        if self.kind not in ("pause", "log", "modify", "abort"):
            raise FormatError(f"unknown breakpoint action {self.kind!r}")
        unknown = set(self.changes) - {"result", "data"}
        if unknown or bool(self.changes) != (self.kind == "modify"):
            raise FormatError("a breakpoint changes 'result' or 'data', exactly when its action is 'modify'")

    @classmethod
    def modify(cls, changes: Mapping[str, str]) -> BreakpointAction:
        """Return the action that changes how the call comes out."""
        return cls("modify", dict(changes))


BreakpointAction.PAUSE = BreakpointAction("pause")
BreakpointAction.LOG = BreakpointAction("log")
BreakpointAction.ABORT = BreakpointAction("abort")


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A place in a replay.

    Attributes:
        syscall: Name of the call, or `*` for every one.
        condition: What must hold as well, in the language of `observer.model.condition`; None for nothing.
        action: What happens there.
    """

    syscall: str
    condition: str | None = None
    action: BreakpointAction = BreakpointAction.LOG

    def __post_init__(self) -> None:
        if self.condition is not None:
            Condition.parse(self.condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayEnvironment:
    """What a replay is given.

    Attributes:
        isolation_level: What it is kept away from.
        resource_limits: What it may use.
        simulated_inputs: Bytes in place of recorded ones, by name: `stdin`, `clock`, `random`, or the path of a file.
        breakpoints: Where to look.
    """

    isolation_level: IsolationLevel = IsolationLevel.FULL
    resource_limits: ResourceLimits = field(default_factory=ResourceLimits)
    simulated_inputs: Mapping[str, bytes] = field(default_factory=dict)
    breakpoints: tuple[Breakpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayStatus:
    """Where a replay stands.

    Attributes:
        kind: `preparing`, `running`, `paused`, `completed`, `failed` or `aborted`.
        reason: Why it failed; None unless failed.
    """

    kind: str
    reason: str | None = None

    PREPARING: ClassVar[ReplayStatus]
    RUNNING: ClassVar[ReplayStatus]
    PAUSED: ClassVar[ReplayStatus]
    COMPLETED: ClassVar[ReplayStatus]
    ABORTED: ClassVar[ReplayStatus]

    def __post_init__(self) -> None:
        if self.kind not in ("preparing", "running", "paused", "completed", "failed", "aborted"):
            raise FormatError(f"unknown replay status {self.kind!r}")
        if (self.kind == "failed") != (self.reason is not None):
            raise FormatError("a replay status has a reason exactly when it is 'failed'")

    @classmethod
    def failed(cls, reason: str) -> ReplayStatus:
        """Return the status of a replay that failed for this reason."""
        return cls("failed", reason)

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end."""
        return self.kind in ("completed", "failed", "aborted")

    def __str__(self) -> str:
        return self.kind if self.reason is None else f"{self.kind}: {self.reason}"


for _kind in ("preparing", "running", "paused", "completed", "aborted"):
    setattr(ReplayStatus, _kind.upper(), ReplayStatus(_kind))


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


@dataclass(frozen=True, slots=True)
class ForensicContext:
    """A replay, as of the moment it was asked for.

    Attributes:
        replay_id: The replay.
        original_trace_id: What it replays.
        environment: What it was given.
        start_time: UTC.
        end_time: UTC; None while it runs.
        status: Where it stands.
        comparison: How it compares; None before its end.
        log: What its breakpoints saw.
    """

    replay_id: UUID
    original_trace_id: UUID
    environment: ReplayEnvironment
    start_time: datetime
    end_time: datetime | None
    status: ReplayStatus
    comparison: ReplayComparison | None = None
    log: tuple[str, ...] = ()
