# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of the command line, and how errors of the operating system become errors of ours.

0 success; 1 is never used on purpose, so that a raw crash never looks like a verdict; 2 usage; 12 to 18 and
70 as in `observer.errors`; 126, 127 and 128+signal as a shell's. Any other status means failure.
"""

from __future__ import annotations

import errno
from typing import Final

from observer.errors import CapabilityError, CaptureError, NotFoundError, ObserverError, StorageFull

__all__ = ["BROKEN_PIPE", "DIFFERENT", "INTERRUPTED", "OK", "of_signal", "to_observer_error"]

OK: Final = 0
DIFFERENT: Final = 16  # two recordings differ, or a replay from its recording
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE: the reader went away, which is its right

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR}


def of_signal(number: int) -> int:
    """Return the exit status a shell gives a command that this signal ended."""
    return 128 + number


def to_observer_error(error: OSError) -> ObserverError:
    """Return the error to show for a refusal of the operating system."""
    place = f": {error.filename}" if error.filename is not None else ""
    text = f"{(error.strerror or str(error)).lower()}{place}"
    where: dict[str, object] = {"errno": errno.errorcode.get(error.errno or 0, str(error.errno))}
    if error.filename is not None:
        where["path"] = str(error.filename)
    if error.errno in _FULL:
        return StorageFull(text, where=where)
    if error.errno in _REFUSED:
        return CapabilityError(
            text, hint="check the permissions of that path and of its directories", where=where
        )
    if error.errno in _ABSENT:
        return NotFoundError(text, where=where)
    return CaptureError(text, hint="check the disk and the path, then try again", where=where)
