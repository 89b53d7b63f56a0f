# SPDX-License-Identifier: Apache-2.0
"""Crash Watcher: crash dumps, told and hashed once they are complete, and where the kernel sends core dumps.

Watches directories with inotify; one that does not exist yet is looked for each second. A file is complete when its writer closes
it, or when it has not grown for `settle`. What came while the agent was away is found at its start. Reading the files needs their
permissions or CAP_DAC_READ_SEARCH. Sources: inotify(7), core(5).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, Final

from observer.agents.collector import Collector, Context, Emission, Observation
from observer.agents.linux.inotify import CREATED, GONE, Inotify
from observer.model.event import EventSeverity
from observer.model.event_record import Observed

__all__ = ["CrashWatcher"]

_SOURCE: Final = "inotify.crash"
_TICK_S: Final = 1.0
_PIECE: Final = 1 << 20
_REMEMBERED: Final = 40  # files; positions have little room, and older files are known by their time
_HEAD: Final = 4096
_SKIPPED: Final = (".lock", ".upload", ".uploaded", ".tmp", ".new")  # apport's and ours, no dumps


@dataclass(slots=True)
class _Growing:
    size: int
    since_ns: int


class CrashWatcher(Collector):
    """Tells of each crash file once."""

    name: ClassVar[str] = "crashes"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._inotify: Inotify | None = None
        self._watched: dict[int, str] = {}
        self._missing: dict[str, int | None] = {}  # and why, as last told
        self._growing: dict[str, _Growing] = {}
        self._core_pattern: str | None = None
        known = context.positions.get(self.name)
        self._known: dict[str, list[int]] | None = known if isinstance(known, dict) else None

    def events(self) -> Iterator[Emission]:
        """Yield complete files and changes of the directories."""
        self._inotify = Inotify()
        first, self._known = self._known is None, self._known or {}
        yield from self._look_at_core_pattern()
        yield from self._watch_directories(tell_missing=True, first=first)
        while not self.context.halt.is_set():
            self.wait_for(self._inotify.handle, _TICK_S)
            yield from self._take_events()
            yield from self._look_at_core_pattern()
            yield from self._watch_directories()
            yield from self._settle()
            yield None

    def _directories(self) -> list[str]:
        places = list(self.settings.texts("directories"))
        pattern = self._core_pattern or ""
        if pattern.startswith("/") and "%" not in str(Path(pattern).parent):
            places.append(str(Path(pattern).parent))
        return list(dict.fromkeys(places))

    def _look_at_core_pattern(self) -> Iterator[Observation]:
        try:
            pattern = self.read("/proc/sys/kernel/core_pattern", 256).decode("utf-8", "replace").strip()
        except OSError:
            return
        if pattern != self._core_pattern:
            self._core_pattern = pattern
            yield _directory("/proc/sys/kernel/core_pattern", "core_pattern", pattern)

    def _watch_directories(self, *, tell_missing: bool = False, first: bool = False) -> Iterator[Observation]:
        for place in self._directories():
            if place in self._watched.values() or self._inotify is None:
                continue
            try:
                self._watched[self._inotify.add(self.path(place))] = place
            except OSError as error:
                yield from self._cannot_watch(place, error, tell_missing=tell_missing)
                continue
            self._missing.pop(place, None)
            yield _directory(place, "watched", None)
            # What lies there already: at the very first start it is old; later it came while nobody watched.
            for path in self._files_in(place):
                if first:
                    self._remember(path)
                else:
                    yield from self._tell(path, "startup")

    def _cannot_watch(self, place: str, error: OSError, *, tell_missing: bool) -> Iterator[Observation]:
        """A directory that is not there yet is no fault; one that is there and cannot be watched is, and is said once."""
        if self._missing.get(place, 0) == error.errno:
            return
        self._missing[place] = error.errno
        if error.errno != errno.ENOENT:
            yield _directory(place, "unwatched", error.strerror, EventSeverity.WARNING)
        elif tell_missing:
            yield _directory(place, "missing", None)

    def _files_in(self, place: str) -> list[str]:
        try:
            with os.scandir(self.path(place)) as entries:
                return sorted(f"{place}/{entry.name}" for entry in entries)
        except OSError:
            return []

    def _take_events(self) -> Iterator[Observation]:
        if self._inotify is None:
            return
        for watch, mask, name in self._inotify.read():
            place = self._watched.get(watch)
            if place is None:
                if watch == -1:  # overflow: look at everything again
                    for each in self._watched.values():
                        for path in self._files_in(each):
                            self._growing.setdefault(path, _Growing(-1, 0))
                continue
            if mask & GONE:
                self._watched.pop(watch, None)
                self._missing[place] = errno.ENOENT
                yield _directory(place, "missing", None)
            elif mask & CREATED:
                self._growing[f"{place}/{name}"] = _Growing(-1, 0)
            else:
                self._growing.pop(f"{place}/{name}", None)
                yield from self._tell(f"{place}/{name}", "closed")

    def _settle(self) -> Iterator[Observation]:
        now = self.context.clocks().boottime_ns
        for path, growing in list(self._growing.items()):
            try:
                size = self.path(path).lstat().st_size
            except OSError:
                del self._growing[path]
                continue
            if size != growing.size:
                growing.size, growing.since_ns = size, now
            elif now - growing.since_ns >= self.settings.number("settle") * 1e9:
                del self._growing[path]
                yield from self._tell(path, "settled")

    def _tell(self, path: str, found: str) -> Iterator[Observation]:
        if path.endswith(_SKIPPED):
            return
        try:
            handle = os.open(self.path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            facts = self._lstat(path)
            if facts is not None and not stat.S_ISLNK(facts.st_mode) and self._is_new(path, facts):
                self._remember(path)
                yield self._observe(path, facts, found, {"executable": f"unreadable: {error.strerror}"})
            return
        with os.fdopen(handle, "rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode) or not self._is_new(path, facts):
                return
            head = stream.read(_HEAD)
            yield self._observe(path, facts, found, _describe(path, head) | self._hash(stream, facts))
        self._remember(path)

    def _hash(self, stream: IO[bytes], facts: os.stat_result) -> dict[str, str | None]:
        if facts.st_size > self.settings.count("hash_most"):
            return {}
        digest = hashlib.sha256()
        stream.seek(0)
        while piece := stream.read(_PIECE):
            digest.update(piece)
            if self.context.halt.is_set():
                return {}
        return {"sha256": digest.hexdigest()}

    def _is_new(self, path: str, facts: os.stat_result) -> bool:
        return (self._known or {}).get(path) != [facts.st_size, facts.st_mtime_ns]

    def _lstat(self, path: str) -> os.stat_result | None:
        try:
            return self.path(path).lstat()
        except OSError:
            return None

    def _remember(self, path: str) -> None:
        facts, known = self._lstat(path), self._known if self._known is not None else {}
        if facts is not None:
            known.pop(path, None)
            known[path] = [facts.st_size, facts.st_mtime_ns]
        while len(known) > _REMEMBERED:
            known.pop(next(iter(known)))
        self._known = known
        self.context.positions.set(self.name, dict(known))

    def _observe(
        self, path: str, facts: os.stat_result, found: str, more: dict[str, str | None]
    ) -> Observation:
        return Observation(
            "crash.dump",
            _SOURCE,
            "Crash",
            EventSeverity.CRITICAL,
            "Crash dump detected",
            {
                "path": path,
                "size": str(facts.st_size),
                "modified_wall_ns": str(facts.st_mtime_ns),
                "found": found,
            }
            | more,
            Observed(max(0, facts.st_mtime_ns), None, "file"),
        )

    def close(self) -> None:
        """Close inotify."""
        inotify, self._inotify = self._inotify, None
        if inotify is not None:
            inotify.close()


def _directory(
    path: str, state: str, value: str | None, severity: EventSeverity = EventSeverity.INFO
) -> Observation:
    return Observation(
        "crash.directory",
        _SOURCE,
        "Crash",
        severity,
        "Crash directory changed",
        {"path": path, "state": state, "value": value},
    )


def _describe(path: str, head: bytes) -> dict[str, str | None]:
    """Return what a dump says of itself: an apport report's fields, or a systemd core dump's name."""
    facts: dict[str, str | None] = {}
    if head.startswith(b"ProblemType:"):
        for line in head.decode("utf-8", "replace").splitlines():
            key, _, value = line.partition(": ")
            if key in {"ExecutablePath", "Signal"}:
                facts["executable" if key == "ExecutablePath" else "signal"] = value
    name = Path(path).name
    if name.startswith("core.") and name.count(".") >= 5:
        facts["executable"] = name.split(".")[1]
    return facts
