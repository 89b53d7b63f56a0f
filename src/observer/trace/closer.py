# SPDX-License-Identifier: Apache-2.0
"""Looks closer at the few processes that gave cause: what they wrote into files in place, and what they said to the network.

Reads and writes are too many to go through for every process; here only those of a few are, and only the beginning of each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

from observer.trace.reading import Recording
from observer.trace.rules import Sight
from observer.trace.sighting import clothe
from observer.trace.text import parse_number, unquote
from observer.trace.watch import Watch
from observer.trace.world import Process

__all__ = ["closer_sights", "looks_scrambled"]

_MOST_PROCESSES: Final = 8  # of each kind that are looked at
_MOST_CALLS: Final = 20_000  # of one process
_MOST_SAID: Final = 400  # writes of a connected process
_REWRITTEN: Final = 8  # files rewritten in place that give cause
_SAMPLE: Final = 256  # bytes compared per file
_LEAST_SAMPLE: Final = 12
_OPENS: Final = ("open", "openat", "openat2", "creat")
_READS: Final = ("read", "pread64")
_WRITES: Final = ("write", "pwrite64")
# Beginnings of files that look random and are not secret: compressed, pictures, programs.
_KNOWN: Final = (
    "\x1f\x8b",
    "PK",
    "\x89PNG",
    "\xff\xd8\xff",
    "%PDF",
    "\x7fELF",
    "\xfd7zXZ",
    "(\xb5/\xfd",
    "BZh",
    "GIF8",
    "SQLite",
    "!<arch>",
    "\xcb\x0d",
)


def closer_sights(recording: Recording, watch: Watch) -> Iterator[Sight]:
    """Yield what a closer look at the processes of a trace that gave cause shows."""
    if recording.start.source == "api":
        return
    processes = list(watch.world.processes.values())
    suspects = [process for process in processes if len(process.rewritten) >= _REWRITTEN]
    for process in suspects[:_MOST_PROCESSES]:
        yield from _rewrites(recording, process)
    for process in watch.world.ever_networked[:_MOST_PROCESSES]:
        yield from _said(recording, process)


def _calls(
    recording: Recording, process: Process, names: tuple[str, ...], most: int
) -> Iterator[dict[str, Any]]:
    return itertools.islice(recording.calls({"pid": process.pid, "syscalls": list(names)}), most)


def _texts(call: dict[str, Any]) -> list[str]:
    return [str(item.get("text", "")) for item in call.get("args") or ()]


def _said(recording: Recording, process: Process) -> Iterator[Sight]:
    for call in _calls(recording, process, ("write",), _MOST_SAID):
        texts = _texts(call)
        if len(texts) > 1 and "{" in texts[1]:
            sight = Sight(
                "call", f"s{call['record']}", "send", str(call.get("outcome")), traits={"to-network"}
            )
            sight.arguments = {"text": unquote(texts[1])}
            sight.subjects["call"] = f"write({', '.join(texts)})"
            yield clothe(sight, process)


def _rewrites(recording: Recording, process: Process) -> Iterator[Sight]:
    """Yield a sight for each file that was text when it was read and is none after it was written."""
    held: dict[int, str] = {}
    before: dict[str, str] = {}
    after: dict[str, tuple[str, str]] = {}
    for call in _calls(recording, process, (*_OPENS, *_READS, *_WRITES), _MOST_CALLS):
        texts, name = _texts(call), call["syscall"]
        if name in _OPENS:
            path = next((unquote(text) for text in texts if text.startswith('"')), "")
            if isinstance(call.get("result"), int) and call["result"] >= 0:
                held[call["result"]] = path
            continue
        path = held.get(parse_number(texts[0]) or -1, "")
        if not path or len(texts) <= 1:
            continue
        data = unquote(texts[1])
        if name in _READS:
            before[path] = (before.get(path, "") + data)[:_SAMPLE]
        else:
            rid, so_far = after.get(path, (f"s{call['record']}", ""))
            after[path] = (rid, (so_far + data)[:_SAMPLE])
    for path, (record_id, written) in after.items():
        if path in before and looks_scrambled(before[path], written):
            sight = Sight("call", record_id, "rewrite", paths=(path,), traits={"scrambled"})
            yield clothe(sight, process)


def looks_scrambled(before: str, after: str) -> bool:
    """Tell whether a file's content was text and then was none, nor of a kind that is known by its beginning.

    Args:
        before: The beginning of what was read, a character a byte.
        after: The beginning of what was written instead.
    """
    if len(before) < _LEAST_SAMPLE or len(after) < _LEAST_SAMPLE or after.startswith(_KNOWN):
        return False
    return _printable(before) > 0.9 and _printable(after) < 0.7  # random bytes: 0.37


def _printable(text: str) -> float:
    return sum((letter.isprintable() and ord(letter) < 127) or letter in "\t\n\r" for letter in text) / len(
        text
    )
