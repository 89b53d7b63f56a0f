# SPDX-License-Identifier: Apache-2.0
"""Where snapshots are kept, how they are named, and the sealed log that tells of each.

$OBSERVER_HOME/snapshots/<snapshot id>.osnap     a snapshot
$OBSERVER_HOME/snapshots/<snapshot id>.retired   one that was pruned, kept while others refer to its pages
$OBSERVER_HOME/snapshots/sealed.log              one line for each that was made, imported or pruned
$OBSERVER_HOME/snapshots/signing.seed            signs manifests (0600)
$OBSERVER_HOME/snapshots/identity.age            opens what was encrypted to nobody else (0600)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer.errors import CaptureError, NotFoundError, UsageError
from observer.evidence.keys import load_hmac_key, read_seed
from observer.evidence.reading import read_log
from observer.evidence.writing import SealedLog
from observer.snapshot.keys import KeySource
from observer.trace.store import default_home

__all__ = ["SUFFIX", "SnapshotStore"]

SUFFIX: Final = ".osnap"
RETIRED: Final = ".retired"
_SHORTEST_PREFIX: Final = 4  # hexadecimal digits; fewer would find something by accident
_LOG_BUSY_TRIES: Final = 100  # a line is written in microseconds; another writer holds the log no longer
_LOG_BUSY_S: Final = 0.05


class SnapshotStore:
    """The snapshots of one user."""

    def __init__(self, home: Path | None = None) -> None:
        """Use this home; nothing is created before something is stored."""
        self._folder = (home if home is not None else default_home()) / "snapshots"

    @property
    def directory(self) -> Path:
        """The directory that holds the snapshots."""
        return self._folder

    @property
    def log(self) -> Path:
        """The sealed log."""
        return self._folder / "sealed.log"

    def prepare(self, snapshot_id: UUID) -> Path:
        """Return where a new snapshot of that id goes, its directory made."""
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._folder / f"{snapshot_id}{SUFFIX}"

    def keys(self) -> KeySource:
        """Return the keys that the environment names, with the store's own behind them."""
        return KeySource.from_environment(self._folder / "identity.age")

    def signing_seed(self) -> bytes:
        """Return the 32 bytes that sign manifests; made at the first use."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return read_seed(self._folder / "signing.seed", make=True)

    def entries(self) -> Iterator[tuple[UUID, Path]]:
        """Yield id and path of every snapshot, oldest first by the time of its file."""
        try:
            files = [path for path in self._folder.iterdir() if path.suffix == SUFFIX]
        except FileNotFoundError:
            return
        for path in sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name)):
            try:
                yield UUID(path.stem), path
            except ValueError:
                continue

    def get(self, snapshot_id: UUID) -> Path:
        """Return the file of a snapshot.

        Raises:
            NotFoundError: The store does not have it. [OBS700]
        """
        path = self._folder / f"{snapshot_id}{SUFFIX}"
        if not path.is_file():
            raise NotFoundError(
                f"no snapshot {snapshot_id}",
                hint="see 'observer snapshot list'",
                where={"snapshot_id": str(snapshot_id)},
            )
        return path

    def find(self, name: str) -> Path:
        """Return the snapshot that a path, `last`, or the first letters of an id name.

        Raises:
            NotFoundError: Nothing has that name. [OBS700]
            UsageError: More than one begins so. [OBS100]
        """
        known = list(self.entries())
        if name == "last":
            if not known:
                raise NotFoundError(
                    "no snapshot has been taken yet",
                    hint="take one with 'observer snapshot create --pid PID'",
                )
            return known[-1][1]
        path = Path(name)
        if "/" in name or path.suffix == SUFFIX or (name and path.is_file()):
            if not path.exists():
                raise NotFoundError(f"no snapshot at {name}", hint="check the path", where={"path": name})
            return path
        letters = name.lower().replace("-", "")
        found = [file for snapshot_id, file in known if snapshot_id.hex.startswith(letters)]
        if len(letters) < _SHORTEST_PREFIX or not found:
            raise NotFoundError(f"no snapshot is called {name!r}", hint="see 'observer snapshot list'")
        if len(found) > 1:
            names = ", ".join(file.stem for file in found[:4])
            raise UsageError(
                f"{len(found)} snapshots begin with {name!r}", hint=f"give more letters: {names}"
            )
        return found[0]

    def seal(self, event: Mapping[str, Any]) -> int:
        """Seal a line about a snapshot and return its sequence.

        Raises:
            CaptureError: Another process keeps the log open. [OBS300]
            IntegrityError: The log does not hold; nothing is written to it. [OBS4xx]
        """
        line = json.dumps(dict(event), ensure_ascii=True, separators=(",", ":")).encode()
        for attempt in range(_LOG_BUSY_TRIES):
            try:
                with self._open_log() as log:
                    sequence = log.append(line)
                    log.sync()
                    return sequence
            except CaptureError:
                if attempt == _LOG_BUSY_TRIES - 1:
                    raise
            time.sleep(_LOG_BUSY_S)
        raise CaptureError("the store's sealed log stays busy", where={"path": str(self.log)})

    def _open_log(self) -> SealedLog:
        key, seed = load_hmac_key(), self.signing_seed()
        if self.log.exists():
            return SealedLog.open(self.log, key=key, signing_seed=seed)
        return SealedLog.create(self.log, key=key, signing_seed=seed)

    def sealed(self, snapshot_id: UUID) -> list[dict[str, Any]]:
        """Return the log's events about a snapshot, in order; empty where there is no log."""
        if not self.log.exists():
            return []
        wanted = str(snapshot_id)
        events = (json.loads(line.event) for line in read_log(self.log) if line.kind is None)
        return [event for event in events if event.get("snapshot_id") == wanted]
