# SPDX-License-Identifier: Apache-2.0
"""A replay served to gdb, and backtraces that gdb makes of one.

The native core speaks gdb's remote protocol on the loopback interface or at a path. Program and libraries are served from the
recording, under the names that the program used: the originals need not exist. What gdb changes makes the replay a what-if run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from observer import _native
from observer.errors import NotFoundError, ObserverError
from observer.forensic.events import aliases_of, replay_calls
from observer.forensic.limits import stored_files
from observer.model.condition import Condition
from observer.model.forensic import Breakpoint

__all__ = ["GdbServer", "backtrace_at", "event_of", "frames_of"]

_PATIENCE_S: Final = 3600.0
_FRAME: Final = re.compile(r"^#\d+\s+(.*)$", re.M)
_GDB_S: Final = 30


class GdbServer:
    """A replay that waits for one gdb.

    Attributes:
        address: What gdb is to be told after `target remote`.
    """

    def __init__(self, path: Path, place: str = "0", *, output: bool = False) -> None:
        """Open the recording and listen.

        Args:
            path: A recording made by `observer record --replayable`.
            place: A port of the loopback interface, 0 for a free one, or the path of a socket to make.
            output: Write what the program writes to this process's own standard output and error.

        Raises:
            CapabilityError: The recording holds nothing to replay. [OBS200]
            CaptureError: Nobody can listen there. [OBS300]
        """
        options = {"output": output, "files": stored_files(), "checkpoints": True}
        self._session: Any = _native.ReplaySession(path, json.dumps(options).encode())
        self._socket = None if place.isdecimal() else Path(place)
        self.address: str = self._session.listen_gdb(place)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the socket it made."""
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    def serve(self, event: int = 0, *, patience_s: float = _PATIENCE_S) -> bool:
        """Wait for gdb and serve it until it leaves.

        Args:
            event: Replay so many events before gdb sees the program; at least its first instruction is reached.
            patience_s: How long to wait for gdb.

        Returns:
            Whether one came.
        """
        return bool(self._session.serve_gdb(patience_s, event))


def event_of(
    path: Path, places: Sequence[Breakpoint], to_event: int | None = None, to_ns: int | None = None
) -> int:
    """Return the number of the event before which a debugger is to see the program.

    Args:
        path: The recording.
        places: The first call that meets one of these.
        to_event: This one.
        to_ns: The first call at or after this time, ns after the recording's first event.

    Raises:
        NotFoundError: No call meets any of the places. [OBS700]
    """
    if to_event is not None:
        return to_event
    if not places and to_ns is None:
        return 0
    armed = [
        (p, aliases_of(p.syscall), Condition.parse(p.condition) if p.condition else None) for p in places
    ]
    for call in replay_calls(path):
        if to_ns is not None and call.call["start_ns"] - call.start_ns >= to_ns:
            return call.event
        for place, names, condition in armed:
            met = place.syscall == "*" or call.call["syscall"] in names
            if met and (condition is None or condition.holds(call.facts(), call.arguments(place.syscall))):
                return call.event
    raise NotFoundError(
        "no call of the recording is at that place", hint="'observer show REC --calls' lists them"
    )


def backtrace_at(path: Path, event: int) -> tuple[str, ...]:
    """Return the frames of the thread that an event is of, innermost first, as gdb tells them.

    Empty when gdb is not installed or the place cannot be reached.
    """
    if shutil.which("gdb") is None:
        return ()
    with tempfile.TemporaryDirectory(prefix="observer-gdb-") as made:
        try:
            with GdbServer(path, str(Path(made) / "gdb")) as server:
                serving = threading.Thread(target=_serve_quietly, args=(server, event), daemon=True)
                serving.start()
                text = run_gdb(server.address, ["backtrace"])
                serving.join(_GDB_S)
        except (ObserverError, subprocess.TimeoutExpired):
            return ()
    return frames_of(text)


def frames_of(text: str) -> tuple[str, ...]:
    """Return the frames in what gdb printed, innermost first."""
    return tuple(_FRAME.findall(text))


def _serve_quietly(server: GdbServer, event: int) -> None:
    try:
        server.serve(event, patience_s=_GDB_S)
    except ObserverError:
        return  # the place could not be reached: there is no backtrace to tell


def run_gdb(address: str, commands: Sequence[str]) -> str:
    """Attach a gdb in batch mode to a served replay and return what it prints."""
    argv = ["gdb", "-nx", "-batch", "-ex", "set pagination off", "-ex", "set debuginfod enabled off"]
    argv += ["-ex", "set sysroot target:", "-ex", f"target remote {address}"]
    for command in commands:
        argv += ["-ex", command]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=_GDB_S, check=False)
    return done.stdout
