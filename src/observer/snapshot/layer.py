# SPDX-License-Identifier: Apache-2.0
"""The files of a container's writable layer, as a snapshot holds them: listed, read, written as a tar archive."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from observer.errors import CaptureError, ChunkMismatch, FormatError
from observer.snapshot.file import SnapshotFile

__all__ = ["LayerFile", "read_layer", "write_layer"]

_NANOSECONDS: Final = 1_000_000_000
_REMOVED: Final = ".wh."  # as OCI layers name what a layer removes. Source: image-spec, layer.md, Whiteouts
_OPAQUE: Final = ".wh..wh..opq"
_TYPES: Final = {"directory": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "file": tarfile.REGTYPE}


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file of the layer.

    Attributes:
        path: Relative to the root, without `..`.
        kind: `file`, `directory`, `link`, `removed` for one that the layer takes away, `special` for any other.
        mode: Permission bits.
        uid: Its owner.
        gid: Its group.
        mtime_ns: When it was written last, ns since the Unix epoch.
        size_bytes: Bytes of its content; of a link, of its target.
        opaque: A directory that hides what lies below it.
        pieces: Indexes of its components.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size_bytes: int
    opaque: bool
    pieces: tuple[int, ...]

    def content(self, file: SnapshotFile) -> Iterator[bytes]:
        """Yield its bytes, a piece of at most 32 MiB at a time; each was checked.

        Raises:
            ChunkMismatch: It does not hold. [OBS404]
        """
        for index in self.pieces:
            data = file.reader.component(index)
            if data is None:
                raise ChunkMismatch(f"component {index} of {file.path} is not there")
            yield data


def read_layer(file: SnapshotFile) -> Iterator[LayerFile]:
    """Yield the files of a snapshot's writable layer by path; nothing when it was not asked for.

    Raises:
        FormatError: A path leads out of the layer. [OBS500]
    """
    waiting: list[tuple[int, Mapping[str, Any]]] = []
    for index, item in enumerate(file.manifest["components"]):
        if item["type"] != "file":
            continue
        if waiting and not item["metadata"].get("piece"):
            yield _of(waiting, file)
            waiting = []
        waiting.append((index, item))
    if waiting:
        yield _of(waiting, file)


def _of(parts: list[tuple[int, Mapping[str, Any]]], file: SnapshotFile) -> LayerFile:
    facts = parts[0][1]["metadata"]
    path = str(parts[0][1]["name"])
    if "path_hex" in facts:
        path = bytes.fromhex(facts["path_hex"]).decode("utf-8", "surrogateescape")
    plain = PurePosixPath(path)
    if not path or plain.is_absolute() or ".." in plain.parts or "\0" in path:
        raise FormatError(
            f"a file of the layer lies outside it: {path!r}",
            hint="do not trust this snapshot",
            where={"path": str(file.path)},
        )
    return LayerFile(
        path=path,
        kind=str(facts.get("kind", "special")),
        mode=int(facts.get("mode", 0)) & 0o7777,
        uid=int(facts.get("uid", 0)),
        gid=int(facts.get("gid", 0)),
        mtime_ns=int(facts.get("mtime_ns", 0)),
        size_bytes=sum(int(item["size_bytes"]) for _, item in parts),
        opaque=bool(facts.get("opaque")),
        pieces=tuple(index for index, _ in parts),
    )


class _Pieces(io.RawIOBase):
    """The content of a file, read on."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            following = next(self._pieces, None)
            if following is None:
                return 0
            self._rest = following
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def write_layer(file: SnapshotFile, path: Path) -> int:
    """Write the layer as a tar archive in the form of an OCI layer and return how many files are in it.

    Raises:
        CaptureError: The file exists or cannot be written. [OBS300]
        ChunkMismatch: A file does not hold. [OBS404]
    """
    count = 0
    try:
        with (
            path.open("xb") as out,
            tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for entry in read_layer(file):
                _add(archive, file, entry)
                count += 1
    except OSError as error:
        raise CaptureError(f"cannot write {path}: {error.strerror}", where={"path": str(path)}) from error
    return count


def _add(archive: tarfile.TarFile, file: SnapshotFile, entry: LayerFile) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
    info.mtime = entry.mtime_ns // _NANOSECONDS
    if entry.kind == "removed":
        place = PurePosixPath(entry.path)
        info.name = str(place.with_name(_REMOVED + place.name))
        archive.addfile(info)
        return
    if entry.kind not in _TYPES:
        return  # sockets, pipes and devices have no content, and nobody could use them elsewhere
    info.type = _TYPES[entry.kind]
    if entry.kind == "link":
        info.linkname = b"".join(entry.content(file)).decode("utf-8", "surrogateescape")
        archive.addfile(info)
        return
    if entry.kind == "file":
        info.size = entry.size_bytes
        archive.addfile(info, io.BufferedReader(_Pieces(entry.content(file))))
        return
    archive.addfile(info)
    if entry.opaque:
        archive.addfile(tarfile.TarInfo(f"{entry.path}/{_OPAQUE}"))
