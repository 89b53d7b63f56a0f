# SPDX-License-Identifier: Apache-2.0
"""The merged report: every event once, in order, with its hash; what does not hold is named; hostile lines change nothing."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from observer.cli.main import run
from observer.timeline import ReportOptions, make_report
from observer.timeline.page import render_page
from observer.timeline.text import render_report
from observer.timeline.view import read_view
from tests.unit.report.event_logs import event, original, original_lines, sealed


def merged(tmp_path: Path, host: Path | None, guest: Path | None, **options: Any) -> dict[str, Any]:
    output = tmp_path / "report.json"
    make_report(ReportOptions(host, guest, output, **{"verdict": False, **options}))
    report: dict[str, Any] = json.loads(output.read_bytes())
    return report


def host_events(count: int) -> list[bytes]:
    return [
        event(at, f"h{at}", source="Power", category="Power", boot="hb", run="aaaa", sequence=at + 1)
        for at in range(count)
    ]


def guest_events(count: int) -> list[bytes]:
    return [event(at + 0.5, f"g{at}", sequence=at + 1) for at in range(count)]


def test_keys_of_the_original_report_and_ours(tmp_path: Path) -> None:
    host = sealed(tmp_path / "host-events.log", host_events(3))
    guest = sealed(tmp_path / "guest-events.log", guest_events(3))
    report = merged(tmp_path, host, guest)
    assert {"generatedAt", "host", "guest", "health", "analysis", "events"} <= set(report)
    assert report["integrity"]["state"] == "VERIFIED"
    for side, path in (("host", host), ("guest", guest)):
        last = json.loads(path.read_bytes().splitlines()[-1])
        assert (report[side]["logPath"], report[side]["finalChainHash"], report[side]["eventCount"]) == (
            str(path),
            last["chainHash"],
            3,
        )
        assert report["health"][side] == {
            "total": 3,
            "info": 3,
            "warning": 0,
            "error": 0,
            "critical": 0,
            "firstTimestamp": report["health"][side]["firstTimestamp"],
            "lastTimestamp": report["health"][side]["lastTimestamp"],
        }
    assert [one["event"]["message"] for one in report["events"]] == ["h0", "g0", "h1", "g1", "h2", "g2"]


def test_bytes_and_hashes_of_each_line_are_kept(tmp_path: Path) -> None:
    guest = sealed(tmp_path / "guest-events.log", [event(1, 'a "quoted" } ] \\ é \u2028'), event(2)])
    merged(tmp_path, None, guest)
    text = (tmp_path / "report.json").read_bytes()
    for line in guest.read_bytes().splitlines():
        values = json.loads(line)
        if "kind" not in values:
            inside = line[line.index(b'"event":') : line.index(b',"chainHash"')]
            assert inside in text
            assert f'"chainHash":"{values["chainHash"]}"'.encode() in text


@pytest.mark.parametrize("flip", [0.3, 0.6])
def test_a_changed_line_is_named_and_the_report_written_all_the_same(
    tmp_path: Path, flip: float, capsys: pytest.CaptureFixture[str]
) -> None:
    guest = sealed(tmp_path / "guest-events.log", guest_events(20))
    lines = guest.read_bytes().splitlines(keepends=True)
    at = int(len(lines) * flip)
    lines[at] = lines[at].replace(b'"message":"g', b'"message":"G', 1)
    guest.write_bytes(b"".join(lines))
    output = tmp_path / "r.json"
    assert run(["report", "--guest-log", str(guest), "--output", str(output)]) == 14
    report = json.loads(output.read_bytes())
    assert report["guest"]["integrity"]["state"] == "TAMPERED"
    assert report["guest"]["integrity"]["findings"][0]["line"] == at + 1
    assert report["guest"]["eventCount"] == 20
    assert report["verdict"]["integrity"]["state"] == "TAMPERED"
    assert "TAMPERED" in capsys.readouterr().err


def test_the_original_form_is_recomputed(tmp_path: Path) -> None:
    key = b"k" * 32
    guest = original(tmp_path / "guest-events.log", guest_events(5), key)
    report = merged(tmp_path, None, guest, key=key)
    assert (report["guest"]["form"], report["guest"]["integrity"]["state"]) == ("original", "VERIFIED")
    assert report["guest"]["integrity"]["keyChecked"] is True
    assert len(report["events"][0]["hmac"]) == 64
    assert merged(tmp_path, None, guest, key=b"x" * 32)["guest"]["integrity"]["state"] == "WRONG_KEY"
    lines = guest.read_bytes().splitlines()
    del lines[2]
    guest.write_bytes(b"\n".join(lines) + b"\n")
    report = merged(tmp_path, None, guest)
    assert report["guest"]["integrity"]["state"] == "TAMPERED"
    assert [one["line"] for one in report["guest"]["integrity"]["findings"]] == [3]


def test_rotated_files_of_the_original_form_and_their_manifests(tmp_path: Path) -> None:
    log = tmp_path / "guest-events.log"
    first, second = guest_events(6)[:3], guest_events(6)[3:]
    rotated = tmp_path / "guest-events.log.20261127T104500Z"
    lines = original_lines(first)
    rotated.with_name(rotated.name + ".gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    original(log, second)
    manifest = {
        "finalChainHash": json.loads(lines[-1])["chainHash"],
        "entries": 3,
        "rotatedAt": "2026-11-27T10:45:00Z",
    }
    rotated.with_name(rotated.name + ".manifest").write_text(json.dumps(manifest))
    report = merged(tmp_path, None, log)
    assert [one["event"]["message"] for one in report["events"]] == [f"g{at}" for at in range(6)]
    assert report["guest"]["integrity"]["state"] == "VERIFIED"
    manifest["entries"] = 4
    rotated.with_name(rotated.name + ".manifest").write_text(json.dumps(manifest))
    assert merged(tmp_path, None, log)["guest"]["integrity"]["state"] == "TAMPERED"


def test_rotated_and_compressed_files_of_a_sealed_log(tmp_path: Path) -> None:
    from observer.evidence import SealedLog

    path = tmp_path / "guest-events.log"
    with SealedLog.create(path, origin="example.org/guest", rotate_bytes=4096) as log:
        for one in guest_events(60):
            log.append(one)
        assert log.compress_rotated()
    report = merged(tmp_path, None, path)
    assert report["integrity"]["state"] == "VERIFIED"
    assert len(report["guest"]["files"]) > 3
    assert [one["event"]["message"] for one in report["events"]] == [f"g{at}" for at in range(60)]
    oldest = min(tmp_path.glob("guest-events.log.*.zst"))
    oldest.unlink()
    report = merged(tmp_path, None, path)
    assert report["integrity"]["state"] == "SEGMENT_MISSING"


HOSTILE = [
    b'{"event":{"message":"unbalanced } in a message"',
    b"{" * 5000,
    b"\xff\xfe\x00 no text at all",
    b'{"event":{"timestamp":"2026-11-27T10:40:01.000000Z","message":"bad \xff byte","source":"x"},"chainHash":"'
    + b"a" * 64
    + b'"}',
    b'{"event":[1,2],"chainHash":"' + b"a" * 64 + b'"}',
    b'{"event":{"message":{"deep":1}},"chainHash":"' + b"a" * 64 + b'"}',
    b"x" * (3 << 20),
    b'{"timestamp":"not a time","message":"</script><script>alert(1)</script>","source":"\\u202e","attributes":7}',
    b"\x00" * 4096,
    b'"],"events":[{"origin":"host","event":{"message":"injected"}}',
]


def test_hostile_lines_stand_in_the_report_and_change_nothing_else(tmp_path: Path) -> None:
    good = original_lines([event(at, f"g{at}", clocks=False) for at in range(12)])
    mixed = [line for pair in zip(good, HOSTILE, strict=False) for line in pair] + good[len(HOSTILE) :]
    guest = tmp_path / "guest-events.log"
    guest.write_bytes(b"\n".join(mixed) + b"\n")
    report = merged(tmp_path, None, guest)
    kept = [one for one in report["events"] if one["event"] is not None]
    assert [one["event"]["message"] for one in kept] == [f"g{at}" for at in range(12)]
    assert len(report["events"]) == 12 + len(HOSTILE)
    assert report["counts"]["malformed"] == report["guest"]["malformed"] == len(HOSTILE)
    assert report["guest"]["integrity"]["state"] == "TAMPERED"
    page = render_page(read_view(tmp_path / "report.json"))
    assert "<script" not in page
    assert "\u202e" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "alert(1)" in page
    assert "\u202e" not in render_report(read_view(tmp_path / "report.json"))


def test_relayed_copies_are_one_event(tmp_path: Path) -> None:
    natives = guest_events(4)
    copies = [json.loads(one) for one in natives]
    for copy in copies:
        copy["attributes"] = sorted(
            [*copy["attributes"], {"key": "peer_origin", "value": "guest"}], key=lambda one: one["key"]
        )
    relayed = [json.dumps(copy, separators=(",", ":")).encode() for copy in copies]
    lost = json.loads(relayed[-1])
    lost["message"] = "only the host still has this"
    hosts = host_events(4)
    host = sealed(
        tmp_path / "host-events.log",
        [hosts[0], relayed[0], relayed[1], hosts[1], relayed[2], json.dumps(lost).encode(), *hosts[2:]],
    )
    guest = sealed(tmp_path / "guest-events.log", natives)
    report = merged(tmp_path, host, guest)
    assert report["counts"]["merged"] == 3
    messages = [one["event"]["message"] for one in report["events"]]
    assert sorted(messages) == sorted(
        [*(f"g{at}" for at in range(4)), *(f"h{at}" for at in range(4)), "only the host still has this"]
    )
    both = next(one for one in report["events"] if one["event"]["message"] == "g0")
    assert (both["origin"], [one["origin"] for one in both["alsoIn"]]) == ("guest", ["host"])
    rescued = next(one for one in report["events"] if one["event"]["message"].startswith("only"))
    assert (rescued["origin"], rescued["relayedBy"]) == ("guest", "host")


def test_the_same_event_twice_in_one_log_is_two_events(tmp_path: Path) -> None:
    guest = sealed(tmp_path / "guest-events.log", [event(1), event(1), event(1)])
    assert len(merged(tmp_path, None, guest)["events"]) == 3


def test_order_is_stable_and_does_not_depend_on_memory(tmp_path: Path) -> None:
    host = sealed(
        tmp_path / "host-events.log", [event(at // 7, f"h{at}", boot="hb", run="aa") for at in range(300)]
    )
    guest = sealed(
        tmp_path / "guest-events.log", [event((at * 7919) % 97 / 7, f"g{at}") for at in range(300)]
    )
    wide, narrow = merged(tmp_path, host, guest), merged(tmp_path, host, guest, room=16)
    assert wide["events"] == narrow["events"]
    hosts = [one["event"]["message"] for one in wide["events"] if one["origin"] == "host"]
    assert hosts == [f"h{at}" for at in range(300)]
    times = [one["corrected"] for one in wide["events"]]
    assert times == sorted(times)


def test_exit_statuses_and_missing_sides(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    guest = sealed(tmp_path / "guest-events.log", guest_events(2))
    assert run(["report", "--host-log", str(tmp_path / "no"), "--guest-log", str(tmp_path / "none")]) == 17
    assert run(["report", "--host-log", str(tmp_path / "no"), "--guest-log", str(guest)]) == 0
    captured = capsysbinary.readouterr()
    report = json.loads(captured.out)
    assert report["host"]["integrity"]["state"] == "ABSENT"
    assert b"ABSENT" in captured.err
    assert run(["report", "--bogus"]) == 2
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"")
    assert run(["report", "--guest-log", str(empty), "--output", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_bytes())["guest"]["integrity"]["state"] == "EMPTY"
    assert run(["report", "--guest-log", str(Path(__file__)), "--output", str(tmp_path / "e.json")]) == 14


def test_a_killed_writer_leaves_no_half_report(tmp_path: Path) -> None:
    guest = tmp_path / "guest-events.log"
    line = event(1, "x" * 400)
    guest.write_bytes((line + b"\n") * 60_000)
    output = tmp_path / "out" / "report.json"
    output.parent.mkdir()
    command = [
        sys.executable,
        "-m",
        "observer",
        "report",
        "--no-verdict",
        "--guest-log",
        str(guest),
        "--output",
        str(output),
    ]
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and worker.poll() is None:
        if any(
            file.stat().st_size > 1 << 20 for file in output.parent.glob(".observer-report-*/report.json")
        ):
            break
        time.sleep(0.005)
    worker.send_signal(signal.SIGINT)
    status = worker.wait(timeout=60)
    assert status in (0, 130)
    assert output.exists() == (status == 0)
    assert not list(output.parent.glob(".observer-report-*"))


def test_memory_does_not_grow_with_the_logs(tmp_path: Path) -> None:
    guest = tmp_path / "guest-events.log"
    line = event(1, "x" * 900)
    with guest.open("wb") as out:
        for _ in range(60):
            out.write((line + b"\n") * 1000)
    script = (
        "import sys\nfrom pathlib import Path\nfrom observer.timeline import ReportOptions, make_report\n"
        "make_report(ReportOptions(None, Path(sys.argv[1]), Path(sys.argv[2]), verdict=False, room=1000))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", script, str(guest), str(tmp_path / "r.json")]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (tmp_path / "r.json").stat().st_size > 60 << 20
    assert peak < 110_000, f"{peak} KiB for a log of {guest.stat().st_size >> 20} MiB"


def test_the_report_is_private(tmp_path: Path) -> None:
    merged(tmp_path, None, sealed(tmp_path / "guest-events.log", guest_events(1)))
    assert (tmp_path / "report.json").stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".observer")] == []
