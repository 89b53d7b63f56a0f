# SPDX-License-Identifier: Apache-2.0
"""Keeps a fuzzing corpus as one text file, an input in base64 per line, sorted: `corpus.py {pack,unpack} FROM TO`."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

_KEPT_MAX = 64 << 10  # bytes of one corpus in the repository; the fuzzer finds the rest again in a minute


def pack(directory: Path, kept: Path) -> None:
    """Write the files of a directory into one text; where they are too many, as many of each size as fit."""
    inputs = {file.read_bytes() for file in directory.iterdir()} - {b""}
    ordered = sorted(inputs, key=lambda data: (len(data), data))
    step = max(-(-sum(map(len, ordered)) // _KEPT_MAX), 1)
    kept.write_text("".join(base64.b64encode(data).decode() + "\n" for data in ordered[step - 1 :: step]))


def unpack(kept: Path, directory: Path) -> None:
    """Make a directory of files again, named by their digests."""
    for line in kept.read_text().splitlines():
        data = base64.b64decode(line)
        (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    work = {"pack": pack, "unpack": unpack}[sys.argv[1]]
    work(Path(sys.argv[2]), Path(sys.argv[3]))
