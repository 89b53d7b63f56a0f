# SPDX-License-Identifier: Apache-2.0
"""The process of one replay job: `python -m observer.forensic.worker DIRECTORY`."""

from __future__ import annotations

import json
import os
import sys
import time
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


def run_job(directory: Path) -> None:
    """Run the job in a directory and leave how it came out there."""
    status, alive = directory / "status.json", {"pid": os.getpid()}
    control = directory / "control"

    def pause(where: str) -> None:
        write_whole(status, alive | {"kind": "paused", "log": [f"paused at {where}"]})
        while not control.exists():
            time.sleep(_POLL_S)
        word = json.loads(control.read_text(encoding="utf-8"))["word"]
        control.unlink()
        if word == "abort":
            raise _Aborted("the replay was ended where it was paused")
        write_whole(status, alive | {"kind": "running"})

    write_whole(status, alive | {"kind": "running"})
    try:
        told = _replay(json.loads((directory / "job.json").read_text(encoding="utf-8")), pause)
    except _Aborted:
        told = {"kind": "aborted"}
    except (ObserverError, OSError, MemoryError) as error:
        told = {"kind": "failed", "reason": f"{type(error).__name__}: {error}"}
    write_whole(status, told | {"end_ns": clock.wall_ns()})


def _replay(job: dict[str, Any], pause: Any) -> dict[str, Any]:
    path = Path(job["path"])
    report = engine_for(path)(path, environment_from_dict(job["environment"]), pause)
    kind = "aborted" if report.status == "aborted" else "completed"
    return {"kind": kind, "comparison": comparison_to_dict(report.comparison), "log": list(report.log)}


if __name__ == "__main__":
    run_job(Path(sys.argv[1]))
