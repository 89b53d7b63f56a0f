# SPDX-License-Identifier: Apache-2.0
"""Proves the files that a recording for replay keeps: each is the content whose digest was sealed.

Source: docs/spec/replay.md §5.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from itertools import islice
from pathlib import Path
from typing import Final

from observer.errors import ChunkMismatch
from observer.trace.reading import Recording

__all__ = ["verify_stored_files"]

_FIRST_LINES: Final = 16  # `replay_start` is among them


def verify_stored_files(path: Path) -> tuple[int, int] | None:
    """Hash every file that a recording for replay names.

    Returns:
        Number and bytes of the files; None for a recording of another kind.

    Raises:
        ChunkMismatch: One is missing or is not what was sealed. [OBS404]
    """
    recording = Recording(path)
    if not any(line.event.get("type") == "replay_start" for line in islice(recording.lines(), _FIRST_LINES)):
        return None
    wanted = {
        str(line.event["sha256"]): int(line.event["length"])
        for line in recording.lines()
        if line.event.get("type") == "blob"
    }
    for digest in wanted:
        _verify(path / "blobs" / digest, digest)
    return len(wanted), sum(wanted.values())


def _verify(file: Path, digest: str) -> None:
    where: dict[str, object] = {"path": str(file)}
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ChunkMismatch(f"the stored file {digest} is missing", where=where) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise  # whoever may not read it cannot judge it
        raise ChunkMismatch(f"the stored file {digest} is no plain file", where=where) from error
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ChunkMismatch(f"the stored file {digest} is no plain file", where=where)
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != digest:
        raise ChunkMismatch(
            f"the stored file {digest} is not what was sealed: its digest differs", where=where
        )
