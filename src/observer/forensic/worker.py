# SPDX-License-Identifier: Apache-2.0
"""The process of one replay job: `python -m observer.forensic.worker DIRECTORY`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from observer import clock
from observer.errors import ObserverError, ReplayError
from observer.forensic.encoding import comparison_to_dict, environment_from_dict
from observer.forensic.engines import engine_for
from observer.forensic.jobs import write_whole

__all__ = ["run_job"]

_POLL_S: Final = 0.05


class _Aborted(ReplayError):
    """The watcher ended the replay."""


class _Watcher:
    """Does what is asked of a job through its control file."""

    def __init__(self, directory: Path, alive: dict[str, Any]) -> None:
        self._status, self._control, self._alive = directory / "status.json", directory / "control", alive

    def pause(self, where: str, inspection: Mapping[str, Any] | None = None) -> None:
        """Say where it is and wait for `resume` or `abort`."""
        told = {"kind": "paused", "log": [f"paused at {where}"], "inspection": inspection}
        write_whole(self._status, self._alive | told)
        while (word := self._word()) in (None, "pause"):
            time.sleep(_POLL_S)
        if word == "abort":
            raise _Aborted("the replay was ended where it was paused")
        write_whole(self._status, self._alive | {"kind": "running"})

    def look(self) -> None:
        """Pause or end a replay that runs, when asked to."""
        match self._word():
            case "abort":
                raise _Aborted("the replay was ended")
            case "pause":
                self.pause("the caller's wish")

    def _word(self) -> str | None:
        try:
            word: str = json.loads(self._control.read_text(encoding="utf-8"))["word"]
        except FileNotFoundError:
            return None
        self._control.unlink()
        return word


def run_job(directory: Path) -> None:
    """Run the job in a directory and leave how it came out there."""
    status, alive = directory / "status.json", {"pid": os.getpid()}
    watcher = _Watcher(directory, alive)
    write_whole(status, alive | {"kind": "running"})
    try:
        told = _replay(json.loads((directory / "job.json").read_text(encoding="utf-8")), watcher)
    except _Aborted:
        told = {"kind": "aborted"}
    except (ObserverError, OSError, MemoryError) as error:
        told = {"kind": "failed", "reason": f"{type(error).__name__}: {error}"}
    write_whole(status, told | {"end_ns": clock.wall_ns()})


def _replay(job: dict[str, Any], watcher: _Watcher) -> dict[str, Any]:
    path = Path(job["path"])
    report = engine_for(path)(path, environment_from_dict(job["environment"]), watcher)
    kind = "aborted" if report.status == "aborted" else "completed"
    inspection = getattr(report, "inspection", None)
    return {
        "kind": kind,
        "comparison": comparison_to_dict(report.comparison),
        "log": list(report.log),
        "inspection": inspection.to_dict() if inspection is not None else None,
    }


if __name__ == "__main__":
    run_job(Path(sys.argv[1]))
