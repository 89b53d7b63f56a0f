# SPDX-License-Identifier: Apache-2.0
"""Clocks of the merged report against synthetic machines whose true times are known: rates, steps, pauses, sleeps."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from observer.timeline import ReportOptions, make_report
from tests.unit.report.event_logs import BASE_NS, SECOND, event

HOUR = 3600 * SECOND
Guest = Callable[[float], float]
"""Boot clock of the guest, s, at a true time, s."""


def steady(rate: float) -> Guest:
    return lambda true: 100 + true * rate


def paused(at: float, length: float) -> Guest:
    """The guest's clocks stand still while it is paused."""
    return lambda true: 100 + min(true, at) + max(0.0, true - at - length)


def bent(at: float, rate: float) -> Guest:
    return lambda true: 100 + min(true, at) + max(0.0, true - at) * rate


def exchange(guest: Guest, true: float, dice: random.Random, wall: int) -> tuple[bytes, float]:
    """One exchange as the guest seals it; also its round trip, s."""
    there, back = dice.uniform(0.0002, 0.003), dice.uniform(0.0002, 0.003)
    sent, got = guest(true), guest(true + there + back)
    middle = BASE_NS + round((true + there) * SECOND)
    line = event(
        got,
        "Clocks compared",
        source="clock.peer",
        category="Clock",
        kind="clock.exchange",
        wall_ns=wall + round(got * SECOND),
        sent_boottime=round(sent * SECOND),
        received_boottime=round(got * SECOND),
        peer_received_wall=middle,
        peer_sent_wall=middle,
    )
    return line, there + back


def report_of(tmp_path: Path, host: list[bytes], guest: list[bytes]) -> dict[str, Any]:
    for name, lines in (("host.log", host), ("guest.log", guest)):
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
    output = tmp_path / "report.json"
    make_report(ReportOptions(tmp_path / "host.log", tmp_path / "guest.log", output, verdict=False))
    report: dict[str, Any] = json.loads(output.read_bytes())
    return report


@dataclass
class Machines:
    """A host whose clock is the truth, and a guest whose clocks are not."""

    guest: Guest
    wall: Callable[[float], int]
    moments: list[float]
    dice: random.Random
    gap: tuple[float, float] = (0.0, 0.0)

    def guest_log(self) -> tuple[list[bytes], dict[str, float], list[float]]:
        """Lines in the order in which they were sealed, the true time of each event, and the round trips."""
        lines: list[tuple[float, bytes]] = []
        truth: dict[str, float] = {}
        trips: list[float] = []
        for true in self.moments:
            line, trip = exchange(self.guest, true, self.dice, self.wall(true))
            lines.append((true + trip, line))
            trips.append(trip)
        for number in range(1500):
            true = self.dice.choice(self.moments) + self.dice.uniform(0, 1.2)
            if not self.gap[0] < true < self.gap[1]:
                truth[f"g{number}"] = true
                reading = self.guest(true)
                stamp = self.wall(true) + round(reading * SECOND)
                lines.append((true, event(reading, f"g{number}", wall_ns=stamp)))
        return [line for _, line in sorted(lines, key=lambda one: one[0])], truth, trips

    def host_log(self, truth: dict[str, float]) -> list[bytes]:
        """The host's lines; their true times go into `truth`."""
        lines: list[tuple[float, bytes]] = []
        for number in range(600):
            true = self.dice.choice(self.moments) + self.dice.uniform(0, 1.2)
            truth[f"h{number}"] = true
            lines.append((true, event(true, f"h{number}", boot="hb", run="hh")))
        return [line for _, line in sorted(lines, key=lambda one: one[0])]


def judge(
    report: dict[str, Any], truth: dict[str, float]
) -> tuple[list[float], int, list[tuple[float, float, float]]]:
    """Errors of the guest's events, how many lie outside their bars, and (placed, bar, true) of all in the report's order."""
    errors: list[float] = []
    placed: list[tuple[float, float, float]] = []
    outside = 0
    for one in report["events"]:
        true = truth.get(one["event"]["message"])
        if true is None:
            continue
        got, bar = corrected_s(one["corrected"]), one["errorMs"] / 1000
        placed.append((got, bar, true))
        if one["origin"] == "guest":
            errors.append(abs(got - true))
            outside += abs(got - true) > bar
    return errors, outside, placed


GUESTS = {
    "equal": steady(1.0),
    "7 % fast": steady(1.07),
    "7 % slow": steady(0.93),
    "paused 8 h": paused(61.3, 8 * 3600),
    "paused 40 ms": paused(61.3, 0.04),
    "rate changes": bent(47.7, 1.05),
}


@pytest.mark.parametrize("step_h", [0, 26, -26])
@pytest.mark.parametrize("name", GUESTS)
def test_bars_hold_and_order_is_right(tmp_path: Path, name: str, step_h: int) -> None:
    guest, dice = GUESTS[name], random.Random(f"{name}{step_h}")
    length = 120 if "8 h" not in name else 8 * 3600 + 120
    moments = [at + dice.random() * 0.1 for at in range(120)]
    if "8 h" in name:
        moments = [at if at < 61 else at + 8 * 3600 for at in moments if not 61 <= at < 62]
    zone = 2 * HOUR  # the guest's wall clock also began in a wrong zone
    wall = lambda true: BASE_NS + zone + (step_h * HOUR if true > length / 2 else 0) - 100 * SECOND  # noqa: E731
    machines = Machines(guest, wall, moments, dice)
    if "8 h" in name:
        machines.gap = (61.0, 8 * 3600 + 61)  # a paused machine does nothing
    guests, truth, trips = machines.guest_log()
    hosts = machines.host_log(truth)
    report = report_of(tmp_path, hosts, guests)
    assert report["clocks"]["compared"]
    errors, outside, placed = judge(report, truth)
    assert outside <= 0.01 * len(errors), f"{outside} of {len(errors)}"
    assert statistics.median(errors) <= statistics.median(trips) / 2
    wrong = sum(
        later - got > bar + later_bar and later_true < true
        for (got, bar, true), (later, later_bar, later_true) in pairwise(placed)
    )
    assert wrong <= 0.01 * len(placed)
    if "paused" not in name:
        assert wrong == 0
    bars = sorted(bar for _, bar, _ in placed)
    assert bars[len(bars) // 2] < 0.02, "a bar that says nothing is no bar"


def corrected_s(text: str) -> float:
    from datetime import datetime

    whole = datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    return whole + int(text[20:29]) / 1e9 - BASE_NS / 1e9


def test_without_an_exchange_no_bar_is_stated(tmp_path: Path) -> None:
    host = [event(at, f"h{at}", boot="hb", run="hh") for at in range(3)]
    guest = [event(at + 0.5, f"g{at}") for at in range(3)]
    report = report_of(tmp_path, host, guest)
    assert report["clocks"]["compared"] is False
    assert {one["errorMs"] for one in report["events"] if one["origin"] == "guest"} == {None}
    assert "never compared" in report["clocks"]["note"]


def test_a_step_of_the_own_clock_does_not_change_the_order(tmp_path: Path) -> None:
    """A guest alone: its wall clock is set back by a day between two events; raw times are kept as they are."""
    before = [event(at, f"g{at}", wall_ns=BASE_NS + 26 * HOUR + at * SECOND) for at in range(1, 6)]
    after = [event(at, f"g{at}", wall_ns=BASE_NS + at * SECOND) for at in range(6, 11)]
    (tmp_path / "guest.log").write_bytes(b"".join(line + b"\n" for line in before + after))
    output = tmp_path / "r.json"
    make_report(ReportOptions(None, tmp_path / "guest.log", output, verdict=False))
    report = json.loads(output.read_bytes())
    assert [one["event"]["message"] for one in report["events"]] == [f"g{at}" for at in range(1, 11)]
    assert report["events"][0]["event"]["timestamp"].startswith("2026-11-28")
    assert [round(corrected_s(one["corrected"])) for one in report["events"]] == list(range(1, 11))
    assert report["clocks"]["guest"]["boots"][0]["steps"] == [-26 * HOUR]


def test_windows_records_of_clock_changes_carry_what_was_stamped_before(tmp_path: Path) -> None:
    def change(at: int, old: str, new: str) -> bytes:
        message = (
            "<Event><System><Provider Name='Microsoft-Windows-Kernel-General'/><EventID>1</EventID></System><EventData>"
            f"<Data Name='NewTime'>{new}</Data><Data Name='OldTime'>{old}</Data></EventData></Event>"
        )
        return event(at, message, source="EventLog", category="EventLog", clocks=False, event_id=1)

    early = [event(at - 7200, f"h{at}", source="Power", clocks=False) for at in range(3)]
    late = [event(at, f"h{at}", source="Power", clocks=False) for at in range(4, 7)]
    step = change(3, "2026-11-27T08:40:03.0000000Z", "2026-11-27T10:40:03.0000000Z")
    (tmp_path / "host.log").write_bytes(b"".join(line + b"\n" for line in [*early, step, *late]))
    output = tmp_path / "r.json"
    make_report(ReportOptions(tmp_path / "host.log", None, output, verdict=False))
    report = json.loads(output.read_bytes())
    times = [round(corrected_s(one["corrected"])) for one in report["events"]]
    assert times == list(range(7))


def test_relayed_events_bound_the_offset(tmp_path: Path) -> None:
    """No exchange, but each side saw the other's events arrive: that encloses the offset."""
    skew = 5000 * SECOND
    host, guest = [], []

    def copy(line: bytes, origin: str) -> bytes:
        values = json.loads(line)
        values["attributes"] = sorted(
            [*values["attributes"], {"key": "peer_origin", "value": origin}], key=lambda one: one["key"]
        )
        return json.dumps(values, separators=(",", ":")).encode()

    for at in range(60):
        ours = event(at + 0.10, f"h{at}", boot="hb", run="hh")
        theirs = event(at + 0.20, f"g{at}", wall_ns=BASE_NS + skew + round((at + 0.20) * SECOND))
        host += [ours, copy(theirs, "guest"), event(at + 0.21, f"H{at}", boot="hb", run="hh")]
        guest += [
            copy(ours, "host"),
            event(at + 0.12, f"G{at}", wall_ns=BASE_NS + skew + round((at + 0.12) * SECOND)),
            theirs,
        ]
    report = report_of(tmp_path, host, guest)
    assert report["clocks"]["compared"]
    assert report["counts"]["merged"] == 120
    for one in report["events"]:
        message, number = one["event"]["message"][0], int(one["event"]["message"][1:])
        if message in "gG":
            true = number + (0.20 if message == "g" else 0.12)
            assert abs(corrected_s(one["corrected"]) - true) * 1000 <= one["errorMs"] + 0.001
            assert one["errorMs"] < 200
