# SPDX-License-Identifier: Apache-2.0
"""Which snapshots stay. A pruned one whose pages newer ones refer to is retired: kept for them, and not listed any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from observer.clock import wall_ns
from observer.errors import ObserverError
from observer.snapshot.file import SnapshotFile
from observer.snapshot.store import RETIRED, SUFFIX, SnapshotStore

__all__ = ["Retention", "prune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept; a snapshot stays only while every limit that is set allows it. The newest always stays.

    Attributes:
        count: The newest so many.
        span_ns: What is younger, ns.
        bytes: The newest up to this size together.
    """

    count: int | None = None
    span_ns: int | None = None
    bytes: int | None = None


def prune(store: SnapshotStore, retention: Retention, target: str | None = None) -> Iterator[UUID]:
    """Remove what is beyond the retention and yield the ids, newest first.

    Args:
        store: The store.
        retention: What is kept.
        target: Only snapshots of the target with this name; None for all.

    Raises:
        CaptureError: A file cannot be removed, or the sealed log stays busy. [OBS300]
    """
    total = 0
    listed = [entry for entry in store.entries() if target is None or _name(entry[1], store) == target]
    for position, (snapshot_id, path) in enumerate(reversed(listed)):
        facts = path.stat()
        total += facts.st_size
        beyond = retention.count is not None and position >= retention.count
        beyond |= retention.span_ns is not None and wall_ns() - facts.st_mtime_ns > retention.span_ns
        beyond |= retention.bytes is not None and total > retention.bytes
        if beyond and position > 0:
            store.seal({"type": "snapshot_pruned", "snapshot_id": str(snapshot_id), "file": path.name})
            path.rename(path.with_suffix(RETIRED))
            yield snapshot_id
    _sweep(store)


def _name(path: Path, store: SnapshotStore) -> str | None:
    with contextlib.suppress(ObserverError, OSError):
        return str(SnapshotFile(path, store.keys()).manifest["target"].get("name"))
    return None


def _sweep(store: SnapshotStore) -> None:
    """Remove retired files that no snapshot refers to; when one cannot be read, all stay."""
    retired = list(store.directory.glob(f"*{RETIRED}"))
    if not retired:
        return
    needed: set[str] = set()
    for path in store.directory.glob(f"*{SUFFIX}"):
        try:
            needed |= {item["file_id"] for item in SnapshotFile(path, store.keys()).manifest["files"]}
        except ObserverError:
            return
    for path in retired:
        if path.stem not in needed:
            path.unlink()
