# SPDX-License-Identifier: Apache-2.0
"""Records a command and everything it starts; thin over the native core, which does the work."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer import _native
from observer.errors import CommandNotExecutable, CommandNotFound, UnsupportedAbi, UsageError
from observer.evidence.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, load_hmac_key
from observer.ids import new_id
from observer.model.identity import IdentityContext
from observer.trace.calls import encode
from observer.trace.recorder import start_facts
from observer.trace.store import FILES, TraceStore, default_home

__all__ = [
    "Place",
    "RecordedCommand",
    "RecordingOptions",
    "caller",
    "carry",
    "find_executable",
    "record_command",
    "why_not",
]

_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"  # where a shell looks when PATH is not set


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """How to record a command.

    Attributes:
        path: Directory to make for the recording; None for a place in the store.
        force: Replace a recording that is already there.
        data_bytes: Bytes kept of each read and write buffer.
        string_bytes: Bytes kept of each path or string.
        only: Names of syscalls or classes (`file`, `network`, `process`, …) to record; empty for all.
        pin: `auto`, `always` or `never`: keep recorder and program on one CPU, which makes their hand-over faster.
        follow: Record children too.
        replayable: Keep everything that a replay needs (docs/spec/replay.md): the whole tree, every call.
        identity: On whose behalf; None for the calling user on this machine.
        container_id: The container the trace belongs to.
        plugin_id: The plugin the trace belongs to.
    """

    path: Path | None = None
    force: bool = False
    data_bytes: int = 32
    string_bytes: int = 4096
    only: tuple[str, ...] = ()
    pin: str = "auto"
    follow: bool = True
    replayable: bool = False
    identity: IdentityContext | None = None
    container_id: UUID | None = None
    plugin_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RecordedCommand:
    """A command that ran to its end under the recorder.

    Attributes:
        trace_id: Its trace.
        path: Its recording.
        exit_code: The command's exit status; None when a signal ended it.
        signal: Number of the signal that ended it, else None.
        calls: Syscall attempts and delivered signals recorded.
        seconds: How long it ran.
    """

    trace_id: UUID
    path: Path
    exit_code: int | None
    signal: int | None
    calls: int
    seconds: float


def caller() -> IdentityContext:
    """Return the calling user on this machine: tenant is the host's name, agent `cli`, unverified."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    identity = IdentityContext.new(os.uname().nodename, user)
    return identity.with_agent("cli").with_attributes({"uid": str(uid), "gid": str(os.getgid())})


def find_executable(command: str) -> str:
    """Return the absolute path that a shell would execute for a command name.

    Raises:
        CommandNotFound: Nothing has that name. [OBS302, exit 127]
        CommandNotExecutable: What has that name cannot be executed. [OBS303, exit 126]
    """
    if "/" in command:
        candidates = [command]
    else:
        directories = os.environ.get("PATH", _DEFAULT_PATH).split(os.pathsep)
        candidates = [str(Path(directory or ".") / command) for directory in directories] if command else []
    for candidate in candidates:
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113  it never raises
            return str(Path(candidate).absolute())
    for candidate in candidates:
        if reason := _refusal(candidate, named="/" in command):
            raise CommandNotExecutable(f"cannot execute {candidate}: {reason}", where={"path": candidate})
    kind = "no such file" if "/" in command else "command not found"
    raise CommandNotFound(f"{command}: {kind}", where={"command": command})


def _refusal(candidate: str, *, named: bool) -> str | None:
    try:
        mode = Path(candidate).stat().st_mode
    except PermissionError:
        return "permission denied" if named else None
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        return "is a directory" if named else None
    return "permission denied"


def record_command(argv: Sequence[str], options: RecordingOptions | None = None) -> RecordedCommand:
    """Run a command under the recorder and return when it and everything it started have ended.

    The command keeps this process's standard streams, environment and working directory; only the variables that hold
    the log key are withheld from it. Signals sent to this process are forwarded.

    Raises:
        CommandNotFound: [OBS302] The command does not exist; nothing was recorded.
        CommandNotExecutable: [OBS303] It cannot be executed; nothing was recorded.
        UsageError: [OBS100] There is something at the path already.
        TracePermission: [OBS201] This user may not trace.
        StorageFull: [OBS301] The disk filled up; what had been sealed is kept.
        KeyUnusable: [OBS101] The environment names a log key that cannot be used.
    """
    options = options or RecordingOptions()
    if options.replayable and (options.only or not options.follow):
        raise UsageError(
            "a replay needs every call of every process",
            hint="record --replayable without --only and --no-follow",
        )
    if not argv:
        raise UsageError("no command was given", hint="observer record -- COMMAND [ARGUMENT…]")
    executable, key, trace_id, store = find_executable(argv[0]), load_hmac_key(), new_id(), TraceStore()
    path = store.prepare(trace_id) if options.path is None else options.path.absolute()
    start = start_facts(
        trace_id,
        options.identity or caller(),
        source="ptrace",
        container_id=options.container_id,
        plugin_id=options.plugin_id,
        command=argv,
    )
    config = _config(path, start, (executable, argv), options)
    with Place(path, force=options.force):
        if options.path is not None:
            store.register(trace_id, path)
        try:
            record = _native.record_replayable if options.replayable else _native.record_command
            report = json.loads(record(config, key))
        except (CommandNotFound, CommandNotExecutable) as error:
            shutil.rmtree(path, ignore_errors=True)  # it holds the refused exec and nothing else
            error.hint = why_not(error)
            raise
        except UnsupportedAbi:
            shutil.rmtree(path, ignore_errors=True)  # likewise: the program was refused before its first call
            raise
        finally:
            if not path.exists():
                store.forget(trace_id)
    return RecordedCommand(
        trace_id, path, report.get("exit_code"), report.get("signal"), int(report["calls"]), report["seconds"]
    )


def why_not(error: CommandNotFound | CommandNotExecutable) -> str:
    """Return the hint for a command that `find_executable` found and the kernel refused."""
    # The file is there and executable: find_executable saw to that. So something about its content is wrong.
    if isinstance(error, CommandNotFound):
        return "the file exists, but not the interpreter that its first line or its ELF header names"
    if "format" in str(error).lower():
        return "it is neither a program for this processor nor a script with a '#!' line; record 'sh FILE' instead"
    return error.hint


def _config(
    path: Path, start: dict[str, Any], command: tuple[str, Sequence[str]], options: RecordingOptions
) -> bytes:
    secret = {KEY_VARIABLE, KEY_FILE_VARIABLE} & os.environ.keys()
    visible = [[carry(name), carry(value)] for name, value in os.environ.items() if name not in secret]
    return encode(
        {
            "path": carry(str(path)),
            "start": start,
            "executable": carry(command[0]),
            "argv": [carry(word) for word in command[1]],
            "env": visible if secret else None,
            "cwd": None,
            "data_bytes": options.data_bytes,
            "string_bytes": options.string_bytes,
            "pin": options.pin,
            "only": list(options.only),
            "follow": options.follow,
            "files": carry(str(default_home() / FILES)) if options.replayable else None,
        }
    )


def carry(text: str) -> str:
    """Return text that JSON can hold: bytes that are no UTF-8 travel as U+10FF80 … U+10FFFF to the native core."""
    if text.isascii():
        return text
    return "".join(chr(ord(char) + 0x102300) if "\udc80" <= char <= "\udcff" else char for char in text)


class Place:
    """Makes room for a recording, and puts back what was there when none came of it."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        self._aside: Path | None = None

    def __enter__(self) -> None:
        if not os.path.lexists(self._path):
            return
        where: dict[str, object] = {"path": str(self._path)}
        if not self._force:
            raise UsageError(
                f"{self._path} exists already", hint="choose another path or add --force", where=where
            )
        if self._path.is_symlink() or not (self._path / "sealed.log").is_file():
            raise UsageError(
                f"{self._path} is not a recording, so --force does not replace it",
                hint="choose another path",
                where=where,
            )
        self._aside = self._path.with_name(f".{self._path.name}.{new_id()}")
        self._path.rename(self._aside)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._aside is None:
            return
        if self._path.exists():
            shutil.rmtree(self._aside)
        else:
            self._aside.rename(self._path)
