# SPDX-License-Identifier: Apache-2.0
"""One snapshot file: what it says, its memory, its components; every byte that is handed out was checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer import _native
from observer.clock import to_datetime
from observer.errors import ChunkMismatch
from observer.model.snapshot import MemoryPermissions, MemoryRegion, SnapshotContext, StateComponent
from observer.snapshot.keys import KeySource, unwrap_file_key

__all__ = ["Region", "SnapshotFile"]

_ADDRESSABLE: Final = (
    1 << 40
)  # a region of more than a terabyte is reserved space, never handed out as one piece of bytes


class Region(MemoryRegion):
    """A region whose bytes are read, and checked, when they are asked for.

    `content` is None where only digests were kept or the region was left out.
    """

    __slots__ = ("_file", "facts", "pid")
    _file: SnapshotFile
    facts: Mapping[str, Any]
    pid: int

    def __init__(self, file: SnapshotFile, pid: int, facts: Mapping[str, Any]) -> None:
        """Make it from the manifest's facts."""
        mode = facts["permissions"]
        values = {
            "address": facts["start"],
            "size": facts["size"],
            "permissions": MemoryPermissions("r" in mode, "w" in mode, "x" in mode),
            "content_hash": facts["digest"],
            "name": facts["name"] or None,
            "pid": pid,
            "facts": facts,
            "_file": file,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def content(self) -> bytes | None:
        """Its bytes, or None when they were not kept."""
        if self.facts["policy"] in ("hash", "excluded") or self.size > _ADDRESSABLE:
            return None
        return self._file.read(self.pid, self.address, self.size)

    @property
    def policy(self) -> str:
        """`copied`, `reference`, `hash` or `excluded`."""
        return str(self.facts["policy"])


class SnapshotFile:
    """A snapshot open for reading.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, keys: KeySource | None = None) -> None:
        """Open it.

        Raises:
            FormatError: Not a snapshot, or malformed. [OBS500]
            TruncatedLog: It was cut off. [OBS406]
            KeyUnusable: It is encrypted and no key opens it. [OBS101]
            NotFoundError: It, or an earlier one that it refers to, is not there. [OBS700]
        """
        self.path = path
        _, _, encrypted, block = _native.snapshot_start(str(path))
        key = None
        if encrypted:
            key = unwrap_file_key(block, keys if keys is not None else KeySource.from_environment(), path)
        self.encrypted = encrypted
        self._reader = _native.SnapshotReader(str(path), key)
        self.manifest: dict[str, Any] = json.loads(self._reader.manifest())

    @property
    def reader(self) -> _native.SnapshotReader:
        """The native reader."""
        return self._reader

    @property
    def snapshot_id(self) -> UUID:
        """The snapshot's id."""
        return UUID(self.manifest["snapshot_id"])

    @property
    def manifest_digest(self) -> str:
        """Digest that commits to everything in it, 64 hexadecimal digits."""
        return self._reader.manifest_digest()

    def read(self, pid: int, address: int, length: int) -> bytes:
        """Return memory of a process.

        Raises:
            NotFoundError: There is no memory at that address. [OBS700]
            ChunkMismatch: It does not hold, was not kept, or its file is not here. [OBS404]
        """
        return self._reader.read(pid, address, length)

    def regions(self, pid: int | None = None) -> Iterator[Region]:
        """Yield regions, of one process or of all, by address."""
        for process in self.manifest["processes"]:
            if pid is None or process["pid"] == pid:
                for facts in process["regions"]:
                    yield Region(self, process["pid"], facts)

    def component(self, kind: str, name: str, *, pid: int = 0, tid: int = 0) -> bytes | None:
        """Return the bytes of a component, or None when there is none."""
        index = self._index.get((kind, name, pid, tid))
        return None if index is None else self._reader.component(index)

    @cached_property
    def _index(self) -> dict[tuple[str, str, int, int], int]:
        listed = self.manifest["components"]
        return {
            (item["type"], item["name"], item.get("pid", 0), item.get("tid", 0)): index
            for index, item in enumerate(listed)
        }

    def components(self) -> Iterator[StateComponent]:
        """Yield every component with its bytes; files of a container's layer have readers of their own (`read_layer`)."""
        for index, item in enumerate(self.manifest["components"]):
            if item["type"] == "file":
                continue
            data = self._reader.component(index)
            if data is None:
                raise ChunkMismatch(f"component {index} of {self.path} is not there")
            facts = {key: str(item[key]) for key in ("pid", "tid") if item.get(key)}
            facts |= {key: str(value) for key, value in item.get("metadata", {}).items()}
            yield StateComponent(item["type"], item["name"], data, facts)

    def context(self) -> SnapshotContext:
        """Return the snapshot as a value; regions read their bytes when they are asked for."""
        facts = {key: str(value) for key, value in self.manifest["metadata"].items()}
        facts |= {f"target.{key}": str(value) for key, value in self.manifest["target"].items()}
        facts |= {f"method.{key}": json.dumps(value) for key, value in self.manifest["method"].items()}
        container, plugin = self.manifest["container_id"], self.manifest["plugin_id"]
        return SnapshotContext(
            snapshot_id=self.snapshot_id,
            container_id=UUID(container) if container else None,
            plugin_id=UUID(plugin) if plugin else None,
            timestamp=to_datetime(self.manifest["wall_ns"]),
            memory_regions=tuple(self.regions()),
            state_components=tuple(self.components()),
            metadata=facts,
        )
