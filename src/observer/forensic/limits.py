# SPDX-License-Identifier: Apache-2.0
"""What a replay is kept away from and what it may use, as the native core takes it."""

from __future__ import annotations

import math
from typing import Any, Final

from observer.errors import UsageError
from observer.model.forensic import IsolationLevel, ReplayEnvironment, ResourceLimits
from observer.trace.store import FILES, default_home

__all__ = ["NAMESPACES", "namespaces_of", "native_options", "stored_files"]

# Source: clone(2), include/uapi/linux/sched.h.
NAMESPACES: Final = {
    "filesystem": 0x00020000,  # CLONE_NEWNS
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "network": 0x40000000,
}
_ALL: Final = sum(NAMESPACES.values())
_USUAL_MEMORY: Final = ResourceLimits().max_memory


def namespaces_of(level: IsolationLevel) -> int:
    """Return the CLONE_NEW… bits of a level. Whatever it is, a replayed process can make no call of its own: this comes on top.

    Raises:
        UsageError: A custom level names something unknown. [OBS100]
    """
    if level.kind != "custom":
        return {"full": _ALL}.get(level.kind, NAMESPACES.get(level.kind, 0))
    unknown = sorted(set(level.names) - set(NAMESPACES))
    if unknown:
        raise UsageError(
            f"a custom isolation level cannot keep away from {unknown[0]!r}",
            hint=f"choose from {', '.join(NAMESPACES)}",
        )
    return sum(NAMESPACES[name] for name in set(level.names))


def stored_files() -> str:
    """Return where files that many recordings hold are stored once: docs/spec/replay.md §6."""
    return str(default_home() / FILES)


def native_options(
    environment: ReplayEnvironment, *, output: bool, keep_going: bool = False
) -> dict[str, Any]:
    """Return the options of a native session.

    What processes may map is held to the memory limit only when that was chosen: programs map more than they use.

    Raises:
        UsageError: A custom isolation level names something unknown. [OBS100]
    """
    limits = environment.resource_limits
    return {
        "output": output,
        "files": stored_files(),
        "keep_going": keep_going,
        "unshare": namespaces_of(environment.isolation_level),
        "limits": {
            "memory": _finite(limits.max_memory),
            "data": None if limits.max_memory == _USUAL_MEMORY else _finite(limits.max_memory),
            "cpu_time": _finite(limits.max_cpu_time),
            "wall_time": _finite(limits.max_wall_time),
            "descriptors": _finite(limits.max_file_descriptors),
            "processes": _finite(limits.max_processes),
        },
    }


def _finite(limit: float | None) -> float | None:
    return None if limit is None or math.isinf(limit) or limit < 0 else limit
