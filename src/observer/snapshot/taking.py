# SPDX-License-Identifier: Apache-2.0
"""Takes snapshots: asks the native core, signs, and seals a line for each."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer import _native
from observer.errors import ObserverError
from observer.ids import new_id
from observer.snapshot.file import SnapshotFile
from observer.snapshot.keys import unwrap_file_key, wrap_file_key
from observer.snapshot.options import SnapshotOptions
from observer.snapshot.store import SnapshotStore
from observer.snapshot.targets import Target

__all__ = ["Snapshotter", "Taken"]

_CHAIN_MAX: Final = 8  # files that one snapshot may refer to; the next one is written whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A snapshot that was taken.

    Attributes:
        snapshot_id: The snapshot.
        path: Its file.
        manifest_digest: Digest that commits to all of it, hexadecimal.
        bytes: Length of the file.
        processes: How many it has.
        regions: How many it has.
        method: How it was captured: `tracking`, `pauses_ns`, `labels`, …
        totals: Counts of bytes: `stored_bytes`, `zero_bytes`, `duplicate_bytes`, …
    """

    snapshot_id: UUID
    path: Path
    manifest_digest: str
    bytes: int
    processes: int
    regions: int
    method: Mapping[str, Any]
    totals: Mapping[str, Any]

    @property
    def longest_pause_ns(self) -> int:
        """The longest time that the target stood, ns."""
        return max(self.method["pauses_ns"], default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "snapshot_id": str(self.snapshot_id),
            "path": str(self.path),
            "manifest_digest": self.manifest_digest,
            "bytes": self.bytes,
            "processes": self.processes,
            "regions": self.regions,
            "longest_pause_ns": self.longest_pause_ns,
            "method": dict(self.method),
            "totals": dict(self.totals),
        }


class Snapshotter:
    """Takes snapshots of one target; from the second on, only what was written since the last one is copied."""

    def __init__(self, target: Target, store: SnapshotStore | None = None) -> None:
        """Prepare; nothing is touched before `take`."""
        self.target = target
        self.store = store if store is not None else SnapshotStore()
        self._session = _native.SnapshotSession()
        self._begun = False

    def take(self, options: SnapshotOptions | None = None) -> Taken:
        """Take one.

        Raises:
            NotFoundError: The processes have ended. [OBS700]
            TracePermission: The kernel refuses, or another tracer is attached. [OBS201]
            StorageFull: No space; nothing is left behind. [OBS301]
            KeyUnusable: It is to be encrypted and there is no key. [OBS101]
        """
        options = options if options is not None else SnapshotOptions()
        snapshot_id = new_id()
        path = options.path if options.path is not None else self.store.prepare(snapshot_id)
        key, block = wrap_file_key(self.store.keys()) if options.encrypted else (None, b"")
        known, known_key = (None, None) if options.alone or self._begun else self._earlier(options)
        request = self._request(snapshot_id, options, path, known)
        answer = self._session.capture(
            json.dumps(request).encode(),
            key_block=block,
            key=key,
            seed=self.store.signing_seed(),
            known_key=known_key,
        )
        self._begun = True
        report = json.loads(answer)
        taken = Taken(
            snapshot_id=snapshot_id,
            path=path,
            manifest_digest=report["manifest_digest"],
            bytes=report["bytes"],
            processes=report["processes"],
            regions=report["regions"],
            method=report["method"],
            totals=report["totals"],
        )
        self.store.seal(
            {
                "type": "snapshot_created",
                "snapshot_id": str(snapshot_id),
                "manifest_digest": taken.manifest_digest,
                "signer": report["signer"],
                "file": path.name,
                "bytes": taken.bytes,
                "target": self.target.facts,
            }
        )
        return taken

    def restart(self) -> None:
        """Forget what was copied: the next snapshot is whole and refers to no other."""
        self._session.reset()
        self._begun = False

    def _request(
        self, snapshot_id: UUID, options: SnapshotOptions, path: Path, known: Path | None
    ) -> dict[str, Any]:
        target = self.target
        return {
            "pids": list(target.pids),
            "descendants": target.descendants,
            "cgroup": None if target.cgroup is None else str(target.cgroup),
            "never": [os.getpid()],
            "bodies": list(target.bodies),
            "hidden": list(target.hidden),
            "instant": target.instant,
            "snapshot_id": str(snapshot_id),
            "container_id": None if target.container_id is None else str(target.container_id),
            "target": target.facts | {"name": target.name},
            "metadata": dict(options.metadata),
            "selection": options.selection.to_dict(),
            "tracking": options.tracking,
            "layer": options.layer,
            "workers": options.workers,
            "path": str(path),
            "compressed": options.compressed,
            "encrypted": options.encrypted,
            "known": None if known is None else str(known),
        }

    def _earlier(self, options: SnapshotOptions) -> tuple[Path | None, bytes | None]:
        """Return the newest snapshot of the same target whose pages may be referred to, and its key."""
        if options.path is not None:
            return None, None
        for _, path in reversed(list(self.store.entries())):
            with contextlib.suppress(ObserverError, OSError):  # one that cannot be read is not referred to
                file = SnapshotFile(path, self.store.keys())
                same = file.manifest["target"].get("name") == self.target.name
                if same and file.encrypted == options.encrypted:
                    if len(file.manifest["files"]) >= _CHAIN_MAX:
                        return None, None
                    return path, self._key_of(path) if file.encrypted else None
        return None, None

    def _key_of(self, path: Path) -> bytes:
        block = _native.snapshot_start(str(path))[3]
        return unwrap_file_key(block, self.store.keys(), path)
