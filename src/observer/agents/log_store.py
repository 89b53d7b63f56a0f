# SPDX-License-Identifier: Apache-2.0
"""Opens the agent's sealed log with its keys; sets a log aside that cannot go on, untouched, since such a log is evidence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from observer import clock
from observer.agents.reserve import Reserve
from observer.agents.settings import Section
from observer.errors import FormatError, IntegrityError, KeyUnusable, StorageFull
from observer.evidence.keys import load_hmac_key
from observer.evidence.writing import LogOptions, SealedLog
from observer.model.event import EventSeverity

__all__ = ["LogStore"]

_SEED_BYTES = 32


class LogStore:
    """Where the log comes from, at the start and after a failed sync."""

    def __init__(self, path: Path, state: Path, settings: Section) -> None:
        """Load the keys.

        Raises:
            KeyUnusable: A key was asked for and cannot be used: no unsigned log is written instead. [OBS101]
        """
        self.path, self._settings = path, settings
        seed = _seed(state / "checkpoint.seed") if settings.flag("checkpoints") else None
        second = _seed(state / "checkpoint.ml-dsa.seed") if seed and settings.flag("ml_dsa") else None
        self._options = LogOptions(
            key=load_hmac_key(),
            origin="",
            signing_seed=seed,
            cosigning_seed=second,
            checkpoint_ms=max(10, int(settings.number("exposed") * 1000)),
            rotate_bytes=settings.count("rotate"),
        )
        self._opened: SealedLog | None = None
        self._refused: dict[str, str] | None = None
        self.upkeep_due = False

    def open_with(self, reserve: Reserve) -> SealedLog:
        """Open the log, giving back reserve while the disk is full; `take_or_open` hands out the same one.

        Raises:
            StorageFull: There is no room, and no reserve left. [OBS301]
        """
        while True:
            try:
                self._opened = self._open()
            except StorageFull:
                if not reserve.release(self.path):
                    raise
            else:
                return self._opened

    def take_or_open(self) -> SealedLog:
        """Return the log opened last, once; after that open it anew.

        Raises:
            ObserverError: It cannot be opened.
        """
        opened, self._opened = self._opened, None
        return opened if opened is not None else self._open()

    def tell_refused(self, emit: Callable[..., None]) -> None:
        """Say that a log was set aside, when one was."""
        if self._refused is not None:
            emit("agent.storage", EventSeverity.ERROR, "Storage of the log changed", **self._refused)

    def ask_upkeep(self) -> None:
        """Have rotated files compressed and pruned at the sealer's next quiet moment."""
        self.upkeep_due = True

    def upkeep(self, log: SealedLog) -> None:
        """Compress and prune rotated files, when asked to; called by the thread that writes the log."""
        if self.upkeep_due:
            self.upkeep_due = False
            if self._settings.flag("compress"):
                log.compress_rotated()
            log.prune(self._settings.count("keep"))

    def prune_for_space(self, log: SealedLog) -> bool:
        """Remove the oldest rotated files, half of what is kept; returns whether any went."""
        return bool(log.prune(self._settings.count("keep") // 2))

    def _open(self) -> SealedLog:
        if not self.path.exists():
            return SealedLog.create(self.path, self._options)
        try:
            return SealedLog.open(self.path, self._options)
        except (IntegrityError, FormatError) as error:
            self._set_aside("refused", str(error))
        except KeyUnusable as error:
            # Without the key of its lines a log is not followed by an unsigned one. The key of its checkpoints is made anew.
            if self._lacks_line_key():
                raise
            self._set_aside("key_lost", str(error))
        return SealedLog.create(self.path, self._options)

    def _lacks_line_key(self) -> bool:
        """Tell whether the log's lines are signed and no key was given, or the other way round."""
        with self.path.open("rb") as stream:
            begin = json.loads(stream.readline(1 << 16))["event"]
        return (begin.get("hmac") is None) != (self._options.key is None)

    def _set_aside(self, state: str, reason: str) -> None:
        stamp = clock.to_datetime(clock.wall_ns()).strftime("%Y%m%dT%H%M%S.%fZ")
        place = self.path.parent / "refused" / stamp
        place.mkdir(mode=0o700, parents=True)
        for file in sorted(self.path.parent.glob(self.path.name + "*")):
            file.rename(place / file.name)
        self._refused = {"state": state, "reserve": "0", "detail": f"set aside as {place}: {reason}"}


def _seed(path: Path) -> bytes:
    """Return the checkpoint key, made at the first start."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        text = path.read_text(encoding="ascii").strip()
        seed = bytes.fromhex(text) if len(text) == 2 * _SEED_BYTES else b""
        if len(seed) == _SEED_BYTES:
            return seed
        path.unlink()  # a crash while it was made: nothing was signed with it yet, or the log says by whom
        return _seed(path)
    seed = os.urandom(_SEED_BYTES)
    with os.fdopen(handle, "wb") as stream:
        stream.write(seed.hex().encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return seed
