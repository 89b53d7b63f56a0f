# SPDX-License-Identifier: Apache-2.0
"""Snapshots on their way out of a store and into one; nothing comes in that was not checked page by page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer.errors import CaptureError, ChunkMismatch, ManifestMismatch, NotFoundError, UsageError
from observer.model.snapshot import SnapshotFormat
from observer.snapshot.file import SnapshotFile
from observer.snapshot.keys import wrap_file_key
from observer.snapshot.options import SnapshotOptions
from observer.snapshot.store import SUFFIX, SnapshotStore

__all__ = ["SnapshotProof", "export_file", "import_file", "verify_snapshot"]

_NAMED: Final = 3  # places that an error names; the report has all


@dataclass(frozen=True, slots=True)
class SnapshotProof:
    """What a verification proved.

    Attributes:
        snapshot_id: The snapshot.
        manifest_digest: Digest that commits to all of it.
        pages: Stored pages whose digests hold.
        regions: Regions that hold.
        components: Components that hold.
        bytes: Bytes of the file that were read.
        signer: Verifier key whose signature holds, or empty.
        sealed_sequence: True when the store's sealed log has a line with this digest.
    """

    snapshot_id: UUID
    manifest_digest: str
    pages: int
    regions: int
    components: int
    bytes: int
    signer: str
    sealed: bool


def verify_snapshot(file: SnapshotFile, store: SnapshotStore | None = None) -> SnapshotProof:
    """Check every page, region, component and frame, the signature, and the store's sealed line.

    Args:
        file: The snapshot.
        store: The store whose log tells of it; None checks the file alone.

    Raises:
        ChunkMismatch: Something does not hold; `where["damage"]` lists regions and pages. [OBS404]
        ManifestMismatch: The signature or the sealed line is of another manifest. [OBS405]
    """
    lines = store.sealed(file.snapshot_id) if store is not None else []
    told = [line for line in lines if "manifest_digest" in line]
    signer = next((line["signer"] for line in reversed(told) if line.get("signer")), None)
    if told and all(line["manifest_digest"] != file.manifest_digest for line in told):
        raise ManifestMismatch(
            f"{file.path} has another manifest than the one that was sealed",
            where={
                "path": str(file.path),
                "sealed": told[-1]["manifest_digest"],
                "found": file.manifest_digest,
            },
        )
    current = next((line for line in reversed(told) if line["manifest_digest"] == file.manifest_digest), None)
    report = json.loads(file.reader.verify(current["signer"] if current and current.get("signer") else None))
    if report["damage_count"]:
        _refuse(file, report, signer)
    return SnapshotProof(
        file.snapshot_id,
        file.manifest_digest,
        report["pages_held"],
        report["regions_held"],
        report["components_held"],
        report["bytes"],
        report["signer"],
        current is not None,
    )


def _refuse(file: SnapshotFile, report: dict[str, Any], signer: str | None) -> None:
    damage = report["damage"]
    named = "; ".join(_place(item) for item in damage[:_NAMED])
    more = f" and {report['damage_count'] - _NAMED} more" if report["damage_count"] > _NAMED else ""
    where = {"path": str(file.path), "damage_count": report["damage_count"], "damage": damage}
    if all(item["name"] == "signature" for item in damage):
        raise ManifestMismatch(f"{file.path}: {named}", where=where | {"signer": signer})
    raise ChunkMismatch(f"{file.path}: {named}{more}", where=where)


def _place(item: dict[str, Any]) -> str:
    if not item["pid"]:
        return f"{item['name']}: {item['what']}"
    name = item["name"] or "without a name"
    return (
        f"process {item['pid']}, region {item['region']:#x} ({name}), "
        f"{item['pages']} page(s) from {item['address']:#x}: {item['what']}"
    )


def export_file(file: SnapshotFile, path: Path, format: SnapshotFormat, store: SnapshotStore) -> Path:  # noqa: A002
    """Write a snapshot whole into one file; see `observer.snapshot.export_snapshot`."""
    target = path / f"{file.snapshot_id}{SUFFIX}" if path.is_dir() else path
    if target.exists():
        raise CaptureError(f"{target} exists", hint="choose another name; a snapshot is never overwritten")
    if not target.parent.is_dir():
        raise NotFoundError(f"no directory {target.parent}", hint="make it first")
    chosen = SnapshotOptions(format=format)
    key, block = wrap_file_key(store.keys()) if chosen.encrypted else (None, b"")
    file.reader.convert(
        str(target), compressed=chosen.compressed, key_block=block, key=key, seed=store.signing_seed()
    )
    return target


def import_file(path: Path, store: SnapshotStore) -> UUID:
    """Take a snapshot file into the store; see `observer.snapshot.import_snapshot`."""
    source = _the_one_in(path) if path.is_dir() else path
    file = SnapshotFile(source, store.keys())
    if len(file.manifest["files"]) > 1:
        raise UsageError(
            f"{source} refers to other snapshots",
            hint="export it: 'observer snapshot export' writes it whole",
        )
    verify_snapshot(file)
    target = store.prepare(file.snapshot_id)
    if target.exists():
        if SnapshotFile(target, store.keys()).context().snapshot_id == file.snapshot_id:
            return file.snapshot_id
        raise CaptureError(f"{target} exists and is another snapshot")
    chosen = SnapshotOptions(
        format=SnapshotFormat.COMPRESSED_AND_ENCRYPTED if file.encrypted else SnapshotFormat.COMPRESSED
    )
    key, block = wrap_file_key(store.keys()) if chosen.encrypted else (None, b"")
    answer = json.loads(
        file.reader.convert(str(target), compressed=True, key_block=block, key=key, seed=store.signing_seed())
    )
    store.seal(
        {
            "type": "snapshot_imported",
            "snapshot_id": str(file.snapshot_id),
            "manifest_digest": answer["manifest_digest"],
            "signer": answer["signer"],
            "file": target.name,
            "bytes": answer["bytes"],
            "from_manifest_digest": file.manifest_digest,
            "from_note": file.reader.note(),
        }
    )
    return file.snapshot_id


def _the_one_in(folder: Path) -> Path:
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if len(found) != 1:
        raise NotFoundError(
            f"{len(found)} snapshots in {folder}", hint=f"name one file that ends in {SUFFIX}"
        )
    return found[0]
