# SPDX-License-Identifier: Apache-2.0
"""Replay jobs: started at once, waited for, looked at; each a process of its own that outlives its caller.

$OBSERVER_HOME/replays/<replay id>/     0700
├── job.json       what to replay and with what
├── status.json    where it stands, replaced whole at each change
└── control        `resume` or `abort`, left by who watches it
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer import clock
from observer.errors import NotFoundError, ReplayError
from observer.forensic.encoding import comparison_from_dict, environment_from_dict, environment_to_dict
from observer.forensic.engines import engine_for
from observer.ids import new_id
from observer.model.forensic import ForensicContext, ReplayEnvironment, ReplayStatus
from observer.trace.reading import Recording
from observer.trace.store import TraceStore, default_home

__all__ = [
    "abort_replay",
    "get_replay_context",
    "list_replays",
    "pause_replay",
    "replay_directory",
    "resume_replay",
    "start_replay",
    "wait_for_replay",
    "write_whole",
]

_POLL_S: Final = 0.02
_DEAD_AFTER_S: Final = 1.0  # between the end of a job's process and its last word this much may pass


def replay_directory(replay_id: UUID) -> Path:
    """Return where a replay is kept."""
    return default_home() / "replays" / str(replay_id)


def write_whole(path: Path, value: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old or the new, never a part."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
    fresh.replace(path)


def start_replay(trace: UUID | Path, environment: ReplayEnvironment | None = None) -> UUID:
    """Start a replay and return its id at once.

    Args:
        trace: The trace's id, or the path of its recording.
        environment: What the replay is given.

    Raises:
        NotFoundError: No such trace. [OBS700]
        CapabilityError: The recording was not made with a replayable engine. [OBS200]
    """
    path = (trace if isinstance(trace, Path) else TraceStore().get(trace)).absolute()
    engine_for(path)
    replay_id = new_id()
    directory = replay_directory(replay_id)
    directory.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.parent.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700)
    job = {
        "trace_id": str(Recording(path).start.trace_id),
        "path": str(path),
        "environment": environment_to_dict(environment or ReplayEnvironment()),
        "start_ns": clock.wall_ns(),
    }
    write_whole(directory / "job.json", job)
    write_whole(directory / "status.json", {"kind": "preparing"})
    process = subprocess.Popen(
        [sys.executable, "-m", "observer.forensic.worker", str(directory)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _CHILDREN[replay_id] = process
    return replay_id


_CHILDREN: dict[UUID, subprocess.Popen[bytes]] = {}


def wait_for_replay(replay_id: UUID, timeout_s: float | None = None) -> ForensicContext:
    """Wait until a replay is over, or paused at a breakpoint, and return it.

    Raises:
        NotFoundError: No such replay. [OBS700]
        ReplayError: It is still running after `timeout_s`. [OBS600]
    """
    deadline = None if timeout_s is None else clock.monotonic_ns() + int(timeout_s * 1e9)
    while True:
        context = get_replay_context(replay_id)
        if context.status.is_over or context.status.kind == "paused":
            return context
        if deadline is not None and clock.monotonic_ns() > deadline:
            raise ReplayError(f"replay {replay_id} is still running after {timeout_s} s")
        time.sleep(_POLL_S)


def get_replay_context(replay_id: UUID) -> ForensicContext:
    """Return a replay as it stands; never waits.

    Raises:
        NotFoundError: No such replay. [OBS700]
    """
    directory = replay_directory(replay_id)
    try:
        job = json.loads((directory / "job.json").read_text(encoding="utf-8"))
        status = json.loads((directory / "status.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"no replay {replay_id}", where={"replay_id": str(replay_id)}) from error
    if status["kind"] in ("preparing", "running", "paused") and _is_dead(replay_id, directory, status):
        status = json.loads((directory / "status.json").read_text(encoding="utf-8"))
        if status["kind"] in ("preparing", "running", "paused"):
            status = {
                "kind": "failed",
                "reason": "the process of the replay is gone",
                "end_ns": clock.wall_ns(),
            }
    compared = status.get("comparison")
    return ForensicContext(
        replay_id=replay_id,
        original_trace_id=UUID(job["trace_id"]),
        environment=environment_from_dict(job["environment"]),
        start_time=clock.to_datetime(int(job["start_ns"])),
        end_time=clock.to_datetime(int(status["end_ns"])) if status.get("end_ns") else None,
        status=ReplayStatus(status["kind"], status.get("reason")),
        comparison=comparison_from_dict(compared) if compared else None,
        log=tuple(status.get("log", ())),
        inspection=status.get("inspection"),
    )


def _is_dead(replay_id: UUID, directory: Path, status: dict[str, Any]) -> bool:
    child = _CHILDREN.get(replay_id)
    if child is not None:
        return child.poll() is not None
    pid = status.get("pid")
    age_s = clock.wall_ns() / 1e9 - (directory / "status.json").stat().st_mtime
    if pid is None:
        return age_s > 60 * _DEAD_AFTER_S  # it never came to say who it is
    return age_s > _DEAD_AFTER_S and not Path(f"/proc/{int(pid)}").exists()


def resume_replay(replay_id: UUID) -> None:
    """Let a replay go on that a breakpoint paused."""
    _control(replay_id, "resume")


def abort_replay(replay_id: UUID) -> None:
    """End a replay, wherever it is."""
    _control(replay_id, "abort")


def pause_replay(replay_id: UUID) -> None:
    """Pause a replay that runs; a recorded plugin's pauses at breakpoints only."""
    _control(replay_id, "pause")


def list_replays() -> list[ForensicContext]:
    """Return all replays of this user's store, oldest first."""
    directory = default_home() / "replays"
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        try:
            found.append(get_replay_context(UUID(path.name)))
        except (ValueError, NotFoundError):
            continue  # not a replay's directory, or one that is just being made
    return sorted(found, key=lambda context: context.start_time)


def _control(replay_id: UUID, word: str) -> None:
    context = get_replay_context(replay_id)
    kind = context.status.kind
    possible = {"resume": ("paused",), "pause": ("preparing", "running")}.get(
        word, ("preparing", "running", "paused")
    )
    if kind not in possible:
        raise ReplayError(f"replay {replay_id} is {context.status}, not {' or '.join(possible)}")
    directory = replay_directory(replay_id)
    if kind == "paused":
        status = json.loads((directory / "status.json").read_text(encoding="utf-8"))
        write_whole(directory / "status.json", {**status, "kind": "running"})
    write_whole(directory / "control", {"word": word})
