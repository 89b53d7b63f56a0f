# SPDX-License-Identifier: Apache-2.0
"""What is to be captured: a process and its descendants, or the processes of a container."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from observer.errors import NotFoundError, UsageError
from observer.trace.live.containers import Container, find_container, list_containers

__all__ = ["Target", "container_target", "process_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Processes to capture together.

    Attributes:
        pids: Where to begin.
        descendants: And all that descend from them.
        cgroup: And all in this cgroup.
        container_id: The container's UUID.
        facts: What was asked for, for the manifest.
        bodies: Instead of all that: processes that somebody holds still, as the native core takes them.
        hidden: Address ranges that are the holder's own in them.
        instant: Their CLOCK_REALTIME and CLOCK_BOOTTIME, ns, and the id of the boot.
        held_by: Keeps them; they end with it.
    """

    pids: tuple[int, ...]
    descendants: bool = True
    cgroup: Path | None = None
    container_id: UUID | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    bodies: tuple[dict[str, Any], ...] = ()
    hidden: tuple[tuple[int, int], ...] = ()
    instant: tuple[int, int, str] | None = None
    held_by: object = None

    @property
    def name(self) -> str:
        """What is the same for two snapshots of the same thing."""
        if self.bodies:
            return f"recording {self.facts['trace_id']}"
        return str(self.facts.get("container") or f"pid {self.pids[0]}")


def process_target(pid: int, *, descendants: bool = True) -> Target:
    """Return a process, with all that descend from it.

    Raises:
        NotFoundError: There is none. [OBS700]
        UsageError: It is this process. [OBS100]
    """
    if pid == os.getpid():
        raise UsageError("a process cannot stop itself for a snapshot", hint="let another process take it")
    if pid <= 0 or not Path(f"/proc/{pid}").is_dir():
        raise NotFoundError(f"process {pid} does not exist", hint="check the process id with 'ps'")
    return Target(
        pids=(pid,), descendants=descendants, facts={"kind": "pid", "pid": pid, "descendants": descendants}
    )


def container_target(container: UUID | str) -> Target:
    """Return the processes of a running container.

    Args:
        container: Its name, its id or the beginning of it, or the UUID by which traces name it.

    Raises:
        NotFoundError: No such container runs. [OBS700]
        UsageError: The name is that of several. [OBS100]
    """
    found = _by_uuid(container) if isinstance(container, UUID) else find_container(container)
    return Target(
        pids=(found.pid,),
        cgroup=found.cgroup,
        container_id=found.trace_container_id,
        facts={"kind": "container", "container": found.name, **found.to_dict()},
    )


def _by_uuid(wanted: UUID) -> Container:
    known = list(list_containers())
    for container in known:
        if container.trace_container_id == wanted:
            return container
    names = ", ".join(sorted(container.name for container in known)[:8]) or "none"
    raise NotFoundError(f"no running container has the UUID {wanted}", hint=f"running: {names}")
