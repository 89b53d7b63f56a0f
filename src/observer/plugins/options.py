# SPDX-License-Identifier: Apache-2.0
"""What a plugin is given and how far it may go, and how its run came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from observer.errors import UsageError

__all__ = ["Mount", "PluginLimits", "PluginOptions", "PluginOutcome", "PluginState"]

_PAGE: Final = 1 << 16


class PluginState(Enum):
    """Where a plugin stands in its life."""

    CREATED = "created"
    INITIALIZING = "initializing"
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the host that the plugin sees.

    Attributes:
        host: Path on the host.
        guest: Path that the plugin opens it by.
        read_only: Whether it may only be read.
    """

    host: str
    guest: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Mount:
        """Return the mount of `HOST::GUEST`, `HOST` (seen under its own name), either followed by `::ro`.

        Raises:
            UsageError: A part is empty.
        """
        parts = text.split("::")
        read_only = len(parts) > 1 and parts[-1] == "ro"
        parts = parts[:-1] if read_only else parts
        if len(parts) > 2 or not all(parts):
            raise UsageError(
                f"cannot read the folder {text!r}", hint="write it as HOST::GUEST or HOST::GUEST::ro"
            )
        return cls(parts[0], parts[-1], read_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginLimits:
    """What a plugin may use at most; every limit is enforced.

    Attributes:
        memory_bytes: Size of each linear memory; growing beyond it fails inside the plugin. Default 128 MiB, the plugin
            sandbox of the original design.
        fuel: Instructions, roughly; None for as many as it likes. What recording costs is counted too, the same in a replay.
        timeout_s: Wall time of each call into the plugin, s; None for as long as it likes.
        open_files: Descriptors open at once, standard streams and folders included.
        table_elements: Entries of each table.
    """

    memory_bytes: int = 128 << 20
    fuel: int | None = None
    timeout_s: float | None = 30.0
    open_files: int = 64
    table_elements: int = 1_000_000

    def __post_init__(self) -> None:
        if self.memory_bytes < _PAGE or self.open_files < 3:
            raise UsageError("a plugin needs 64 KiB of memory and three descriptors at least")
        if (self.fuel is not None and self.fuel <= 0) or (
            self.timeout_s is not None and not self.timeout_s > 0
        ):
            raise UsageError("limits are above zero")

    def to_dict(self) -> dict[str, Any]:
        """Return the limits as a recording carries them."""
        return {
            "memory_bytes": self.memory_bytes,
            "fuel": self.fuel,
            "timeout_s": self.timeout_s,
            "open_files": self.open_files,
            "table_elements": self.table_elements,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginOptions:
    """What a plugin is given.

    Attributes:
        arguments: Its command line after its own name.
        environment: Its environment, and what `env.get_env` may tell.
        mounts: Folders it sees.
        limits: What it may use.
        stdin: `inherit`, `null`, or the path of a file.
        stdout: `inherit`, `null`, or the path of a file to write.
        stderr: The same.
        denied: Names of functions that are refused with ENOTCAPABLE, such as `fd_write`.
    """

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    limits: PluginLimits = field(default_factory=PluginLimits)
    stdin: str = "null"
    stdout: str = "inherit"
    stderr: str = "inherit"
    denied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PluginOutcome:
    """How a call into a plugin, or its whole run, came out.

    Attributes:
        kind: `returned`, `exited`, `trapped`, `limit`, or `refused` when it never ran.
        detail: Exit status, the trap's name, or the limit (`fuel`, `time`, `memory`, `recorder`).
        message: One line for people.
        values: What the call returned.
    """

    kind: str
    detail: str = ""
    message: str = ""
    values: tuple[int | float, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it came to its end without trap, limit or failure status."""
        return self.kind == "returned" or (self.kind == "exited" and self.detail == "0")

    @property
    def exit_status(self) -> int:
        """The status a shell sees: the plugin's own, 134 for a trap as after abort(3), 124 for a limit as timeout(1)."""
        if self.kind == "exited":
            return int(self.detail) & 0xFF
        return {"returned": 0, "trapped": 134, "limit": 124}.get(self.kind, 15)

    def to_dict(self) -> dict[str, str]:
        """Return it as text by name, as a recording carries it."""
        values = " ".join(str(value) for value in self.values)
        found = {"outcome": self.kind, "detail": self.detail, "message": self.message, "values": values}
        return {key: value for key, value in found.items() if value}
