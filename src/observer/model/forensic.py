# SPDX-License-Identifier: Apache-2.0
"""What a replay is given, where it stands, and how it compares with what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from observer.errors import FormatError
from observer.model.comparison import ReplayComparison
from observer.model.condition import Condition

__all__ = [
    "Breakpoint",
    "BreakpointAction",
    "ForensicContext",
    "IsolationLevel",
    "ReplayEnvironment",
    "ReplayStatus",
    "ResourceLimits",
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
        max_network_bandwidth: Bytes per second; a replay sends nothing.
        max_wall_time: Seconds from start to end; None for no limit.
    """

    max_memory: int = 1 << 30
    max_cpu_time: float = 60.0
    max_file_descriptors: int = 1024
    max_processes: int = 100
    max_network_bandwidth: int = 10 << 20
    max_wall_time: float | None = None


@dataclass(frozen=True, slots=True)
class BreakpointAction:
    """What happens where a breakpoint holds: `PAUSE`, `LOG`, `ABORT`, or `modify(changes)`.

    Attributes:
        kind: `pause`, `log`, `modify` or `abort`.
        changes: For `modify`: `result` (a number), `data` (text that is handed over in place of what was read), and for recorded
            commands `args[0]` … `args[5]` (a number, or text that the argument then points to).
    """

    kind: str
    changes: Mapping[str, str] = field(default_factory=dict)

    PAUSE: ClassVar[BreakpointAction]
    LOG: ClassVar[BreakpointAction]
    ABORT: ClassVar[BreakpointAction]

    def __post_init__(self) -> None:
        if self.kind not in ("pause", "log", "modify", "abort"):
            raise FormatError(f"unknown breakpoint action {self.kind!r}")
        unknown = set(self.changes) - {"result", "data"} - {f"args[{number}]" for number in range(6)}
        if unknown or bool(self.changes) != (self.kind == "modify"):
            raise FormatError(
                "a breakpoint changes 'result', 'data' or 'args[0]' to 'args[5]', exactly when its action is 'modify'"
            )

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
        inspection: Where it is paused or was ended: event, time_ns, thread, call, registers, maps, stack (hexadecimal).
    """

    replay_id: UUID
    original_trace_id: UUID
    environment: ReplayEnvironment
    start_time: datetime
    end_time: datetime | None
    status: ReplayStatus
    comparison: ReplayComparison | None = None
    log: tuple[str, ...] = ()
    inspection: Mapping[str, Any] | None = None
