# SPDX-License-Identifier: Apache-2.0
"""Another program, or the recorded one in another environment, fed with a recording's inputs as far as it asks for the same.

The recorded program is replayed beside it. Both are stopped at each call; where the calls differ, they part. The other program
is loaded by the kernel as usual and makes no call but those about its memory and signals: what it reads is the recording's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.errors import UsageError
from observer.forensic.gdb import backtrace_at, frames_of
from observer.trace.capture import carry, find_executable
from observer.trace.reading import Recording

__all__ = ["AgainstReport", "replay_against"]

_GDB_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstReport:
    """How far another program went together with a recorded one.

    Attributes:
        status: `completed`: to the end of the recorded program; `diverged`: they part; `stopped`: the recording goes on in a way
            that cannot be fed to another program.
        what: What differs, or what cannot be fed; None when nothing does.
        recorded: The recorded call where they part, as text.
        other: The other program's call there.
        event: Number of the event there.
        calls: Calls that both made.
        own_calls: Calls about memory that the other program made for itself.
        exit_code: The recorded program's exit status, when both came to it.
        backtrace: How the recorded program came there, as gdb tells it, innermost first.
        backtrace_other: The same of the other program.
    """

    status: str
    what: str | None
    recorded: str | None
    other: str | None
    event: int
    calls: int
    own_calls: int
    exit_code: int | None
    backtrace: tuple[str, ...]
    backtrace_other: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: getattr(self, name) for name in type(self).__slots__}


def replay_against(
    path: Path,
    command: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    output: bool = True,
    backtraces: bool = True,
) -> AgainstReport:
    """Feed another program with what a recorded one was given, up to the first call in which they differ.

    Args:
        path: A recording made by `observer record --replayable`.
        command: The other program; the recorded command when empty.
        environment: Variables that are other than recorded.
        output: Write what the other program writes to this process's standard output and error.
        backtraces: Where they part, let gdb tell how both came there.

    Raises:
        CapabilityError: The recording holds nothing to replay. [OBS200]
        CommandNotFound: The other program does not exist. [OBS302]
    """
    recorded = Recording(path).start.command or ()
    argv = tuple(command) or recorded
    if not argv:
        raise UsageError("which program?", hint="observer replay REC --against PROGRAM [ARGUMENT…]")
    config: dict[str, Any] = {
        "path": carry(str(path)),
        "start": {},
        "executable": carry(find_executable(argv[0])),
        "argv": [carry(word) for word in argv],
        "env": [[carry(name), carry(value)] for name, value in _environment(path, environment or {}).items()],
        "cwd": None,
    }
    told = json.loads(_native.replay_against(path, json.dumps(config).encode(), output))
    pid = told.pop("pid")
    try:
        other = _attached(pid) if pid is not None and backtraces else ()
    finally:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    parted = told["status"] == "diverged" and backtraces
    names = set(AgainstReport.__slots__) - {"backtrace", "backtrace_other"}
    return AgainstReport(
        **{name: told[name] for name in names},
        backtrace=backtrace_at(path, told["event"]) if parted else (),
        backtrace_other=other,
    )


def _environment(path: Path, changes: Mapping[str, str]) -> dict[str, str]:
    for line in Recording(path).lines():
        if line.event.get("type") == "replay_start":
            pairs = (str(pair).partition("=") for pair in line.event.get("environment", ()))
            return {name: value for name, _, value in pairs} | dict(changes)
    return dict(changes)


def _attached(pid: int) -> tuple[str, ...]:
    """Return the frames of a stopped process; nothing where gdb is missing or may not attach."""
    if shutil.which("gdb") is None:
        return ()
    argv = ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-p", str(pid), "-ex", "backtrace"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_GDB_S, check=False
        )
    except subprocess.TimeoutExpired:
        return ()
    return frames_of(done.stdout)
