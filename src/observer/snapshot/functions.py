# SPDX-License-Identifier: Apache-2.0
"""The functions of the public API, over the user's own store."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from observer.errors import UsageError
from observer.model.snapshot import SnapshotContext, SnapshotFormat
from observer.snapshot.analysis import Analysis
from observer.snapshot.exchange import export_file, import_file
from observer.snapshot.file import SnapshotFile
from observer.snapshot.moment import recording_target
from observer.snapshot.options import SnapshotOptions
from observer.snapshot.store import SnapshotStore
from observer.snapshot.taking import Snapshotter
from observer.snapshot.targets import container_target, process_target
from observer.trace.store import TraceStore

__all__ = [
    "create_snapshot",
    "export_snapshot",
    "get_snapshot",
    "import_snapshot",
    "open_snapshot",
    "restore_for_analysis",
]


def create_snapshot(
    container_id: UUID | str | None = None,
    plugin_id: UUID | None = None,
    format: SnapshotFormat = SnapshotFormat.COMPRESSED,  # noqa: A002  the original design's name
    *,
    pid: int | None = None,
    recording: str | os.PathLike[str] | None = None,
    at: int | timedelta | datetime | None = None,
    descendants: bool = True,
    options: SnapshotOptions | None = None,
) -> UUID:
    """Take a snapshot of a container, a plugin or a process, keep it in the store, and return its id.

    Args:
        container_id: A running container: its name, id, or the UUID by which traces name it.
        plugin_id: A recorded plugin; its state at the end of its last recording.
        format: How the content is kept.
        pid: A process, when neither is given.
        recording: Or a command recorded for replay: path, first letters of its id, or `last`.
        at: Its moment: after so many events, so long after its start, or a time of day.
        descendants: Also all that descend from the process.
        options: What is kept and how; its format is overruled by `format`.

    Raises:
        UsageError: Not exactly one of container, plugin, process and recording is given. [OBS100]
        DesyncError: The replay leaves the recording before that moment. [OBS601]
        NotFoundError: There is none. [OBS700]
        TracePermission: It may not be traced. [OBS201]
        StorageFull: No space; nothing is left behind. [OBS301]
    """
    if sum(what is not None for what in (container_id, plugin_id, pid, recording)) != 1:
        raise UsageError("give one of container_id, plugin_id, pid and recording")
    if (recording is None) != (at is None):
        raise UsageError("a recording needs a moment, and only a recording has one", hint="recording=…, at=…")
    chosen = replace(options if options is not None else SnapshotOptions(), format=format)
    if plugin_id is not None:
        from observer.snapshot.plugin import snapshot_plugin  # wasmtime is loaded only where a plugin runs

        return snapshot_plugin(plugin_id, chosen)
    if recording is not None and at is not None:
        return (
            Snapshotter(recording_target(TraceStore().find(os.fspath(recording)), at))
            .take(chosen)
            .snapshot_id
        )
    target = (
        process_target(pid or 0, descendants=descendants)
        if container_id is None
        else container_target(container_id)
    )
    return Snapshotter(target).take(chosen).snapshot_id


def open_snapshot(snapshot: UUID | str | os.PathLike[str]) -> SnapshotFile:
    """Open a snapshot by id, by the first letters of it, or by path; errors as of `SnapshotFile`."""
    store = SnapshotStore()
    path = store.get(snapshot) if isinstance(snapshot, UUID) else store.find(os.fspath(snapshot))
    return SnapshotFile(path, store.keys())


def get_snapshot(snapshot_id: UUID | str) -> SnapshotContext:
    """Return what a snapshot says; the bytes of a region are read when its `content` is asked for.

    Raises:
        NotFoundError: The store does not have it. [OBS700]
        IntegrityError: It does not hold. [OBS4xx]
    """
    return open_snapshot(snapshot_id).context()


def export_snapshot(
    snapshot_id: UUID | str,
    path: str | os.PathLike[str],
    format: SnapshotFormat = SnapshotFormat.COMPRESSED_AND_ENCRYPTED,  # noqa: A002  the original design's name
) -> Path:
    """Write a snapshot, whole in one file, for somebody else; returns the file's path.

    Args:
        snapshot_id: The snapshot.
        path: File to write, or a directory to write `<id>.osnap` into.
        format: How the content is kept there.

    Raises:
        CaptureError: The file exists or cannot be written. [OBS300]
        ChunkMismatch: A page does not hold; nothing is left behind. [OBS404]
    """
    return export_file(open_snapshot(snapshot_id), Path(path), format, SnapshotStore())


def import_snapshot(path: str | os.PathLike[str]) -> UUID:
    """Check a snapshot file from elsewhere, take it into the store, and return its id.

    Args:
        path: The file, or a directory that holds one.

    Raises:
        FormatError: It is none. [OBS500]
        IntegrityError: It does not hold; nothing is taken in. [OBS4xx]
        KeyUnusable: No key opens it. [OBS101]
    """
    return import_file(Path(path), SnapshotStore())


def restore_for_analysis(snapshot_id: UUID | str) -> Analysis:
    """Return a snapshot for looking at: memory, strings, threads, symbols, cores. No live process is touched.

    Raises:
        NotFoundError: The store does not have it. [OBS700]
    """
    return Analysis(open_snapshot(snapshot_id))
