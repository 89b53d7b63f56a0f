# SPDX-License-Identifier: Apache-2.0
"""What a recording says of its processes up to a moment: descriptors, programs, names of mappings; and the calls between two."""

from __future__ import annotations

import heapq
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from observer.trace.reading import Recording, SealedLine
from observer.trace.rules import load_words
from observer.trace.text import parse_number
from observer.trace.watch import Watch

__all__ = ["History", "calls_between", "follow_recording"]

_STANDARD: Final = {0: "standard input", 1: "standard output", 2: "standard error"}


@dataclass(slots=True)
class History:
    """A recording up to a moment.

    Attributes:
        watch: Its processes with their descriptors.
        parents: Parent of each process.
        first: The command's own process.
        heaps: Where the heap of each process begins.
        mapped: Path of the file that was mapped at an address.
        environment: Of the command, `NAME=value`.
    """

    watch: Watch
    parents: dict[int, int] = field(default_factory=dict)
    first: int = 0
    heaps: dict[int, int] = field(default_factory=dict)
    mapped: dict[int, str] = field(default_factory=dict)
    environment: tuple[str, ...] = ()

    def descriptors(self, pid: int) -> dict[int, dict[str, Any]]:
        """Return what each descriptor of a process stood for; those it was born with have no path."""
        out: dict[int, dict[str, Any]] = {}
        for number, held in sorted(self.watch.world.process(pid).files.items()):
            kind = (
                f"socket:{held.socket}" if held.socket else held.channel or _STANDARD.get(number, "unknown")
            )
            facts: dict[str, Any] = {"path": held.path or kind, "cloexec": held.cloexec}
            out[number] = facts | ({"connected": held.remote} if held.socket else {})
        return out

    def see_line(self, line: SealedLine) -> None:
        """Take in a sealed line."""
        event = line.event
        if event.get("type") == "replay_start":
            self.environment = tuple(map(str, event.get("environment") or ()))
        if event.get("type") != "process":
            return
        pid = int(event.get("pid") or 0)
        if event.get("what") == "start":
            self.parents[pid] = int(event.get("ppid") or 0)
            self.first = self.first or pid
        if event.get("what") == "exec":
            self.heaps.pop(pid, None)
        if event.get("what") == "exit":
            self.watch.world.end(pid)
        else:
            self.watch.see_line(line)

    def see_call(self, call: Mapping[str, Any]) -> None:
        """Take in a call that has returned."""
        pid, result = int(call["pid"]), call.get("result")
        if call["syscall"] == "mmap" and call["outcome"] == "ok" and isinstance(result, int):
            self._map(pid, call["args"], result)
        elif call["syscall"] == "brk" and isinstance(result, int):
            self.heaps.setdefault(pid, result)
        elif call["syscall"] in ("close", "close_range") and call["outcome"] == "ok":
            self._close(pid, [argument["text"] for argument in call["args"]])
        self.watch.see_call(call)

    def _close(self, pid: int, texts: list[str]) -> None:
        numbers = [parse_number(text) or 0 for text in texts]
        first, last = numbers[0], numbers[1] if len(numbers) > 1 else numbers[0]
        files = self.watch.world.process(pid).files
        for number in [number for number in files if first <= number <= last and "CLOEXEC" not in texts[-1]]:
            del files[number]

    def _map(self, pid: int, arguments: list[Mapping[str, Any]], address: int) -> None:
        told = {argument["name"]: argument["text"] for argument in arguments}
        number = parse_number(str(told.get("fd", "-1")))
        held = self.watch.world.process(pid).files.get(-1 if number is None else number)
        if held is not None and held.path:
            self.mapped[address] = posixpath.normpath(held.path)


def follow_recording(recording: Recording, until_ns: int) -> History:
    """Follow a recording up to a time of its CLOCK_MONOTONIC, ns: calls that had returned by then."""
    out = History(Watch(load_words()))
    calls = recording.calls({"until_ns": until_ns})
    over = (
        (call["start_ns"], 0, call)
        for call in calls
        if call["start_ns"] + call["duration_ns"] <= until_ns or call["syscall"] in ("execve", "execveat")
    )
    for _, _, item in heapq.merge(_timed(recording, until_ns), over, key=lambda entry: entry[:2]):
        if isinstance(item, SealedLine):
            out.see_line(item)
        else:
            out.see_call(item)
    return out


def _timed(recording: Recording, until_ns: int) -> Iterator[tuple[int, int, Any]]:
    at = 0
    for line in recording.lines():
        at = int(line.event.get("at_ns") or at)
        if at > until_ns:
            return
        yield at, 1, line


def calls_between(path: Path, first_ns: int, last_ns: int) -> Iterator[dict[str, Any]]:
    """Yield the calls of a recording that went on between two times of its CLOCK_MONOTONIC, in the order in which they returned.

    A call that had returned by the first time, or began after the last, is not among them.

    Raises:
        FormatError: No recording, or a damaged one. [OBS500]
    """
    for call in Recording(path).calls({"until_ns": last_ns}):
        if call["start_ns"] + call["duration_ns"] > first_ns and call["start_ns"] <= last_ns:
            yield call
