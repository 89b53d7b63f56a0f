# SPDX-License-Identifier: Apache-2.0
"""What differs between two snapshots: regions, pages, strings, descriptors, threads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from observer.errors import IntegrityError
from observer.snapshot.file import SnapshotFile
from observer.snapshot.history import calls_between
from observer.trace.store import TraceStore

__all__ = ["Difference", "calls_between_snapshots", "compare_snapshots"]

_PAGE: Final = 4096
_WINDOW: Final = 1 << 22
_STRINGS_MAX: Final = 1000  # that are named; a heap that was filled anew has millions
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e\t]{6,}")

Regions = dict[int, dict[str, Any]]


@dataclass(slots=True)
class Difference:
    """What differs.

    Attributes:
        processes_gone: Only in the first.
        processes_new: Only in the second.
        regions: Each region that differs: `pid`, `start`, `name`, `what` (`new`, `gone`, `resized`, `permissions`, `pages`),
            and for changed pages `pages` with their addresses.
        pages_changed: Pages that differ, in all.
        pages_compared: Pages that were looked at one by one.
        strings: Strings in changed pages that the first does not have there: `pid`, `address`, `text`.
        descriptors: Descriptors that differ: `pid`, `number`, `before`, `after`.
        threads: Threads that differ: `pid`, `tid`, `what`.
    """

    processes_gone: list[int] = field(default_factory=list)
    processes_new: list[int] = field(default_factory=list)
    regions: list[dict[str, Any]] = field(default_factory=list)
    pages_changed: int = 0
    pages_compared: int = 0
    strings: list[dict[str, Any]] = field(default_factory=list)
    descriptors: list[dict[str, Any]] = field(default_factory=list)
    threads: list[dict[str, Any]] = field(default_factory=list)


def compare_snapshots(first: SnapshotFile, second: SnapshotFile) -> Difference:
    """Compare two snapshots of the same processes; only windows whose digests differ are read.

    Raises:
        IntegrityError: A part that has to be read does not hold. [OBS4xx]
    """
    out = Difference()
    before, after = _processes(first), _processes(second)
    pairs = _pairs(before, after)
    out.processes_gone = [pid for pid in before if pid not in {old for old, _ in pairs}]
    out.processes_new = [pid for pid in after if pid not in {new for _, new in pairs}]
    for old, new in pairs:
        _regions(out, (first, before[old]), (second, after[new]))
        _descriptors(out, (first, old), (second, new))
        _threads(out, (first, before[old]), (second, after[new]))
    return out


def calls_between_snapshots(first: SnapshotFile, second: SnapshotFile) -> Iterator[dict[str, Any]] | None:
    """Return the calls between two moments of one recording, as `observer show --json` has them; None for other snapshots.

    Raises:
        NotFoundError: The recording is not where it was, and the store does not have it. [OBS700]
    """
    then, now = first.manifest["target"], second.manifest["target"]
    same = then.get("kind") == now.get("kind") == "recording" and then["trace_id"] == now["trace_id"]
    if not same:
        return None
    path = Path(now["recording"])
    if not path.is_dir():
        path = TraceStore().find(now["trace_id"])
    times = sorted((int(then["time_ns"]), int(now["time_ns"])))
    return calls_between(path, times[0], times[1])


def _processes(file: SnapshotFile) -> dict[int, dict[str, Any]]:
    return {process["pid"]: process for process in file.manifest["processes"]}


def _pairs(before: Mapping[int, Any], after: Mapping[int, Any]) -> list[tuple[int, int]]:
    """Return processes that are the same: by id, or the only one of each when a replay has given it another id."""
    same = [(pid, pid) for pid in before if pid in after]
    if not same and len(before) == len(after) == 1:
        return [(next(iter(before)), next(iter(after)))]
    return same


def _regions(
    out: Difference, old: tuple[SnapshotFile, dict[str, Any]], new: tuple[SnapshotFile, dict[str, Any]]
) -> None:
    before: Regions = {region["start"]: region for region in old[1]["regions"]}
    after: Regions = {region["start"]: region for region in new[1]["regions"]}
    pid = new[1]["pid"]
    for start in sorted(before.keys() | after.keys()):
        one, two = before.get(start), after.get(start)
        if one is None or two is None:
            present = two or one or {}
            what = "new" if one is None else "gone"
            out.regions.append(_told(pid, present, what))
            if one is None:
                _pages(out, (old[0], old[1]["pid"], None), (new[0], pid, present))
            continue
        if one["size"] != two["size"]:
            out.regions.append(_told(pid, two, "resized") | {"before_bytes": one["size"]})
        elif one["permissions"] != two["permissions"]:
            out.regions.append(_told(pid, two, "permissions") | {"before": one["permissions"]})
        if one["digest"] != two["digest"]:
            _pages(out, (old[0], old[1]["pid"], one), (new[0], pid, two))


def _told(pid: int, region: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {
        "pid": pid,
        "start": region["start"],
        "size": region["size"],
        "name": region["name"],
        "what": what,
    }


def _pages(
    out: Difference,
    old: tuple[SnapshotFile, int, dict[str, Any] | None],
    new: tuple[SnapshotFile, int, dict[str, Any]],
) -> None:
    """Compare the windows whose digests differ, page by page."""
    one, two = old[2], new[2]
    listed_before = {node[0]: node[3] for node in (one or {}).get("nodes", [])}
    listed_after = {node[0]: node[3] for node in two["nodes"]}
    changed: list[int] = []
    for window in sorted(listed_before.keys() | listed_after.keys()):
        if listed_before.get(window) == listed_after.get(window):
            continue
        start = max(two["start"], window * _WINDOW)
        end = min(two["start"] + two["size"], (window + 1) * _WINDOW)
        for address in range(start, end, _PAGE):
            behind = one is None or address >= one["start"] + one["size"]
            then = b"" if behind else _page(old[0], old[1], address)
            now = _page(new[0], new[1], address)
            out.pages_compared += 1
            if now is None or then == now or (not then and now == bytes(_PAGE)):
                continue
            changed.append(address)
            _strings(out, new[1], address, then or b"", now)
    if changed:
        out.pages_changed += len(changed)
        out.regions.append(_told(new[1], two, "pages") | {"pages": changed})


def _page(file: SnapshotFile, pid: int, address: int) -> bytes | None:
    try:
        return file.read(pid, address, _PAGE)
    except IntegrityError:
        return None  # only its digest was kept, or its file is not here


def _strings(out: Difference, pid: int, address: int, then: bytes, now: bytes) -> None:
    known = set(_PRINTABLE.findall(then))
    for match in _PRINTABLE.finditer(now):
        if len(out.strings) >= _STRINGS_MAX:
            return
        if match.group() not in known:
            place = address + match.start()
            out.strings.append({"pid": pid, "address": place, "text": match.group().decode("ascii")})


def _named(file: SnapshotFile, pid: int) -> Iterator[tuple[str, Any]]:
    for item in file.manifest["components"]:
        if item["type"] == "descriptor" and item.get("pid") == pid:
            yield item["name"], json.loads(file.component("descriptor", item["name"], pid=pid) or b"{}")


def _descriptors(out: Difference, old: tuple[SnapshotFile, int], new: tuple[SnapshotFile, int]) -> None:
    before, after = dict(_named(*old)), dict(_named(*new))
    for number in sorted(before.keys() | after.keys(), key=int):
        if before.get(number) != after.get(number):
            facts = {"pid": new[1], "number": int(number)}
            out.descriptors.append(facts | {"before": before.get(number), "after": after.get(number)})


def _threads(
    out: Difference, old: tuple[SnapshotFile, dict[str, Any]], new: tuple[SnapshotFile, dict[str, Any]]
) -> None:
    before, after = old[1]["threads"], new[1]["threads"]
    if len(before) == len(after) == 1:
        before = after  # a replay gives other ids
    pid = new[1]["pid"]
    for tid in sorted({*before, *after}):
        if tid not in after or tid not in before:
            out.threads.append({"pid": pid, "tid": tid, "what": "gone" if tid in before else "new"})
            continue
        then = old[0].component(
            "registers",
            "prstatus",
            pid=old[1]["pid"],
            tid=tid if before is not after else old[1]["threads"][0],
        )
        now = new[0].component("registers", "prstatus", pid=pid, tid=tid)
        if then != now:
            out.threads.append({"pid": pid, "tid": tid, "what": "registers"})
