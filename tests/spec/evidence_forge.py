# SPDX-License-Identifier: Apache-2.0
"""Seals lines in forty lines of plain Python: the oracle for the native writer, and the tool of every attacker.

Written from docs/spec/evidence-log.md section 4 alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

KEY = bytes([7]) * 32
SEED = bytes([3]) * 32
LOG_ID = "00112233445566778899aabbccddeeff"
ORIGIN = "example.org/host-events"
STAMP = {
    "wall_ns": 1795409634318182200,
    "boot_ns": 2382467767029,
    "boot": "4fe05be0-f918-4c91-865f-3ffa1450bd07",
}


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def key_id(key: bytes) -> str:
    return hmac.digest(key, b"observer-evidence-log key id", "sha256")[:8].hex()


def ratchet(key: bytes, log: str = LOG_ID) -> bytes:
    prk = hmac.digest(bytes.fromhex(log), key, "sha256")
    return hmac.digest(prk, b"observer-evidence-log/v1 epoch\x01", "sha256")


def seal(seq: int, kind: str | None, event: bytes, prev: bytes, key: bytes | None) -> tuple[bytes, bytes]:
    """Return a line without newline and its chain value."""
    body = b'{"seq":%d' % seq + (b',"kind":"%s"' % kind.encode() if kind else b"") + b',"event":' + event
    head = body
    if key is not None:
        tag = hmac.digest(key, hashlib.sha256(b"\0" + body + prev).digest(), "sha256")
        head += b',"hmac":"%s"' % tag.hex().encode()
    chain = hashlib.sha256(b"\0" + head + prev).digest()
    return head + b',"chainHash":"%s"}' % chain.hex().encode(), chain


def root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:middle]) + root(leaves[middle:])).digest()


@dataclass
class Forge:
    """A log in memory."""

    key: bytes | None = None
    log: str = LOG_ID
    origin: str = ORIGIN
    signer: str | None = None
    lines: list[bytes] = field(default_factory=list)
    prev: bytes = bytes(32)

    def add(self, event: Any, kind: str | None = None) -> Forge:
        raw = event if isinstance(event, bytes) else compact(event)
        line, self.prev = seal(len(self.lines), kind, raw, self.prev, self.key)
        self.lines.append(line)
        return self

    def begin(self, **changes: Any) -> Forge:
        first: dict[str, Any] = {
            "format": "observer-evidence-log",
            "version": 1,
            "log": self.log,
            "origin": self.origin,
        }
        if self.key is not None:
            first["hmac"] = {"key": key_id(self.key), "epoch": 0}
        if self.signer is not None:
            first["signer"] = self.signer
        return self.add({**first, **STAMP, **changes}, "begin")

    def events(self, count: int, first: int = 0) -> Forge:
        for number in range(first, first + count):
            self.add({"n": number, "text": "grüße"})
        return self

    def epoch(self, number: int) -> Forge:
        assert self.key is not None
        following = ratchet(self.key, self.log)
        self.add({"epoch": number, "key": key_id(following), **STAMP}, "epoch")
        self.key = following
        return self

    def end(self) -> Forge:
        return self.add({"size": len(self.lines), "root": self.root().hex(), **STAMP}, "end")

    def root(self) -> bytes:
        return root([hashlib.sha256(b"\0" + line).digest() for line in self.lines])

    def bytes(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)


def sample(key: bytes | None = None, count: int = 5, log: str = LOG_ID) -> Forge:
    """A small whole log."""
    return Forge(key=key, log=log).begin().events(count).end()


def reseal(lines: list[bytes], key: bytes | None, start: int = 0) -> list[bytes]:
    """Recompute chain values (and HMACs, with a key) of altered lines from `start` on: what an attacker does next."""
    forge = Forge(key=key)
    for number, line in enumerate(lines):
        value = json.loads(line)
        event = line[
            line.index(b',"event":') + 9 : line.rindex(
                b',"hmac":' if b',"hmac":' in line else b',"chainHash":'
            )
        ]
        if number < start:
            forge.lines.append(line)
            forge.prev = bytes.fromhex(value["chainHash"])
        else:
            forge.add(event, value.get("kind"))
    return forge.lines
