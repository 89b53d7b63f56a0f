# SPDX-License-Identifier: Apache-2.0
"""What a dying kernel left in persistent storage (ramoops, EFI, ERST), sealed at the next start.

Reads /sys/fs/pstore and the place to which systemd-pstore moves its files; needs CAP_DAC_READ_SEARCH. Each file is told once,
known by its content. Source: Documentation/admin-guide/ramoops.rst, systemd-pstore(8).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.errors import CapabilityError
from observer.model.event import EventSeverity
from observer.model.event_record import Observed

__all__ = ["PstoreCollector"]

_SOURCE: Final = "kernel.pstore"
_PART_BYTES: Final = 3072  # of text in one event
_READ_BYTES: Final = 16 << 20
_REMEMBERED: Final = 60
_DEPTH: Final = 3  # systemd-pstore makes directories by time and record
_NAME: Final = re.compile(r"(dmesg|console|pmsg|ftrace)-([a-z]+)")


class PstoreCollector(PeriodicCollector):
    """Collects crash records at the start, and again while others may still move them."""

    name: ClassVar[str] = "pstore"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        known = context.positions.get(self.name)
        self._known: list[str] = [str(one) for one in known] if isinstance(known, list) else []

    def check_compatible(self) -> None:
        """See that at least one of the places can be listed."""
        reasons = []
        for place in self.settings.texts("directories"):
            try:
                os.scandir(self.path(place)).close()
            except OSError as error:
                reasons.append(f"{place}: {error.strerror}")
            else:
                return
        raise CapabilityError(
            f"no persistent storage can be read ({'; '.join(reasons)})",
            hint="mount pstore; give the agent CAP_DAC_READ_SEARCH",
        )

    def look(self) -> Iterator[Emission]:
        """Seal files that are not known yet."""
        for place in self.settings.texts("directories"):
            for path in sorted(self._files(place, _DEPTH)):
                yield from self._take(path)

    def _files(self, place: str, depth: int) -> Iterator[str]:
        try:
            with os.scandir(self.path(place)) as entries:
                found = list(entries)
        except OSError:
            return
        for entry in found:
            if entry.is_dir(follow_symlinks=False) and depth > 1:
                yield from self._files(f"{place}/{entry.name}", depth - 1)
            elif entry.is_file(follow_symlinks=False):
                yield f"{place}/{entry.name}"

    def _take(self, path: str) -> Iterator[Observation]:
        try:
            handle = os.open(self.path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            with os.fdopen(handle, "rb") as stream:
                facts = os.fstat(stream.fileno())
                data = stream.read(_READ_BYTES) if stat.S_ISREG(facts.st_mode) else b""
        except OSError:
            return
        digest = hashlib.sha256(data).hexdigest()
        # A file that systemd-pstore moves keeps its content and changes its path: known by its content.
        if not data or digest[:16] in self._known:
            return
        self._known = [*self._known, digest[:16]][-_REMEMBERED:]
        yield from self._observe(path, facts, data, digest)

    def _observe(self, path: str, facts: os.stat_result, data: bytes, digest: str) -> Iterator[Observation]:
        match = _NAME.match(path.rpartition("/")[2])
        text = data[-self.settings.count("text_most") :] if self.settings.count("text_most") else b""
        parts = [text[at : at + _PART_BYTES] for at in range(0, len(text), _PART_BYTES)] or [b""]
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            yield Observation(
                "kernel.pstore",
                _SOURCE,
                "Kernel",
                EventSeverity.CRITICAL,
                "Kernel left a crash record",
                {
                    "path": path,
                    "size": str(len(data)),
                    "sha256": digest,
                    "kind": match[1] if match else None,
                    "backend": match[2] if match else None,
                    "part": str(number),
                    "parts": str(len(parts)),
                    "text": part.decode("utf-8", "replace") or None,
                    "modified_wall_ns": str(facts.st_mtime_ns),
                },
                Observed(max(0, facts.st_mtime_ns), None, "file"),
                position=(self.name, list(self._known)) if last else None,
            )
