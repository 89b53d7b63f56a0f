# SPDX-License-Identifier: Apache-2.0
"""Where recordings live, how they are named, and how a few letters of a name find one.

    $OBSERVER_HOME/traces/<trace id>/         a recording
    $OBSERVER_HOME/files/                     programs and libraries that recordings for replay share, docs/spec/replay.md
    $OBSERVER_HOME/traces/<trace id>.path     one line of JSON: a recording that was written elsewhere

`$OBSERVER_HOME` defaults to `$XDG_DATA_HOME/observer`, or `~/.local/share/observer`. Directories are 0700, files 0600.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from observer.errors import FormatError, NotFoundError, ObserverError, UsageError
from observer.trace.reading import Recording

__all__ = ["FILES", "StoredTrace", "TraceStore", "default_home"]

FILES: Final = "files"  # in the home: what many recordings for replay hold, stored once
_POINTER: Final = ".path"
_SHORTEST_PREFIX: Final = 4  # hexadecimal digits; fewer would find something by accident


def default_home() -> Path:
    """Return the directory that `OBSERVER_HOME` or the XDG base directories name."""
    if home := os.environ.get("OBSERVER_HOME"):
        return Path(home)
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification: a relative path is invalid and is to be ignored.
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "observer"


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """One recording that the store knows.

    Attributes:
        trace_id: Its id, from its name in the store.
        path: Its directory.
    """

    trace_id: UUID
    path: Path


class TraceStore:
    """The recordings of one user."""

    def __init__(self, home: Path | None = None) -> None:
        """Use this home; nothing is created before something is stored."""
        self._traces = (home if home is not None else default_home()) / "traces"

    @property
    def directory(self) -> Path:
        """The directory that holds the recordings."""
        return self._traces

    def prepare(self, trace_id: UUID) -> Path:
        """Return where a new recording of that id goes, its parent directory made."""
        self._make()
        return self._traces / str(trace_id)

    def register(self, trace_id: UUID, path: Path) -> None:
        """Remember a recording that lives elsewhere; the entry appears whole or not at all."""
        self._make()
        line = json.dumps({"path": str(path.absolute())}) + "\n"
        fresh = self._traces / f".{trace_id}{_POINTER}"
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(line)
        fresh.replace(self._traces / f"{trace_id}{_POINTER}")

    def forget(self, trace_id: UUID) -> None:
        """Drop the entry of a recording that lives elsewhere; recordings in the store are never removed."""
        (self._traces / f"{trace_id}{_POINTER}").unlink(missing_ok=True)

    def entries(self) -> Iterator[StoredTrace]:
        """Yield every recording that the store knows and that is still there, in order of id."""
        try:
            names = sorted(entry.name for entry in self._traces.iterdir())
        except FileNotFoundError:
            return
        for name in names:
            trace_id = _as_uuid(name.removesuffix(_POINTER))
            if trace_id is None:
                continue
            path = self._traces / name
            target = self._target(path) if name.endswith(_POINTER) else path
            if target is not None and target.is_dir():
                yield StoredTrace(trace_id, target)

    def get(self, trace_id: UUID) -> Path:
        """Return the directory of a recording.

        Raises:
            NotFoundError: The store does not know it.
        """
        path = self._traces / str(trace_id)
        if path.is_dir():
            return path
        pointed = self._target(path.with_name(f"{trace_id}{_POINTER}"))
        if pointed is not None and pointed.is_dir():
            return pointed
        raise NotFoundError(f"no trace {trace_id}", where={"trace_id": str(trace_id)})

    def find(self, name: str) -> Path:
        """Return the recording that a path, `last`, or the first letters of an id name.

        Raises:
            NotFoundError: Nothing has that name.
            UsageError: More than one recording begins so.
        """
        if name == "last":
            return self._last()
        path = Path(name)
        if "/" in name or (name and path.is_dir()):
            if not path.exists():
                raise NotFoundError(f"no recording at {name}", where={"path": name})
            return path
        letters = name.lower().replace("-", "")
        found = [entry for entry in self.entries() if entry.trace_id.hex.startswith(letters)]
        if len(letters) < _SHORTEST_PREFIX or not found:
            raise NotFoundError(f"no recording is called {name!r}", where={"name": name})
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} recordings begin with {name!r}",
                hint=f"give more letters: {', '.join(str(entry.trace_id) for entry in found[:4])}",
            )
        return found[0].path

    def _last(self) -> Path:
        newest: tuple[int, Path] | None = None
        for entry in self.entries():
            with contextlib.suppress(ObserverError, OSError):
                at = Recording(entry.path).start.wall_ns
                if newest is None or at > newest[0]:
                    newest = (at, entry.path)
        if newest is None:
            raise NotFoundError(
                "nothing has been recorded yet", hint="record with 'observer record -- COMMAND'"
            )
        return newest[1]

    def _make(self) -> None:
        self._traces.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._traces.mkdir(mode=0o700, exist_ok=True)

    @staticmethod
    def _target(pointer: Path) -> Path | None:
        try:
            value = json.loads(pointer.read_text(encoding="utf-8", errors="surrogateescape"))["path"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"damaged entry {pointer}", hint="remove that file", where={"path": str(pointer)}
            ) from error
        return Path(value) if isinstance(value, str) else None


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
