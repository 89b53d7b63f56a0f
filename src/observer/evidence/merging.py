# SPDX-License-Identifier: Apache-2.0
"""Bulk passes over event logs for the merged report: all files of a log, of any of its forms, in memory that does not grow.

These passes read and sort; whether a sealed log holds is for `audit_logs` to say.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observer import _native

__all__ = ["LogFile", "Progress", "log_files", "plain_files", "survey_side", "write_merged"]

Progress = Callable[[int], None]
"""Called now and then with the lines done; raising ends the pass."""

_ROTATED = re.compile(
    r"\.(?P<time>\d{8}T\d{6}Z)(?:\.(?P<first>\d{12,}))?(?:\.(?P<more>\d{1,6}))?(?P<packed>\.zst|\.gz)?"
)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a log.

    Attributes:
        path: Where it lies.
        packed: Empty, `.zst` or `.gz`.
        rotated: It is not the live file.
    """

    path: Path
    packed: str
    rotated: bool


def log_files(log: Path) -> list[LogFile]:
    """All files of a log, oldest first, the live one last; of a file that lies there packed and plain, the plain one.

    Returns:
        Empty where nothing of the log is there.
    """
    found: dict[tuple[str, int, str], LogFile] = {}
    folder = log.parent if str(log.parent) else Path()
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        match = _ROTATED.fullmatch(name[len(log.name) :]) if name.startswith(log.name) else None
        if match:
            packed = match["packed"] or ""
            place = (match["time"], int(match["first"] or -1), match["more"] or "")
            if place not in found or not packed:
                found[place] = LogFile(folder / name, packed, rotated=True)
    order = sorted(found, key=lambda place: (place[1] if place[1] >= 0 else 0, place[0], place[2]))
    files = [found[place] for place in order]
    if log.is_file():
        packed = next((end for end in (".zst", ".gz") if log.name.endswith(end)), "")
        files.append(LogFile(log, packed, rotated=False))
    return files


def plain_files(files: Sequence[LogFile], scratch: Path) -> tuple[list[Path], list[str]]:
    """Paths at which the files can be read as they are; packed ones are unpacked into `scratch`.

    Returns:
        The paths in order, and a sentence for each packed file that is damaged.
    """
    paths: list[Path] = []
    damage: list[str] = []
    for number, file in enumerate(files):
        if not file.packed:
            paths.append(file.path)
            continue
        target = (
            scratch
            / f"{sum(1 for _ in scratch.iterdir())}-{number}-{file.path.name.removesuffix(file.packed)}"
        )
        fault = _unzstd(file.path, target) if file.packed == ".zst" else _gunzip(file.path, target)
        if fault:
            damage.append(f"{file.path} cannot be unpacked to its end: {fault}")
        paths.append(target)
    return paths, damage


def _unzstd(source: Path, target: Path) -> str | None:
    return _native.report_unpack(str(source), str(target))[1]


def _gunzip(source: Path, target: Path) -> str | None:
    with target.open("wb") as out:
        try:
            with gzip.open(source) as stream:
                shutil.copyfileobj(stream, out, 1 << 18)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            return str(error)
    return None


def survey_side(
    files: Sequence[Path], origin: int, *, key: bytes | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Read one side once: counts, boots, clock readings, relayed events, the chain of the original form.

    Args:
        files: Plain files, oldest first.
        origin: 0 for the host's log, 1 for the guest's.
        key: HMAC-SHA256 key for lines of the original form.
        progress: See `Progress`.

    Source: docs/spec/master-report.md.
    """
    text = _native.report_survey([os.fspath(path) for path in files], origin, key=key, progress=progress)
    facts: dict[str, Any] = json.loads(text)
    return facts


def write_merged(
    sides: Sequence[dict[str, Any]],
    output: Path,
    scratch: Path,
    *,
    room: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Append the events of all sides to `output`, in one order, as the elements of a JSON array.

    Args:
        sides: `origin`, `files` and `clocks` of each.
        output: Appended to.
        scratch: An empty directory for the index.
        room: Entries of the index kept in memory; 0 for the default.
        progress: See `Progress`.

    Returns:
        `counts`, `classes` (info, warning, error, critical of each origin) and `spans` (least and greatest corrected time, ns).
    """
    text = _native.report_write(
        json.dumps(list(sides)), os.fspath(output), os.fspath(scratch), room=room, progress=progress
    )
    facts: dict[str, Any] = json.loads(text)
    return facts
