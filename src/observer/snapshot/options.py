# SPDX-License-Identifier: Apache-2.0
"""What of a target is kept, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from observer.model.snapshot import SnapshotFormat

__all__ = ["Selection", "SnapshotOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which regions and components are kept; what is left out is listed with its reason.

    Attributes:
        addresses: Only regions that overlap one of these (first, behind the last).
        names: Only regions whose names fit one of these patterns (`*`, `?`).
        permissions: Only regions with all of these letters of `rwxps`.
        anonymous_only: Only memory without a file.
        max_region_bytes: Larger regions are not copied.
        hash_only: Patterns of names of regions of which only digests are kept; `*` for all.
        dontdump: Also what the program marked MADV_DONTDUMP.
        file_pages: Also unmodified pages of files, which otherwise are referred to.
        components: Only these types of components; empty for all.
    """

    addresses: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    permissions: str = ""
    anonymous_only: bool = False
    max_region_bytes: int | None = None
    hash_only: tuple[str, ...] = ()
    dontdump: bool = False
    file_pages: bool = False
    components: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for the native core."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOptions:
    """How a snapshot is taken.

    Attributes:
        format: How its content is kept.
        selection: What is kept.
        tracking: `auto`, or a way by name: `uffd-wp`; `fork`, which lets the target fork and reads the copy; or `stop`,
            which copies everything while the target stands.
        workers: Threads that copy; 0 for one for each processor.
        layer: Also the files of the container's writable layer, at the same instant.
        alone: Do not refer to pages of an earlier snapshot of the same target.
        path: File to write instead of the store's.
        metadata: Facts in text to keep with it.
    """

    format: SnapshotFormat = SnapshotFormat.COMPRESSED
    selection: Selection = field(default_factory=Selection)
    tracking: str = "auto"
    workers: int = 0
    layer: bool = False
    alone: bool = False
    path: Path | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def compressed(self) -> bool:
        """Content is compressed."""
        return self.format in (SnapshotFormat.COMPRESSED, SnapshotFormat.COMPRESSED_AND_ENCRYPTED)

    @property
    def encrypted(self) -> bool:
        """Content is encrypted."""
        return self.format in (SnapshotFormat.ENCRYPTED, SnapshotFormat.COMPRESSED_AND_ENCRYPTED)
