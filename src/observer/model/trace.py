# SPDX-License-Identifier: Apache-2.0
"""What a trace holds: syscall attempts with their decision and outcome, and how the trace ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar

from observer.errors import FormatError
from observer.model.identity import IdentityContext

__all__ = ["Outcome", "SyscallTrace", "SyscallType", "TraceStatus"]


@dataclass(frozen=True, slots=True)
class TraceStatus:
    """Where a trace stands: `TraceStatus.ACTIVE`, `TraceStatus.COMPLETED` or `TraceStatus.failed(reason)`.

    Attributes:
        kind: `active`, `completed` or `failed`.
        reason: Why it failed; None unless failed.
    """

    kind: str
    reason: str | None = None

    ACTIVE: ClassVar[TraceStatus]
    COMPLETED: ClassVar[TraceStatus]

    def __post_init__(self) -> None:
        if self.kind not in ("active", "completed", "failed"):
            raise FormatError(f"unknown trace status {self.kind!r}")
        if (self.kind == "failed") != (self.reason is not None):
            raise FormatError("a trace status has a reason exactly when it is 'failed'")

    @classmethod
    def failed(cls, reason: str) -> TraceStatus:
        """Return the status of a trace that failed for this reason."""
        return cls("failed", reason)

    @property
    def is_failed(self) -> bool:
        """Whether the trace failed."""
        return self.kind == "failed"

    def __str__(self) -> str:
        return self.kind if self.reason is None else f"{self.kind}: {self.reason}"


TraceStatus.ACTIVE = TraceStatus("active")
TraceStatus.COMPLETED = TraceStatus("completed")


class Outcome(Enum):
    """How one syscall attempt came out."""

    OK = "ok"
    FAILED = "failed"
    DENIED = "denied"
    NO_RESULT = "no_result"
    INTERRUPTED = "interrupted"


class SyscallType(Enum):
    """What a syscall name deals with, by its first word or, for names such as `open_file`, its last."""

    FILE = "file"
    NETWORK = "network"
    PROCESS = "process"
    MEMORY = "memory"
    IPC = "ipc"
    TIME = "time"
    CRYPTO = "crypto"
    SYSTEM = "system"
    OTHER = "other"

    @classmethod
    def of(cls, syscall: str) -> SyscallType:
        """Return the type of an embedder's syscall name; OTHER when no word of it tells."""
        words = syscall.lower().split("_")
        for word in (words[0], words[-1]):
            if word in _TYPE_WORDS:
                return _TYPE_WORDS[word]
        return cls.OTHER


_TYPE_WORDS = {
    "file": SyscallType.FILE,
    "net": SyscallType.NETWORK,
    "network": SyscallType.NETWORK,
    "socket": SyscallType.NETWORK,
    "proc": SyscallType.PROCESS,
    "process": SyscallType.PROCESS,
    "mem": SyscallType.MEMORY,
    "memory": SyscallType.MEMORY,
    "ipc": SyscallType.IPC,
    "time": SyscallType.TIME,
    "crypto": SyscallType.CRYPTO,
    "sys": SyscallType.SYSTEM,
    "system": SyscallType.SYSTEM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyscallTrace:
    """One syscall attempt, its decision and its outcome.

    Attributes:
        record: Number of the record in its recording, from 0.
        syscall: Name, such as `openat` or an embedder's `open_file`.
        args: Decoded arguments as text, in order.
        arg_names: Their names where the kernel's table knows them, else empty.
        arg_classes: What kind of value each is (`path`, `fd`, `flags`, …), else empty.
        identity: On whose behalf; None for calls of a recorded program, whose identity is the trace's.
        allowed: The policy decision; None where no policy decided (a recorded program).
        reason: Why it was decided so.
        trust_score: Trust at the time of the decision, in [0, 1].
        policy_version: Version of the policy that decided.
        enforcement_mode: `enforce`, `audit` or `permissive`.
        violation_action: `block`, `quarantine`, `warn` or `allow`.
        timestamp: UTC wall clock at entry, to the microsecond.
        start_ns: CLOCK_MONOTONIC at entry, ns.
        duration_ns: Entry to exit, ns; None when not told.
        result: Return value, or what the embedder said came out; None when there is none.
        result_text: The result as `strace` would show it.
        errno: Name such as `ENOENT` when it failed, else None.
        outcome: How it came out.
        pid: Process id.
        tid: Kernel thread id.
        process: Name of the program that called.
    """

    record: int
    syscall: str
    args: tuple[str, ...]
    timestamp: datetime
    start_ns: int
    outcome: Outcome
    pid: int
    tid: int
    arg_names: tuple[str, ...] = ()
    arg_classes: tuple[str, ...] = ()
    identity: IdentityContext | None = None
    allowed: bool | None = None
    reason: str | None = None
    trust_score: float | None = None
    policy_version: str | None = None
    enforcement_mode: str | None = None
    violation_action: str | None = None
    duration_ns: int | None = None
    result: int | str | None = None
    result_text: str | None = None
    errno: str | None = None
    process: str | None = None

    @property
    def record_id(self) -> str:
        """The id by which summaries cite this call, `s` and its record number."""
        return f"s{self.record}"

    @property
    def syscall_type(self) -> SyscallType:
        """What the name deals with."""
        return SyscallType.of(self.syscall)

    def named_args(self) -> Mapping[str, str]:
        """Return the arguments by name; unnamed ones are `arg0`, `arg1`, …."""
        names = self.arg_names or tuple(f"arg{index}" for index in range(len(self.args)))
        return dict(zip(names, self.args, strict=False))
