# SPDX-License-Identifier: Apache-2.0
"""Readings of several clocks as one time with an error bar: piecewise linear, and honest where nothing bounds the error.

The reference is the host's clock where there is a host log. docs/spec/master-report.md §4 is the contract. Offsets are
reference less reading, in ns.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

__all__ = ["ClockPlan", "plan_clocks"]

UNKNOWN = -1
_DRIFT = 500e-6
"""Rate by which an error grows outside of what was measured: what NTP takes as the worst of a sane oscillator."""
_STEP_NS = 1_000_000_000
_GRAIN_NS = 1_000_000
"""Two readings of one machine's clocks are taken within this of each other."""
_PIECES = 8
"""Pieces into which the time outside all measurements is cut, so that the bar may grow."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One measured offset: boot it was measured in, boot clock, offset of the peer's wall clock to it, half round trip."""

    boot: str
    at: int
    offset: int
    half: int
    peer_wall: int


@dataclass(slots=True)
class ClockPlan:
    """Maps for the writer, one per origin, and what to tell of them."""

    maps: list[dict[str, Any]]
    told: dict[str, Any]


def plan_clocks(surveys: Sequence[Mapping[str, Any]], *, reference: int) -> ClockPlan:
    """Make the map of each origin from what its log, and the other's, tell.

    Args:
        surveys: Of the host and of the guest; empty where there is none.
        reference: Origin whose clock the report's time is: 0 host, 1 guest.

    Returns:
        Maps in the form that `write_merged` takes, host first.
    """
    maps: list[dict[str, Any]] = [{}, {}]
    told: dict[str, Any] = {"reference": ("host", "guest")[reference], "compared": False}
    maps[reference] = _own_map(surveys[reference])
    other = 1 - reference
    if not surveys[other]:
        told[told["reference"]] = _tell(maps[reference])
        return ClockPlan(maps, told)
    exchanges = _exchanges(surveys[other], own=True) + _exchanges(surveys[reference], own=False)
    exchanges += _from_bounds(surveys, other, maps[reference])
    exchanges = [_to_reference(one, maps[reference]) for one in exchanges]
    told["compared"] = bool(exchanges)
    maps[other] = _peer_map(surveys[other], exchanges, surveys[reference])
    for origin, name in enumerate(("host", "guest")):
        told[name] = _tell(maps[origin])
    told["exchanges"] = len(exchanges)
    if not exchanges:
        told["note"] = (
            "the two clocks were never compared in these logs: they are taken as equal, "
            "and no error bar between them can be stated"
        )
    return ClockPlan(maps, told)


def _tell(clock_map: Mapping[str, Any]) -> dict[str, Any]:
    boots = [
        {"boot": boot, "pieces": max(0, len(one["boottime"]) - 1), "steps": one.get("steps", [])}
        for boot, one in clock_map.get("boots", {}).items()
    ]
    return {"boots": boots, "wallPieces": len(clock_map.get("wall", []))}


def _knot(at: int, offset: float, error: float) -> dict[str, int]:
    return {"at": int(at), "offset": round(offset), "error": UNKNOWN if error < 0 else round(error)}


def _own_map(survey: Mapping[str, Any], error: float = 0.0) -> dict[str, Any]:
    """Map of a machine to its own wall clock as it was last set: earlier readings follow the boot clock back."""
    boots = {}
    for boot, facts in survey.get("boots", {}).items():
        samples = sorted(facts["samples"])
        if not samples:
            continue
        last = samples[-1][1] - samples[-1][0]
        first, final = facts["first"] or samples[0][0], facts["last"] or samples[-1][0]
        boots[boot] = {
            "boottime": _follow_back(samples, first, final, error),
            "wall": [
                _knot(wall, last - (wall - at), _GRAIN_NS if error >= 0 else UNKNOWN)
                for at, wall in _stepped(samples)
            ],
            "steps": [step for _, step in _steps(samples)],
        }
    return {"boots": boots, "runs": survey.get("runs", {}), "wall": _windows_steps(survey, error)}


def _follow_back(
    samples: list[tuple[int, int]], first: int, final: int, error: float
) -> list[dict[str, int]]:
    """Offsets over the boot clock. Small movements are the clock being slewed and are followed; steps are carried back."""
    knots: list[dict[str, int]] = []
    shift = 0
    for index in range(len(samples) - 1, -1, -1):
        at, wall = samples[index]
        offset = wall - at + shift
        knots.append(_knot(at, offset, error if error < 0 else _GRAIN_NS))
        if index:
            move = (wall - at) - (samples[index - 1][1] - samples[index - 1][0])
            shift += move if abs(move) > _STEP_NS else 0
    knots.reverse()
    if first < knots[0]["at"]:
        knots.insert(0, {**knots[0], "at": int(first)})
    if final > knots[-1]["at"]:
        knots.append({**knots[-1], "at": int(final)})
    return knots


def _steps(samples: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found = []
    for (at0, wall0), (at1, wall1) in pairwise(samples):
        move = (wall1 - at1) - (wall0 - at0)
        if abs(move) > _STEP_NS:
            found.append((at1, move))
    return found


def _stepped(samples: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Samples in the order of the wall clock, for events that only a wall clock places; the later reading wins a tie."""
    by_wall = {wall: at for at, wall in samples}
    return [(at, wall) for wall, at in sorted(by_wall.items())]


def _windows_steps(survey: Mapping[str, Any], error: float) -> list[dict[str, int]]:
    """Windows records old and new time at each change; what was stamped before a step is carried by it."""
    moves: list[tuple[int, int]] = []
    for text in survey.get("clock_events", ()):
        message = json.loads(text).get("message", "")
        times = {name: _system_time(message, name) for name in ("NewTime", "OldTime")}
        if times["NewTime"] is not None and times["OldTime"] is not None:
            move = times["NewTime"] - times["OldTime"]
            if abs(move) > _STEP_NS:
                moves.append((times["OldTime"], move))
    knots: list[dict[str, int]] = []
    total = sum(move for _, move in moves)
    begin = min((old for old, _ in moves), default=0) - 10**18 if moves else 0
    for old, move in moves:
        knots += [_knot(begin, total, _GRAIN_NS if error >= 0 else UNKNOWN), _knot(old, total, UNKNOWN)]
        total -= move
        begin = old + 1
    if moves or error >= 0:
        knots.append(_knot(begin, 0, _GRAIN_NS if error >= 0 else UNKNOWN))
    return sorted(knots, key=lambda knot: knot["at"])


def _system_time(message: str, name: str) -> int | None:
    found = re.search(rf"Name=['\"]{name}['\"]>(\d{{4}}-\d\d-\d\dT[\d:.]+Z)", message)
    if not found:
        return None
    try:
        moment = datetime.fromisoformat(
            re.sub(r"\.(\d{6})\d*Z", r".\1+00:00", found[1]).replace("Z", "+00:00")
        )
    except ValueError:
        return None
    return int(moment.timestamp() * 1_000_000) * 1000


def _exchanges(survey: Mapping[str, Any], *, own: bool) -> list[Exchange]:
    """Four-timestamp exchanges in a log; `own`: the log is that of the machine whose clock is mapped."""
    found = []
    for text in survey.get("clock_events", ()):
        event = json.loads(text)
        if event.get("type") != "clock.exchange":
            continue
        values = {str(one.get("key")): str(one.get("value")) for one in event.get("attributes", ())}
        one = _exchange(values, event, own=own)
        if one is not None:
            found.append(one)
    return found


def _exchange(values: Mapping[str, str], event: Mapping[str, Any], *, own: bool) -> Exchange | None:
    try:
        sent, got = int(values["sent_boottime"]), int(values["received_boottime"])
        peer_got, peer_sent = int(values["peer_received_wall"]), int(values["peer_sent_wall"])
        if own:
            half = max(0, ((got - sent) - (peer_sent - peer_got)) / 2)
            offset = ((peer_got - sent) + (peer_sent - got)) / 2
            return Exchange(
                values["boot_id"],
                (sent + got) // 2,
                round(offset),
                round(half) + 1,
                (peer_got + peer_sent) // 2,
            )
        clocks = event["collector"]
        wall_sent = sent - int(clocks["boottime_ns"]) + int(clocks["wall_ns"])
        wall_got = got - int(clocks["boottime_ns"]) + int(clocks["wall_ns"])
        peer = values["peer_boot_id"]
        at0, at1 = int(values["peer_received_boottime"]), int(values["peer_sent_boottime"])
    except (KeyError, ValueError, TypeError):
        return None
    half = max(0, ((got - sent) - (at1 - at0)) / 2)
    middle = (wall_sent + wall_got) // 2
    return Exchange(peer, (at0 + at1) // 2, middle - (at0 + at1) // 2, round(half) + 1, middle)


def _from_bounds(surveys: Sequence[Mapping[str, Any]], other: int, _: Mapping[str, Any]) -> list[Exchange]:
    """Intervals from events that each side relayed to the other: each had happened before it arrived.

    A bound from above (an event of the other clock that had arrived here) and one from below (an event of ours that had arrived
    there), close in time, enclose the offset.
    """
    above: dict[str, list[tuple[int, int]]] = {}
    below: dict[str, list[tuple[int, int]]] = {}
    reference = 1 - other
    for bound in surveys[reference].get("bounds", ()):
        if bound["origin"] == other and bound["boot"] and bound["boottime"]:
            above.setdefault(bound["boot"], []).append(
                (bound["boottime"], bound["arrived_wall"] - bound["boottime"])
            )
    for bound in surveys[other].get("bounds", ()):
        if bound["origin"] == reference and bound["arrived_boot"] and bound["arrived_boottime"]:
            at = bound["arrived_boottime"]
            below.setdefault(bound["arrived_boot"], []).append((at, bound["wall"] - at))
    found = []
    for boot, highs in above.items():
        lows = sorted(below.get(boot, ()))
        times = [at for at, _ in lows]
        for at, high in highs:
            near = bisect.bisect_left(times, at)
            for low_at, low in lows[max(0, near - 1) : near + 1]:
                slack = round(abs(low_at - at) * _DRIFT)
                if abs(low_at - at) < 120 * 10**9 and low - slack <= high + slack:
                    half = (high - low) // 2 + slack
                    found.append(Exchange(boot, at, (high + low) // 2, half, at + (high + low) // 2))
    return found


def _to_reference(one: Exchange, reference: Mapping[str, Any]) -> Exchange:
    """Carry the peer's wall reading through the steps of the reference's own clock."""
    best = None
    for facts in reference.get("boots", {}).values():
        knots = facts["wall"]
        if knots and knots[0]["at"] - 10**12 <= one.peer_wall <= knots[-1]["at"] + 10**12:
            best = _interpolate(knots, one.peer_wall)
    if best is None:
        best = _interpolate(reference.get("wall", []), one.peer_wall) or 0
    return Exchange(one.boot, one.at, one.offset + round(best), one.half, one.peer_wall)


def _interpolate(knots: Sequence[Mapping[str, int]], at: int) -> float | None:
    if not knots:
        return None
    after = bisect.bisect_right([knot["at"] for knot in knots], at)
    if after == 0:
        return knots[0]["offset"]
    if after == len(knots):
        return knots[-1]["offset"]
    left, right = knots[after - 1], knots[after]
    share = (at - left["at"]) / max(1, right["at"] - left["at"])
    return left["offset"] + (right["offset"] - left["offset"]) * share


def _peer_map(survey: Mapping[str, Any], exchanges: list[Exchange], _: Mapping[str, Any]) -> dict[str, Any]:
    """Map of the other machine: by exchanges where its boot has some, else by its own clock with no bar."""
    result = _own_map(survey, UNKNOWN)
    by_boot: dict[str, list[Exchange]] = {}
    for one in exchanges:
        by_boot.setdefault(one.boot, []).append(one)
    for boot, found in by_boot.items():
        facts = survey.get("boots", {}).get(boot, {"first": None, "last": None, "samples": []})
        knots = _fit(_thinned(found), facts["first"], facts["last"])
        own = result["boots"].setdefault(boot, {"boottime": [], "wall": [], "steps": []})
        own["boottime"] = knots
        own["wall"] = [
            _knot(wall, (_interpolate(knots, at) or 0) - (wall - at), _error_at(knots, at))
            for at, wall in _stepped(sorted(facts["samples"]))
        ]
    if exchanges and not result["wall"]:
        nearest = min(exchanges, key=lambda one: one.half)
        result["wall"] = [_knot(nearest.peer_wall, 0, UNKNOWN)]
    return result


def _thinned(found: list[Exchange]) -> list[Exchange]:
    """In order of the boot clock, one for each moment, the tightest."""
    best: dict[int, Exchange] = {}
    for one in found:
        held = best.get(one.at)
        if held is None or one.half < held.half:
            best[one.at] = one
    return [best[at] for at in sorted(best)]


def _fit(points: list[Exchange], first: int | None, last: int | None) -> list[dict[str, int]]:
    bends = _bends(points)
    knots = []
    for index, one in enumerate(points[:-1]):
        error = max(one.half, points[index + 1].half) + min(bends[index], bends[index + 1])
        knots.append(_knot(one.at, one.offset, error))
    before = _outside(points, first, forward=False)
    return [*before, *knots, *_outside(points, last, forward=True)]


def _bends(points: list[Exchange]) -> list[float]:
    """How far each point lies from the line through its neighbours, beyond what the round trips explain; at the ends unknown."""
    bends = [0.0] * len(points)
    for index in range(1, len(points) - 1):
        left, here, right = points[index - 1 : index + 2]
        share = (here.at - left.at) / max(1, right.at - left.at)
        line = left.offset + (right.offset - left.offset) * share
        spread = abs(here.offset - line) / max(1e-9, min(share, 1 - share))
        noise = here.half + left.half * (1 - share) + right.half * share
        bends[index] = max(0.0, abs(here.offset - line) - noise) and spread
    if len(points) > 2:
        bends[0], bends[-1] = bends[1], bends[-2]
    return bends


def _outside(points: list[Exchange], to: int | None, *, forward: bool) -> list[dict[str, int]]:
    """Knots from the outermost measurement to the end of the boot, the bar growing with the distance.

    A knot's bar holds up to the next knot, so each carries the bar of its piece's far end.
    """
    edge = points[-1] if forward else points[0]
    pair = points[-2:] if forward else points[:2]
    distance = 0 if to is None else max(0, to - edge.at) if forward else min(0, to - edge.at)
    run = pair[-1].at - pair[0].at
    rate = (pair[-1].offset - pair[0].offset) / run if run else 0.0
    growth = max(_DRIFT, abs(rate))
    knots = []
    for piece in range(_PIECES + 1):
        away = distance * piece / _PIECES
        far = distance * min(piece + 1, _PIECES) / _PIECES if forward else away
        knots.append(_knot(round(edge.at + away), edge.offset + rate * away, edge.half + abs(far) * growth))
    if not distance:
        return knots[:1] if forward else []
    return knots if forward else knots[:0:-1]


def _error_at(knots: Sequence[Mapping[str, int]], at: int) -> int:
    after = bisect.bisect_right([knot["at"] for knot in knots], at)
    return knots[max(0, after - 1)]["error"]
