# SPDX-License-Identifier: Apache-2.0
"""Which engine replays which recording: the seam behind which engines are added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from observer.errors import CapabilityError
from observer.model.comparison import ReplayComparison
from observer.model.forensic import ReplayEnvironment
from observer.trace.reading import Recording

__all__ = ["EngineReport", "engine_for"]


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


Engine = Callable[[Path, ReplayEnvironment, Callable[[str], None]], EngineReport]


def _replay_plugin(path: Path, environment: ReplayEnvironment, pause: Callable[[str], None]) -> EngineReport:
    from observer.plugins.replay import PluginReplay  # the extra is loaded only for what needs it

    return PluginReplay.open(path, environment, pause=pause).run()


_ENGINES: dict[str, Engine] = {"wasi": _replay_plugin}


def engine_for(path: Path) -> Engine:
    """Return what replays this recording.

    Raises:
        CapabilityError: It was not made with a replayable engine. [OBS200]
        FormatError: It is not a recording. [OBS500]
    """
    source = Recording(path).start.source
    if source not in _ENGINES:
        raise CapabilityError(
            f"{path} was recorded by {source!r}, which keeps no inputs to replay from",
            hint="replay needs a recording made with the replayable engine: 'observer plugin run' for plugins",
            where={"path": str(path)},
        )
    return _ENGINES[source]
