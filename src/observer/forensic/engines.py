# SPDX-License-Identifier: Apache-2.0
"""Which engine replays which recording: the seam behind which engines are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from observer import _native
from observer.errors import CapabilityError
from observer.model.comparison import ReplayComparison
from observer.model.forensic import ReplayEnvironment
from observer.trace.reading import Recording

__all__ = ["EngineReport", "Watcher", "engine_for", "is_replayable"]


class EngineReport(Protocol):
    """What every engine reports at the end."""

    @property
    def status(self) -> str:
        """`completed`, `diverged`, `stopped` or `aborted`."""
        ...

    @property
    def comparison(self) -> ReplayComparison:
        """How it compares."""
        ...

    @property
    def log(self) -> tuple[str, ...]:
        """What breakpoints saw."""
        ...


class Watcher(Protocol):
    """Who watches a replay: told of pauses, asked now and then whether to go on."""

    def pause(self, where: str, inspection: Mapping[str, Any] | None = None) -> None:
        """Wait where a breakpoint pauses; raises to end the replay."""
        ...

    def look(self) -> None:
        """Called now and then while it runs; waits, or raises to end the replay."""
        ...


Engine = Callable[[Path, ReplayEnvironment, Watcher], EngineReport]


def _replay_plugin(path: Path, environment: ReplayEnvironment, watcher: Watcher) -> EngineReport:
    from observer.plugins.replay import PluginReplay  # the extra is loaded only for what needs it

    return PluginReplay.open(path, environment, pause=watcher.pause).run()


def _replay_command(path: Path, environment: ReplayEnvironment, watcher: Watcher) -> EngineReport:
    from observer.forensic.debugging import DebuggedReplay

    return DebuggedReplay(path, environment, watcher=watcher).run()


_ENGINES: dict[str, Engine] = {"wasi": _replay_plugin, "ptrace": _replay_command}


def is_replayable(path: Path) -> bool:
    """Return whether a command's recording holds the events of a replay."""
    try:
        return bool(_native.ReplayEvents(path).read(1))
    except CapabilityError:
        return False


def engine_for(path: Path) -> Engine:
    """Return what replays this recording.

    Raises:
        CapabilityError: It was not made with a replayable engine. [OBS200]
        FormatError: It is not a recording. [OBS500]
    """
    source = Recording(path).start.source
    if source not in _ENGINES or (source == "ptrace" and not is_replayable(path)):
        raise CapabilityError(
            f"{path} was recorded by {source!r} without what a replay needs",
            hint="record with 'observer record --replayable', or 'observer plugin run' for plugins",
            where={"path": str(path)},
        )
    return _ENGINES[source]
