# SPDX-License-Identifier: Apache-2.0
"""docs/spec/verdicts.md is true: the names, the object, the exit statuses, determinism, streaming."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer.cli import main
from observer.report.diagnosis import load_rules
from observer.report.sources import LogLine, SourceKind
from observer.report.sources.text import read_text
from observer.report.why import SourceSpec, explain, explain_lines
from tools import gen_verdicts

SPEC = Path(__file__).resolve().parents[2] / gen_verdicts.TARGET

OOM = """\
[  900.000000] systemd invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0
[  900.000100] Out of memory: Killed process 1 (systemd) total-vm:100000kB, anon-rss:9000kB, file-rss:0kB
[  900.200000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009
[  900.200100] CPU: 0 PID: 1 Comm: systemd Not tainted 6.1.0 #1
"""


@pytest.fixture
def oom(tmp_path: Path) -> Path:
    path = tmp_path / "dmesg.txt"
    path.write_text(OOM)
    return path


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1, "one object on one line"
    value = json.loads(out)
    assert isinstance(value, dict)
    return value


def test_every_verdict_is_documented() -> None:
    text = SPEC.read_text(encoding="utf-8")
    assert gen_verdicts.render(text) == text, "run 'make golden'"
    for verdict in load_rules().verdicts:
        assert f"| `{verdict.name}` |" in text
        assert re.fullmatch(r"[A-Z_]+(?:/[A-Z_]+)?", verdict.name)


def test_the_object(oom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["why", "--dmesg", str(oom), "--json"]) == 0
    answer = as_json(capsys)
    keys = [
        "verdict",
        "confidence",
        "chain",
        "incidents",
        "evidence",
        "alternatives",
        "missing",
        "integrity",
        "kernel_reports",
        "boots",
    ]
    assert set(answer) == {"schema", "message_type", *keys}
    assert answer["verdict"] == "GUEST_OOM"
    assert 0.5 <= float(str(answer["confidence"])) <= 1
    lines = OOM.encode().splitlines()
    for record in answer["evidence"]:  # type: ignore[attr-defined]
        assert record["sha256"] == hashlib.sha256(lines[record["sequence"] - 1]).hexdigest()
    (incident,) = answer["incidents"]  # type: ignore[misc]
    assert set(incident) == {
        "verdict",
        "meaning",
        "confidence",
        "scope",
        "boot",
        "time_span",
        "chain",
        "evidence",
        "alternatives",
        "missing",
        "advice",
    }
    roles = [step["role"] for step in incident["chain"]]
    assert roles.index("cause") < roles.index("symptom"), "the cause comes before what it led to"
    lost = {other["verdict"]: other["lost_because"] for other in answer["alternatives"]}  # type: ignore[attr-defined]
    assert "symptom" in lost["GUEST_KERNEL_PANIC/INIT_KILLED"]
    assert answer["integrity"]["state"] == "UNSEALED"  # type: ignore[index]
    assert answer["integrity"]["sources"][0]["sha256"] == hashlib.sha256(OOM.encode()).hexdigest()  # type: ignore[index]
    assert answer["kernel_reports"][0]["title"] == "kernel panic: Attempted to kill init!"  # type: ignore[index]


def test_undecided_is_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text("[    1.000000] usb 1-1: new device\n")
    assert main.run(["why", str(path), "--json"]) == 3
    answer = as_json(capsys)
    assert answer["verdict"] == "INSUFFICIENT_EVIDENCE"
    assert answer["missing"]
    assert answer["kernel_reports"] == []
    path.write_text("")
    assert main.run(["why", str(path)]) == 3
    assert "INSUFFICIENT_EVIDENCE" in capsys.readouterr().out


def test_wrong_calls_are_clear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observer.report.why._JOURNALS", (str(tmp_path / "none"),))
    monkeypatch.setattr("observer.report.why.GUEST_LOG", str(tmp_path / "none.log"))
    assert main.run(["why"]) == 2
    assert main.run(["why", "--kmsg", str(tmp_path / "absent")]) == 17
    assert main.run(["why", "--boot", "3", str(tmp_path)]) == 2
    assert main.run(["why", "-", "--syslog", "-"]) == 2
    assert capsys.readouterr().err.count("observer: error[OBS") == 4


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(OOM.encode())))
    assert main.run(["why", "-"]) == 0
    assert capsys.readouterr().out.startswith("VERDICT     GUEST_OOM")


def test_the_same_bytes_give_the_same_object(oom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["why", "--kmsg", str(oom), "--json"])
    first = capsys.readouterr().out
    main.run(["why", "--kmsg", str(oom), "--json"])
    assert capsys.readouterr().out == first


def test_without_the_cited_records_the_verdict_changes(oom: Path) -> None:
    answer = explain_lines(read_text(OOM.encode().splitlines(), "s"))
    assert answer.primary is not None
    cited = {step.evidence.sequence for step in answer.primary.chain}
    rest = [line for number, line in enumerate(OOM.encode().splitlines(), 1) if number not in cited]
    assert explain_lines(read_text(rest, "s")).verdict != answer.verdict


def test_two_incidents_in_one_log_stay_two() -> None:
    log = OOM.replace("Killed process 1 (systemd)", "Killed process 77 (java)").splitlines()[:2]
    log += [
        "[ 9000.000000] BUG: unable to handle page fault for address: ffffffffdeadbeef",
        "[ 9000.000001] Oops: 0002 [#1] SMP",
        "[ 9000.000002] RIP: 0010:toast+0x1/0x2",
        "[ 9000.000003] Call Trace:",
        "[ 9000.000004]  bread+0x1/0x2",
        "[ 9000.000005] Kernel panic - not syncing: Fatal exception",
    ]
    answer = explain_lines(read_text([line.encode() for line in log], "s"))
    assert [incident.verdict for incident in answer.incidents] == ["GUEST_OOM", "GUEST_KERNEL_PANIC/OOPS"]
    assert answer.verdict == "GUEST_KERNEL_PANIC/OOPS", "the later one ended the machine"


def long_log(count: int) -> Iterator[LogLine]:
    def lines() -> Iterator[bytes]:
        for number in range(count):
            yield b"[%5d.%06d] EXT4-fs (sda1): routine message %d of a busy machine" % (
                number // 100,
                number % 100,
                number,
            )
            if number % 50 == 0:
                yield b"[%5d.%06d] blk_update_request: I/O error, dev sda, sector %d" % (
                    number // 100,
                    number % 100,
                    number,
                )

    return read_text(lines(), "s")


def test_fifty_thousand_lines_in_seconds_and_in_bounded_memory() -> None:
    begun = time.process_time()
    answer = explain_lines(long_log(50_000))
    assert time.process_time() - begun < 20
    assert answer.verdict == "STORAGE/IO_ERROR"
    assert answer.primary is not None
    assert max(step.count for step in answer.primary.chain) == 1000, "all are counted, some are kept"
    tracemalloc.start()
    explain_lines(long_log(4_000))
    small = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    explain_lines(long_log(16_000))
    assert tracemalloc.get_traced_memory()[1] < 2 * small + 1_000_000
    tracemalloc.stop()


def test_a_long_log_tells_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"[ {at:5}.000000] line {at}\n" for at in range(5_000)))
    told: list[tuple[str, int]] = []
    explain([SourceSpec(SourceKind.PLAIN, tmp_path / "log")], progress=lambda *one: told.append(one))
    assert [lines for _, lines in told] == [2_000, 4_000]
    assert str(tmp_path / "log") in told[0][0]


def test_hostile_text_is_shown_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text("[    1.000000] Out of memory: Killed process 7 (\x1b[2J\u202ex) total-vm:1kB\n")
    assert main.run(["why", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J" in out
