# SPDX-License-Identifier: Apache-2.0
"""Snapshots of recorded plugins, kept like those of processes: each linear memory is a process of its own, by number."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

from observer import _native
from observer.clock import boot_id
from observer.errors import NotFoundError, ObserverError
from observer.model.snapshot import SnapshotContext
from observer.plugins import take_snapshot
from observer.snapshot.keys import wrap_file_key
from observer.snapshot.options import SnapshotOptions
from observer.snapshot.store import SnapshotStore
from observer.trace.reading import Recording
from observer.trace.store import TraceStore

__all__ = ["keep_context", "snapshot_plugin"]

_PAGE: Final = 4096
_NANOSECONDS: Final = 1_000_000_000


def snapshot_plugin(plugin_id: UUID, options: SnapshotOptions) -> UUID:
    """Keep the state of a plugin at the end of its newest recording; see `observer.snapshot.create_snapshot`.

    Raises:
        NotFoundError: No recording is of that plugin. [OBS700]
        ReplayError: It does not replay. [OBS600]
    """
    newest: tuple[int, Any] | None = None
    for entry in TraceStore().entries():
        try:
            start = Recording(entry.path).start
        except (ObserverError, OSError):
            continue  # a damaged recording is no reason not to find another
        if start.plugin_id == plugin_id and (newest is None or start.wall_ns > newest[0]):
            newest = (start.wall_ns, entry.path)
    if newest is None:
        raise NotFoundError(
            f"no recording of plugin {plugin_id}", hint="record one with 'observer plugin run'"
        )
    return keep_context(take_snapshot(newest[1]), options, {"kind": "plugin", "name": f"plugin {plugin_id}"})


def keep_context(context: SnapshotContext, options: SnapshotOptions, target: dict[str, Any]) -> UUID:
    """Write a snapshot that is held as a value into the store, and return its id."""
    store = SnapshotStore()
    path = options.path if options.path is not None else store.prepare(context.snapshot_id)
    key, block = wrap_file_key(store.keys()) if options.encrypted else (None, b"")
    contents = [_whole_pages(region.content or b"") for region in context.memory_regions]
    answer = json.loads(
        _native.snapshot_compose(
            json.dumps(_manifest(context, contents, target)).encode(),
            str(path),
            contents,
            [component.data for component in context.state_components],
            compressed=options.compressed,
            key_block=block,
            key=key,
            seed=store.signing_seed(),
        )
    )
    store.seal(
        {
            "type": "snapshot_created",
            "snapshot_id": str(context.snapshot_id),
            "manifest_digest": answer["manifest_digest"],
            "signer": answer["signer"],
            "file": path.name,
            "bytes": answer["bytes"],
            "target": target,
        }
    )
    return context.snapshot_id


def _whole_pages(content: bytes) -> bytes:
    return content + bytes(-len(content) % _PAGE) if content else bytes(_PAGE)


def _manifest(context: SnapshotContext, contents: list[bytes], target: dict[str, Any]) -> dict[str, Any]:
    processes = []
    for number, (region, content) in enumerate(zip(context.memory_regions, contents, strict=True), 1):
        facts = {
            "start": region.address,
            "size": len(content),
            "permissions": "rw-p",
            "offset": 0,
            "name": region.name or "",
            "policy": "copied",
            "unlisted": 0,
            "digest": "",
        }
        name = region.name or f"memory{number - 1}"
        processes.append(
            {"pid": number, "ppid": 0, "comm": name, "exe": "", "threads": [], "regions": [facts]}
        )
    components = [
        {
            "type": component.component_type,
            "name": component.name,
            "metadata": dict(component.metadata),
            "size_bytes": 0,
            "digest": "",
            "frames": [],
        }
        for component in context.state_components
    ]
    moment = int(context.timestamp.timestamp()) * _NANOSECONDS + context.timestamp.microsecond * 1000
    return {
        "schema": "observer.snapshot/1",
        "snapshot_id": str(context.snapshot_id),
        "container_id": None if context.container_id is None else str(context.container_id),
        "plugin_id": None if context.plugin_id is None else str(context.plugin_id),
        "wall_ns": moment,
        "boot_ns": 0,
        "boot_id": boot_id(),
        "target": target,
        "method": {"tracking": "replay", "labels": [], "pauses_ns": [], "rounds": 0, "reread_pages": 0},
        "files": [],
        "processes": processes,
        "components": components,
        "metadata": dict(context.metadata),
        "totals": {},
    }
