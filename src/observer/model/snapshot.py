# SPDX-License-Identifier: Apache-2.0
"""The memory and state of something at one moment, as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

__all__ = ["MemoryPermissions", "MemoryRegion", "SnapshotContext", "SnapshotFormat", "StateComponent"]


class SnapshotFormat(Enum):
    """How a snapshot is kept outside."""

    RAW = "raw"
    COMPRESSED = "compressed"
    ENCRYPTED = "encrypted"
    COMPRESSED_AND_ENCRYPTED = "compressed_and_encrypted"


@dataclass(frozen=True, slots=True)
class MemoryPermissions:
    """What may be done with a region.

    Attributes:
        read: It can be read.
        write: It can be written.
        execute: It can be executed.
    """

    read: bool = True
    write: bool = True
    execute: bool = False


@dataclass(frozen=True, slots=True)
class MemoryRegion:
    """One region of memory.

    Attributes:
        address: Where it begins.
        size: Bytes.
        permissions: What may be done with it.
        content_hash: Hexadecimal. Of a snapshot file, the region digest of `docs/spec/snapshot.md`, which is built from BLAKE3
            digests of its pages; of a value made by `MemoryRegion.of`, SHA-256 of its bytes.
        content: Its bytes; None when only the hash was kept.
        name: What it is, where that is known.
    """

    address: int
    size: int
    permissions: MemoryPermissions
    content_hash: str
    content: bytes | None = None
    name: str | None = None

    @classmethod
    def of(cls, content: bytes, *, name: str | None = None, address: int = 0) -> MemoryRegion:
        """Return a readable and writable region with these bytes."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(address, len(content), MemoryPermissions(), digest, content, name)


@dataclass(frozen=True, slots=True)
class StateComponent:
    """A part of the state that is not memory.

    Attributes:
        component_type: What kind: `global`, `table`, `state`, …
        name: Its name.
        data: Its bytes.
        metadata: Facts about it.
    """

    component_type: str
    name: str
    data: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotContext:
    """A snapshot.

    Attributes:
        snapshot_id: The snapshot.
        container_id: Its container, or None.
        plugin_id: Its plugin, or None.
        timestamp: UTC, when the state was, not when the snapshot was taken.
        memory_regions: Memory, by address.
        state_components: Everything else.
        metadata: Facts about it.
    """

    snapshot_id: UUID
    container_id: UUID | None
    plugin_id: UUID | None
    timestamp: datetime
    memory_regions: tuple[MemoryRegion, ...] = ()
    state_components: tuple[StateComponent, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
