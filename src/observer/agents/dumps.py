# SPDX-License-Identifier: Apache-2.0
"""Writes the rolling buffer to a file: on request, on SIGUSR1, and after a Critical event."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from observer import clock
from observer.agents.collector import Observation
from observer.agents.last_minute import write_private
from observer.agents.pipeline import AGENT_SOURCE, Pipeline
from observer.model.event import EventSeverity

__all__ = ["Dumper"]

_EVERY_NS: Final = 60_000_000_000


class Dumper:
    """Keeps the newest dumps in a directory."""

    def __init__(self, directory: Path, keep: int, pipeline: Pipeline) -> None:
        self._directory, self._keep, self._pipeline = directory, keep, pipeline
        self._asked = ""
        self._dumped_ns = 0
        self._count = 0

    def ask(self, trigger: str) -> None:
        """Ask for a dump at the next `serve`; safe in a signal handler."""
        self._asked = trigger

    def watch(self) -> None:
        """Ask for a dump when a Critical event came, at most once a minute."""
        trigger, self._pipeline.critical = self._pipeline.critical, ""
        if trigger and (not self._dumped_ns or clock.boot_ns() - self._dumped_ns >= _EVERY_NS):
            self._asked = trigger

    def serve(self) -> None:
        """Write what was asked for."""
        if self._asked:
            trigger, self._asked = self._asked, ""
            self.dump(trigger)

    def dump(self, trigger: str) -> dict[str, object]:
        """Write the buffer now; returns path, digest and count, or `error`."""
        self._dumped_ns = clock.boot_ns()
        self._count += 1
        lines = self._pipeline.snapshot()
        stamp = clock.to_datetime(clock.wall_ns()).strftime("%Y%m%dT%H%M%SZ")
        path = self._directory / f"buffer-{stamp}-{self._count}.jsonl"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            digest = write_private(path, b"".join(line + b"\n" for line in lines))
        except OSError as error:
            return {"error": f"cannot write {path}: {error.strerror}"}
        facts: dict[str, str | None] = {
            "trigger": trigger,
            "path": str(path),
            "sha256": digest,
            "events": str(len(lines)),
        }
        self._pipeline.emit_always(
            Observation(
                "agent.dump", AGENT_SOURCE, "Agent", EventSeverity.INFO, "Rolling buffer dumped", facts
            )
        )
        self._prune()
        return {"path": str(path), "sha256": digest, "events": len(lines)}

    def _prune(self) -> None:
        with contextlib.suppress(OSError):
            files = sorted(self._directory.glob("buffer-*.jsonl"), key=lambda one: one.stat().st_mtime_ns)
            for old in files[: -self._keep]:
                old.unlink()
