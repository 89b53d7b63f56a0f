# SPDX-License-Identifier: Apache-2.0
"""Snapshots of memory and state: of a process tree, a container or a plugin, at one instant, sealed, for analysis.

    from observer import snapshot

    snapshot_id = snapshot.create_snapshot(container_id, None, snapshot.SnapshotFormat.COMPRESSED_AND_ENCRYPTED)
    context = snapshot.get_snapshot(snapshot_id)
    path = snapshot.export_snapshot(snapshot_id, "/path/to/export", snapshot.SnapshotFormat.COMPRESSED_AND_ENCRYPTED)
    imported_id = snapshot.import_snapshot(path)
    analysis = snapshot.restore_for_analysis(imported_id)

The native core stops, marks and copies; this room decides what is kept, where, and for whom. It refuses to write into a live
process: what was restored is only read. The file is `docs/spec/snapshot.md`.
"""

from observer.model.snapshot import (
    MemoryPermissions,
    MemoryRegion,
    SnapshotContext,
    SnapshotFormat,
    StateComponent,
)
from observer.snapshot.analysis import Analysis, FoundString, ThreadState
from observer.snapshot.exchange import SnapshotProof, verify_snapshot
from observer.snapshot.file import SnapshotFile
from observer.snapshot.functions import (
    create_snapshot,
    export_snapshot,
    get_snapshot,
    import_snapshot,
    open_snapshot,
    restore_for_analysis,
)
from observer.snapshot.image import ProcessImage
from observer.snapshot.layer import LayerFile, read_layer, write_layer
from observer.snapshot.options import Selection, SnapshotOptions
from observer.snapshot.store import SnapshotStore
from observer.snapshot.symbols import Symbol, SymbolTable
from observer.snapshot.taking import Snapshotter, Taken
from observer.snapshot.targets import Target, container_target, process_target

__all__ = [
    "Analysis",
    "FoundString",
    "LayerFile",
    "MemoryPermissions",
    "MemoryRegion",
    "ProcessImage",
    "Selection",
    "SnapshotContext",
    "SnapshotFile",
    "SnapshotFormat",
    "SnapshotOptions",
    "SnapshotProof",
    "SnapshotStore",
    "Snapshotter",
    "StateComponent",
    "Symbol",
    "SymbolTable",
    "Taken",
    "Target",
    "ThreadState",
    "container_target",
    "create_snapshot",
    "export_snapshot",
    "get_snapshot",
    "import_snapshot",
    "open_snapshot",
    "process_target",
    "read_layer",
    "restore_for_analysis",
    "verify_snapshot",
    "write_layer",
]
