# SPDX-License-Identifier: Apache-2.0
"""What a person reads: the answer and its integrity, the last minute, the lanes; by keyboard, without colour, privately."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from observer.cli.main import run
from observer.report.render import render_text
from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain
from tests.unit.report.event_logs import event, sealed

OOM = "Out of memory: Killed process 2201 (java) total-vm:9000kB, anon-rss:3900kB, file-rss:0kB, shmem-rss:0kB, UID:1000"


@pytest.fixture
def console(tmp_path: Path) -> Path:
    log = tmp_path / "console.log"
    before = [f"[ {at:4}.000000] usb 1-1: early {at}" for at in range(100, 150)]
    after = [f"[  199.{at:06}] usb 1-1: late {at}" for at in range(3)]
    log.write_text("\n".join([*before, f"[  198.000000] {OOM}", *after]) + "\n", encoding="utf-8")
    return log


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    facts = {"facility": "kern", "level": "3", "kmsg_sequence": "9"}
    kill = event(
        9, OOM, source="kernel.kmsg", category="Kernel", severity="Error", kind="kernel.message", **facts
    )
    return sealed(tmp_path / "guest-events.log", [event(at, sequence=at + 1) for at in range(9)] + [kill])


def places(text: str, *marks: str) -> list[int]:
    return [text.index(mark) for mark in marks]


def test_the_last_minute_of_a_raw_log_is_shown_and_what_is_cited_in_it_is_marked(console: Path) -> None:
    text = render_text(explain([SourceSpec(SourceKind.PLAIN, console)]))
    found = places(
        text, "VERDICT", "INTEGRITY", "WHAT HAPPENED", "THE LAST 60 SECONDS", "CONSIDERED AND LOST", "SOURCES"
    )
    assert found == sorted(found)
    minute = text[found[3] : found[4]]
    assert next(line for line in minute.splitlines() if line.startswith("  = ")).endswith("UID:1000")
    assert ("late 2" in minute, "early 149" in minute, "early 137" in minute) == (True, True, False)


def test_a_log_without_clocks_shows_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {at}\n" for at in range(100)), encoding="utf-8")
    shown = [one.text for one in explain([SourceSpec(SourceKind.PLAIN, tmp_path / "log")]).last]
    assert (shown[0], shown[-1], len(shown)) == ("line 60", "line 99", 40)


def test_the_last_minute_is_bounded_whatever_the_lines_are(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        for at in range(5000):
            log.write(f"[  100.{at:06}] {'y' * (20_000 if at > 4900 else 10)}\n")
    last = explain([SourceSpec(SourceKind.PLAIN, tmp_path / "log")]).last
    assert len(last) <= 120
    assert sum(len(one.text) for one in last) <= 120 * 600


def test_the_page_of_a_verdict_reads_top_down_and_is_private(console: Path, tmp_path: Path) -> None:
    assert run(["why", str(console), "--html", str(tmp_path / "why.html")]) == 0
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    found = places(
        page, "<h1>GUEST_OOM", "Integrity", 'id="what"', 'id="minute"', 'id="doubts"', 'id="sources"'
    )
    assert found == sorted(found)
    assert page.count("<b>cited</b>") == 1
    assert (tmp_path / "why.html").stat().st_mode & 0o077 == 0


def test_the_page_of_a_report_is_private_and_its_parts_stand_in_order(guest: Path, tmp_path: Path) -> None:
    page, output = tmp_path / "r.html", tmp_path / "r.json"
    assert (
        run(["report", "--guest-log", str(guest), "--output", str(output), "--html", str(page), "--text"])
        == 0
    )
    html = page.read_text(encoding="utf-8")
    found = places(
        html, "<h1>GUEST_OOM", ">Integrity<", 'id="what"', 'id="minute"', 'id="lanes"', 'id="doubts"'
    )
    assert found == sorted(found)
    assert page.stat().st_mode & 0o077 == 0


def test_the_text_of_a_report_has_the_same_order(
    guest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--guest-log", str(guest), "--output", str(tmp_path / "r.json"), "--text"]) == 0
    text = capsys.readouterr().out
    found = places(text, "VERDICT", "INTEGRITY", "THE LAST 60 SECONDS", "LANES", "CONSIDERED AND LOST")
    assert found == sorted(found)


def test_every_region_that_scrolls_is_reached_by_keyboard_and_has_a_name(guest: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    assert (
        run(["report", "--guest-log", str(guest), "--output", str(tmp_path / "r.json"), "--html", str(page)])
        == 0
    )
    html = page.read_text(encoding="utf-8")
    regions = re.findall(r'<div class="scroll[^>]*>', html)
    assert regions
    assert all('tabindex="0" role="region" aria-label="' in one for one in regions)
    assert re.search(r'<a class="skip" href="#(\w+)"', html)[1] == "what"  # type: ignore[index]
    for target in re.findall(r'href="#(\w+)"', html):
        assert f'id="{target}"' in html
    assert "worst error" in html, "a lane says its worst event in words, not by colour alone"


def test_a_log_that_does_not_hold_is_said_beside_the_answer(guest: Path, tmp_path: Path) -> None:
    guest.write_bytes(guest.read_bytes().replace(b"something", b"somethinG", 1))
    assert run(["why", "--log", str(guest), "--html", str(tmp_path / "why.html")]) == 0
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.index("Take this answer with doubt") < page.index("Integrity")
