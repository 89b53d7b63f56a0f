# SPDX-License-Identifier: Apache-2.0
"""A witness: cosigns a log's checkpoint only when it extends the one it cosigned before, and forgets nothing.

The state is on disk before the answer is given, so a witness that is killed at any point never cosigns two
histories of one log. Semantics of <https://c2sp.org/tlog-witness>; this module speaks no protocol, only bytes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observer import _native, clock
from observer.errors import FormatError, MacMismatch, UsageError

__all__ = ["Answer", "MAX_REQUEST_BYTES", "Witness", "request_body"]

MAX_REQUEST_BYTES = 64 * 1024  # 63 hashes and a note with many signatures
_MAX_HASHES = 63
_EMPTY_ROOT = hashlib.sha256(b"").digest()
SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers: an HTTP status, a body, and the body's media type."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


def request_body(old_size: int, proof: list[bytes], note: str) -> str:
    """Return the body of an `add-checkpoint` request: old size, consistency proof, checkpoint."""
    hashes = "".join(base64.b64encode(node).decode() + "\n" for node in proof)
    return f"old {old_size}\n{hashes}\n{note}"


class Witness:
    """A witness with its state in a directory of its own (0700); one process at a time.

    Args:
        directory: Where the state lies; made when missing.
        name: The name that cosigns.
        seed: Ed25519 private key, 32 bytes.
        logs: Verifier keys of the logs it serves; the origin of a log is the name in its key.

    Raises:
        UsageError: A key is malformed, or another process uses the directory. [OBS100]
    """

    def __init__(self, directory: Path, name: str, seed: bytes, logs: list[str]) -> None:
        self._name, self._seed = name, seed
        self.verifier_key = self.key_of(name, seed)
        self._logs: dict[str, list[str]] = {}
        for key in logs:
            with contextlib.suppress(FormatError):
                _native.note_verify("", key)  # a malformed key is told now, not at the first request
            self._logs.setdefault(key.split("+", 1)[0], []).append(key)
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = open(directory / "lock", "w", opener=_private)  # noqa: SIM115 - held open, private
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another witness uses {directory}", hint="stop it, or give another --state"
            ) from error

    @staticmethod
    def key_of(name: str, seed: bytes) -> str:
        """Return the verifier key that others need to check this witness's cosignatures."""
        return _native.note_verifier_key(name, seed, witness=True)

    def close(self) -> None:
        """Give the directory free."""
        self._lock.close()

    def size(self, origin: str) -> int:
        """Return the size of the last checkpoint cosigned for a log; 0 when there is none."""
        return self._state(origin)[0]

    def add_checkpoint(self, body: bytes) -> Answer:
        """Judge one `add-checkpoint` request; the new state is on disk before this returns 200."""
        try:
            old_size, proof, note = _parse(body)
            origin, size, root = _native.note_checkpoint(note)
        except (FormatError, ValueError) as error:
            return Answer(400, f"malformed request: {error}\n")
        keys = self._logs.get(origin)
        if keys is None:
            return Answer(404, "this witness does not serve that log\n")
        if not any(_signs(key, note) for key in keys):
            return Answer(403, "no signature by a key of that log\n")
        if old_size > size:
            return Answer(400, "the old size is more than the checkpoint's\n")
        known_size, known_root = self._state(origin)
        if old_size != known_size:
            return Answer(409, f"{known_size}\n", SIZE_TYPE)
        if known_size == size and known_root != root and size > 0:
            self._keep_evidence(origin, note)
            return Answer(409, f"{known_size}\n", SIZE_TYPE)
        if not _native.consistency_holds((known_size, known_root), (size, root), proof) or (
            size == 0 and root != _EMPTY_ROOT
        ):
            self._keep_evidence(origin, note)
            return Answer(422, "the proof does not show that this extends what was cosigned before\n")
        self._remember(origin, size, root, note)
        return Answer(
            200, _native.note_cosign(note, self._name, self._seed, clock.wall_ns() // 1_000_000_000)
        )

    def _file(self, origin: str) -> Path:
        return self._directory / (hashlib.sha256(origin.encode()).hexdigest() + ".json")

    def _state(self, origin: str) -> tuple[int, bytes]:
        try:
            state: dict[str, Any] = json.loads(self._file(origin).read_text(encoding="utf-8"))
            return int(state["size"]), bytes.fromhex(state["root"])
        except FileNotFoundError:
            return 0, _EMPTY_ROOT
        except (ValueError, KeyError, TypeError) as error:
            # A witness that lost its state must not start anew: it could be made to cosign a second history.
            raise FormatError(
                f"the witness's state of {origin} is damaged", hint="restore it, or retire this witness's key"
            ) from error

    def _remember(self, origin: str, size: int, root: bytes, note: str) -> None:
        state = {"origin": origin, "size": size, "root": root.hex(), "note": note}
        _replace(self._file(origin), json.dumps(state))

    def _keep_evidence(self, origin: str, note: str) -> None:
        """Keep a checkpoint that the log signed and that contradicts what it signed before: that is proof of a fork."""
        file = self._file(origin)
        name = hashlib.sha256(note.encode()).hexdigest()[:16]
        with contextlib.suppress(OSError):
            _replace(file.with_name(f"{file.stem}.conflict-{name}"), note)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _replace(file: Path, text: str) -> None:
    """Put a small file in place, on disk whole before this returns."""
    beside = file.with_name(file.name + ".tmp")
    with open(beside, "w", encoding="utf-8", newline="", opener=_private) as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _signs(key: str, note: str) -> bool:
    try:
        return _native.note_verify(note, key) is None
    except (MacMismatch, FormatError):
        return False


def _parse(body: bytes) -> tuple[int, list[bytes], str]:
    if len(body) > MAX_REQUEST_BYTES:
        raise ValueError("too long")
    head, separator, note = body.decode("utf-8").partition("\n\n")
    if not separator:
        raise ValueError("no empty line before the checkpoint")
    first, *hashes = head.split("\n")
    digits = first.removeprefix("old ")
    if (
        not first.startswith("old ")
        or not digits.isascii()
        or not digits.isdigit()
        or digits != str(int(digits[:20]))
    ):
        raise ValueError("no old size")
    if len(hashes) > _MAX_HASHES:
        raise ValueError("too many hashes")
    try:
        proof = [base64.b64decode(node, validate=True) for node in hashes]
    except binascii.Error as error:
        raise ValueError("a hash is not base64") from error
    if any(len(node) != hashlib.sha256().digest_size for node in proof) or int(digits) >= 1 << 64:
        raise ValueError("a hash or the old size is out of range")
    return int(digits), proof, note
