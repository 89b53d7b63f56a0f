# SPDX-License-Identifier: Apache-2.0
"""A second reader of snapshot files, from the specification alone: nothing of Observer's is imported."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PAGE, WINDOW = 4096, 1 << 22
ZERO_DIGEST = blake3(bytes(PAGE)).digest()


class Reader:
    """Reads one file; earlier files are looked for beside it."""

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.data, self.path = path.read_bytes(), path
        assert self.data[:10] == b"OBSNAP\x01\n\x01\0"
        self.file_id, self.key = self.data[16:32], key
        (self.key_block,) = struct.unpack_from("<I", self.data, 32)
        trailer = self.data[-64:]
        assert trailer[:8] == b"OBSNEND\n"
        assert blake3(self.data[: 64 + self.key_block] + trailer[:32]).digest() == trailer[32:]
        manifest, self.signature, length = struct.unpack_from("<QQQ", trailer, 8)
        assert length == len(self.data)
        text = self.frame(manifest, 4)
        self.manifest_digest = blake3(text).hexdigest()
        self.manifest: dict[str, Any] = json.loads(text)

    def frame(self, offset: int, kind: int) -> bytes:
        head = self.data[offset : offset + 24]
        found, codec, _, stored, plain, _, number = struct.unpack("<BBHIIIQ", head)
        assert found == kind
        content = self.data[offset + 24 : offset + 24 + stored]
        if codec & 2:
            assert self.key is not None
            associated = self.file_id + head[:12] + bytes(4) + head[16:]
            content = AESGCM(self.key).decrypt(struct.pack("<Q4x", number), content, associated)
        if codec & 1:
            content = zstandard.ZstdDecompressor().decompress(content, max_output_size=plain)
        assert len(content) == plain
        return content

    def others(self) -> list[Reader]:
        """Return all files of the manifest's list, this one first."""
        files = [self]
        for entry in self.manifest["files"][1:]:
            key = bytes.fromhex(entry["key"]) if entry.get("key") else None
            names = [self.path.with_name(entry["file_id"] + end) for end in (".osnap", ".retired")]
            files.append(Reader(next(name for name in names if name.exists()), key))
        return files

    def pages(self, region: dict[str, Any], files: list[Reader]) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield address, class and content of each page of listed nodes; checks every digest on the way."""
        hasher = blake3(b"observer-region-1\n" + struct.pack("<QB", region["size"], region["unlisted"]))
        source = region.get("source")
        digest = None if source is None else self.manifest["sources"][source].get("digest")
        hasher.update(bytes.fromhex(digest) if digest else bytes(32))
        hasher.update(struct.pack("<Q", region["offset"]))
        for index, file, offset, node_digest in region["nodes"]:
            start = max(region["start"], index * WINDOW)
            end = min(region["start"] + region["size"], (index + 1) * WINDOW)
            found = list(self.node(files, file, offset))
            assert len(found) == (end - start) // PAGE
            told = b"".join(
                bytes([1]) + page_digest if kind in (0, 1, 3) else bytes([kind]) + bytes(32)
                for kind, page_digest, _ in found
            )
            assert blake3(told).hexdigest() == node_digest
            hasher.update(struct.pack("<Q", index) + bytes.fromhex(node_digest))
            for step, (kind, _, content) in enumerate(found):
                yield start + step * PAGE, kind, content
        assert hasher.hexdigest() == region["digest"]

    def compare_with(self, pid: int) -> int:
        """Compare each page of the first process's listed nodes with the memory of a standing process; returns pages compared."""
        files, compared = self.others(), 0
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for region in self.manifest["processes"][0]["regions"]:
                for address, kind, content in self.pages(region, files):
                    if content is None:
                        continue
                    memory.seek(address)
                    assert memory.read(PAGE) == content, f"{address:#x} in {region['name']}: class {kind}"
                    compared += 1
        return compared

    @staticmethod
    def node(files: list[Reader], file: int, offset: int) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Yield class, digest and content of each page of a node."""
        data = files[file].frame(offset, 2)
        (runs,) = struct.unpack_from("<I", data)
        digests = 4 + 16 * runs
        for run in range(runs):
            count, kind, first, where, place = struct.unpack_from("<HBBIQ", data, 4 + 16 * run)
            frame = files[file + where].frame(place, 1) if kind == 1 else b""
            for step in range(count):
                digest, content = ZERO_DIGEST, bytes(PAGE) if kind == 0 else None
                if kind in (1, 3):
                    digest = data[digests : digests + 32]
                    digests += 32
                if kind == 1:
                    content = frame[(first + step) * PAGE : (first + step + 1) * PAGE]
                    assert blake3(content).digest() == digest
                yield kind, digest, content
        assert digests == len(data)
