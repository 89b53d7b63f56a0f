# SPDX-License-Identifier: Apache-2.0
"""Seals events into one log. Policy (what is recorded, when) belongs to the caller; bytes and disks to the native core."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from observer import _native
from observer.errors import KeyUnusable, UsageError

__all__ = ["LogOptions", "ROTATE_BYTES", "SEED_BYTES", "SealedLog", "Severity"]

ROTATE_BYTES = 5 * 1024 * 1024  # the original design's limit of one file
SEED_BYTES = 32  # RFC 8032 section 5.1.5


class Severity(enum.IntEnum):
    """How bad an event is; from `ERROR` on it is on disk before `append` returns."""

    VERBOSE = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How a log is written.

    Attributes:
        key: HMAC-SHA256 key of epoch 0, 32 to 4,096 bytes, that signs every line; None makes an unsigned log.
        keep_key: Keep the current epoch's key in `<log>.sealkey` (0600), so that epoch 0's need not stay here.
        durability: `buffered`, `kernel` (survives `kill -9`), `group:LINES` or `disk` (survives power loss).
        origin: Name of the log for its checkpoints; empty makes one from its random identity.
        signing_seed: 32 bytes, the Ed25519 private key of the checkpoints; None makes none.
        cosigning_seed: 32 bytes, the ML-DSA-44 private key (FIPS 204) that signs them as well; None leaves that out.
        checkpoint_lines: Most lines between two checkpoints.
        checkpoint_ms: Most time between two checkpoints while lines come, ms.
        epoch_lines: Most lines signed with one epoch's key.
        epoch_ms: Most time that one epoch's key signs, ms.
        rotate_bytes: A file past this length is rotated; None never rotates.
        sidecars: Keep `<log>.chainstate` and `<log>.checkpoint`; always so when files are rotated.
    """

    key: bytes | None = None
    keep_key: bool = False
    durability: str = "kernel"
    origin: str = ""
    signing_seed: bytes | None = None
    cosigning_seed: bytes | None = None
    checkpoint_lines: int = 256
    checkpoint_ms: int = 1000
    epoch_lines: int = 65_536
    epoch_ms: int = 15 * 60 * 1000
    rotate_bytes: int | None = ROTATE_BYTES
    sidecars: bool = True


class SealedLog:
    """A log open for appending; make one with `create` or `open`, and use it in a `with` block.

    Leaving the block seals an `end` record. A log that ends without one was cut off or is still open.
    """

    def __init__(self, writer: _native.EvidenceWriter, path: Path) -> None:
        self._writer: _native.EvidenceWriter | None = writer
        self._open_writer = writer
        self.path = path

    @classmethod
    def create(cls, path: str | os.PathLike[str], options: LogOptions | None = None, **choices: Any) -> Self:
        """Make a new log, mode 0600, that is on disk when this returns.

        Args:
            path: File to make; it must not exist.
            options: How it is written; None means the defaults.
            **choices: Attributes of `LogOptions` that differ, such as `key=...`.

        Raises:
            CaptureError: The file exists or cannot be made. [OBS300]
            StorageFull: No space; nothing is left behind. [OBS301]
            KeyUnusable: A key is too short or too long. [OBS101]
        """
        return cls._start(Path(path), _options(options, choices), create=True)

    @classmethod
    def open(cls, path: str | os.PathLike[str], options: LogOptions | None = None, **choices: Any) -> Self:
        """Open a log to append: its newest file is checked, and what a crash left is put right and recorded.

        Args:
            path: The log.
            options: How it is written; keys must be those it was begun with.
            **choices: Attributes of `LogOptions` that differ.

        Raises:
            IntegrityError: Its lines do not hold; such a log is evidence and is not written to. [OBS4xx]
            KeyUnusable: It is signed and no key was given. [OBS101]
            CaptureError: Another writer has it open, or it is a link. [OBS300]
        """
        return cls._start(Path(path), _options(options, choices), create=False)

    @classmethod
    def _start(cls, path: Path, options: LogOptions, *, create: bool) -> Self:
        for seed in (options.signing_seed, options.cosigning_seed):
            if seed is not None and len(seed) != SEED_BYTES:
                raise KeyUnusable(f"the signing key has {len(seed)} bytes, {SEED_BYTES} are needed")
        if options.cosigning_seed is not None and options.signing_seed is None:
            raise UsageError("ML-DSA-44 signs beside Ed25519: cosigning_seed needs signing_seed")
        return cls(_native.EvidenceWriter(os.fspath(path), create, asdict(options)), path)

    def append(self, event: bytes, severity: Severity = Severity.INFO) -> int:
        """Seal one event and return its sequence (from 0; 0 is the log's own first record).

        Args:
            event: UTF-8 bytes of one JSON object on one line, no key twice, at most 1,047,552 bytes.
            severity: Decides when the line must be on disk; not stored, the event carries its own.

        Raises:
            UsageError: The bytes break a rule for events. [OBS100]
            StorageFull: No space; this event is not sealed, all before it are whole. [OBS301]
        """
        return self._open_writer.append(event, int(severity))

    def append_batch(self, events: Sequence[bytes], severity: Severity = Severity.INFO) -> int:
        """Seal events, all or none, and return the sequence of the first; errors as for `append`."""
        return self._open_writer.append_batch(list(events), int(severity))

    def declare_loss(self, dropped: int, reason: str) -> int:
        """Seal a record that `dropped` events happened and could not be sealed; returns its sequence."""
        return self._open_writer.declare_loss(dropped, reason)

    def flush(self) -> None:
        """Give all lines to the kernel: from here on they survive `kill -9`."""
        self._open_writer.flush()

    def sync(self) -> None:
        """Force all lines to the disk: from here on they survive power loss."""
        self._open_writer.sync()

    def tick(self) -> None:
        """Checkpoint, sync and rotate what is due; call it about once a second while no events come."""
        self._open_writer.tick()

    def checkpoint(self) -> str | None:
        """Return a signed note over all lines so far, which are on disk then; None when the log signs none."""
        return self._open_writer.checkpoint()

    def record_witness(self, note: str, refusal: str | None = None) -> int:
        """Seal a witness's answer: the note with its cosignature, or the note and why it was refused."""
        return self._open_writer.record_witness(note, refusal)

    def prune(self, keep_bytes: int) -> list[Path]:
        """Remove the oldest rotated files beyond `keep_bytes`, after sealing that they go; manifests stay."""
        return [Path(path) for path in self._open_writer.prune(keep_bytes)]

    def compress_rotated(self) -> list[Path]:
        """Replace rotated files by zstd-compressed ones, which verify and prove as before; returns their paths."""
        return [Path(path) for path in self._open_writer.compress_rotated()]

    @property
    def identity(self) -> dict[str, Any]:
        """The first record of the log's file: its `log` id, `origin`, `hmac` key id, `signer`, `cosigner`."""
        identity: dict[str, Any] = json.loads(self._open_writer.identity())
        return identity

    @property
    def next_sequence(self) -> int:
        """Sequence of the next line."""
        return self._open_writer.next_sequence()

    def close(self) -> None:
        """Seal an `end` record and force everything to the disk; a second call does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _options(options: LogOptions | None, choices: dict[str, Any]) -> LogOptions:
    try:
        return replace(options or LogOptions(), **choices)
    except TypeError as error:
        raise UsageError(f"no such option of a log: {error}") from error
