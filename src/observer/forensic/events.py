# SPDX-License-Identifier: Apache-2.0
"""The calls of a recorded command as its replay meets them: each event joined with the decoded call that it is."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer import _native
from observer.trace.reading import Recording

__all__ = ["ReplayCall", "aliases_of", "replay_calls"]

_PAGE: Final = 4096
_QUOTED: Final = {"path", "text", "data"}
# The names of the original design for what a program asks of its kernel, and the calls of Linux that do it.
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "open_file": ("open", "openat", "openat2", "creat"),
    "file_open": ("open", "openat", "openat2", "creat"),
    "file_read": ("read", "pread64", "readv", "preadv", "preadv2"),
    "file_write": ("write", "pwrite64", "writev", "pwritev", "pwritev2"),
    "file_close": ("close",),
    "net_connect": ("connect",),
    "net_send": ("sendto", "sendmsg", "sendmmsg"),
    "net_recv": ("recvfrom", "recvmsg", "recvmmsg"),
    "proc_create": ("fork", "vfork", "clone", "clone3"),
    "proc_kill": ("kill", "tkill", "tgkill"),
    "mem_alloc": ("mmap", "brk", "mremap"),
    "mem_free": ("munmap",),
    "time_get": ("clock_gettime", "gettimeofday", "time"),
    "time_sleep": ("nanosleep", "clock_nanosleep"),
}


def aliases_of(name: str) -> tuple[str, ...]:
    """Return the calls that a breakpoint's name stands for: itself, or those of a name of the original design."""
    return _ALIASES.get(name, (name,))


@dataclass(frozen=True, slots=True)
class ReplayCall:
    """One call of a recorded command.

    Attributes:
        event: Number of the event in which it begins.
        task: Number of its thread in the replay.
        call: The call as `observer show --json` prints it.
        start_ns: CLOCK_MONOTONIC of the recording's first event, ns.
    """

    event: int
    task: int
    call: Mapping[str, Any]
    start_ns: int

    @property
    def line(self) -> str:
        """The call as text."""
        args = ", ".join(argument["text"] for argument in self.call["args"])
        return f"s{self.call['record']} {self.call['syscall']}({args}) = {self.call['result_text']}"

    def arguments(self, name: str) -> list[str]:
        """Return the arguments as text, paths and data without quotes; under a name of the original design, the path first."""
        told = self.call["args"]
        if name in ("open_file", "file_open"):
            told = [argument for argument in told if argument["class"] != "fd"]
        return [_plain(argument) for argument in told]

    def facts(self) -> dict[str, str | int | bool | None]:
        """Return what a condition may name. Source: docs/spec/conditions.md §2."""
        call = self.call
        path = next((_plain(a) for a in call["args"] if a["class"] == "path"), None)
        return {
            "kind": "call",
            "syscall": call["syscall"],
            "path": path,
            "result": call["result"],
            "errno": call["errno"],
            "outcome": call["outcome"],
            "failed": call["outcome"] in ("failed", "denied", "interrupted"),
            "denied": call["outcome"] == "denied",
            "duration_ns": call["duration_ns"],
            "pid": call["pid"],
            "tid": call["tid"],
            "thread": call["tid"],
            "time": call["start_ns"] - self.start_ns,
            "index": call["record"],
            "event": self.event,
        }


def _plain(argument: Mapping[str, Any]) -> str:
    text = str(argument["text"])
    if argument["class"] in _QUOTED and len(text) >= 2 and text[0] == '"':
        return text[1:].rpartition('"')[0]
    return text


def replay_calls(path: Path) -> Iterator[ReplayCall]:
    """Yield the calls of a recorded command in the order in which they begin, without running anything.

    Args:
        path: A recording made by `observer record --replayable`.

    Raises:
        CapabilityError: It holds nothing to replay. [OBS200]
        FormatError: It is damaged. [OBS500]
    """
    calls, waiting = Recording(path).calls(), dict[int, deque[dict[str, Any]]]()
    threads, first_ns = dict[int, int](), None
    for event in _events(path):
        first_ns = event["time_ns"] if first_ns is None else first_ns
        if event["kind"] == "fork":
            threads[event["child"]] = event["child_tid"]
        if event["kind"] not in ("call", "enter"):
            continue
        call = _next_of(threads.get(event["task"]), event, calls, waiting)
        if call is None:
            return  # the recorder was ended before it kept what this call was
        threads.setdefault(event["task"], call["tid"])
        yield ReplayCall(event["n"], event["task"], call, first_ns)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    events = _native.ReplayEvents(path)
    while page := events.read(_PAGE):
        yield from map(json.loads, page.splitlines())


def _next_of(
    tid: int | None,
    event: Mapping[str, Any],
    calls: Iterator[dict[str, Any]],
    waiting: dict[int, deque[dict[str, Any]]],
) -> dict[str, Any] | None:
    """Return the thread's next call: events and calls of one thread come in the same order."""
    while True:
        own = waiting.get(tid) if tid is not None else None
        while own:
            call = own.popleft()
            if call["syscall"] == event["name"]:
                return call
        following = next(calls, None)
        if following is None:
            return None
        call = following
        if tid is None and call["syscall"] == event["name"]:
            return call
        waiting.setdefault(call["tid"], deque()).append(call)
