# SPDX-License-Identifier: Apache-2.0
"""Records a command with the probe instead of ptrace: from its first instruction, without stopping it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Final, Self

from observer.errors import CommandNotExecutable, CommandNotFound, UsageError
from observer.evidence.keys import KEY_FILE_VARIABLE, KEY_VARIABLE
from observer.trace.capture import RecordedCommand, RecordingOptions, find_executable, why_not
from observer.trace.live.containers import list_containers
from observer.trace.live.session import Watch, WatchOptions

__all__ = ["record_with_probe"]

_LOOK_S: Final = 0.1  # how often new containers are looked for
_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def record_with_probe(
    argv: Sequence[str], options: RecordingOptions | None = None, *, containers: bool = False
) -> RecordedCommand:
    """Run a command under the probe and return when it and everything it started have ended.

    Args:
        argv: The command.
        options: How; `pin` means nothing here, and children are always followed.
        containers: Look for containers that the command starts, and seal what is known of each.

    Raises:
        CapabilityError: This user or kernel cannot; the hint says what is missing. [OBS200]
        CommandNotFound: The command does not exist; nothing was recorded. [OBS302]
        UsageError: No command, or something at the path already. [OBS100]
    """
    options = options or RecordingOptions()
    if not argv:
        raise UsageError("no command was given", hint="observer record -- COMMAND [ARGUMENT…]")
    env = [(k, v) for k, v in os.environ.items() if k not in (KEY_VARIABLE, KEY_FILE_VARIABLE)]
    wanted = WatchOptions(
        path=options.path,
        force=options.force,
        command=(find_executable(argv[0]), tuple(argv)),
        env=env,
        only=options.only,
        data_bytes=min(options.data_bytes, 4096),
        string_bytes=min(options.string_bytes, 4096),
        identity=options.identity,
        container_id=options.container_id,
        plugin_id=options.plugin_id,
    )
    before = {c.pid for c in list_containers()} if containers else set()
    # Before the command runs: from its first instruction on, a key pressed is the command's.
    with _Signals() as signals:
        watch = Watch(wanted)
        signals.go_to(watch)
        while not watch.wait(_LOOK_S):
            if containers:
                _note_new(watch, before)
        try:
            report = watch.stop()
        except (CommandNotFound, CommandNotExecutable) as error:
            error.hint = why_not(error)
            raise
    return RecordedCommand(
        watch.trace_id, watch.path, report.exit_code, report.signal, report.calls, report.seconds
    )


def _note_new(watch: Watch, known: set[int]) -> None:
    for found in list_containers():
        if found.pid not in known:
            known.add(found.pid)
            watch.note(
                {"type": "container", **found.to_dict(), "trace_container_id": str(found.trace_container_id)}
            )


class _Signals:
    """While the command runs, what is sent to this process goes to it; the terminal's keys reach it by themselves."""

    def __init__(self) -> None:
        self._watch: Watch | None = None
        self._early: list[int] = []
        self._before: dict[signal.Signals, object] = {}

    def go_to(self, watch: Watch) -> None:
        """From now on pass on what comes, and what has come already."""
        self._watch = watch
        while self._early:
            self._pass_on(self._early.pop(0), None)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if self._watch is None:
            self._early.append(number)
            return
        root = self._watch.status()[0].root
        if root:
            os.kill(root, number)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGQUIT):
            self._before[number] = signal.signal(number, lambda *_: None)
        for number in _FORWARDED:
            self._before[number] = signal.signal(number, self._pass_on)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
