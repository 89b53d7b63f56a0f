# SPDX-License-Identifier: Apache-2.0
"""`observer why` on the agents' logs: verified first, the speaker of each event known, each record cited as sealed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from observer.cli.main import run
from observer.report.diagnosis import Diagnosis
from observer.report.sources import SourceKind
from observer.report.sources import sealed as sealed_source
from observer.report.why import SourceSpec, explain
from tests.unit.report.event_logs import BASE_NS, SECOND, event, original, sealed, stamp

INVOKED = "java invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0"
KILLED = "Out of memory: Killed process 2201 (java) total-vm:9000kB, anon-rss:3900kB, file-rss:0kB, shmem-rss:0kB, UID:1000"


def kernel(seconds: float, text: str, facility: str = "kern") -> bytes:
    return event(
        seconds,
        text,
        source="kernel.kmsg",
        category="Kernel",
        kind="kernel.message",
        facility=facility,
        level=3,
        kmsg_sequence=9,
    )


def journal(seconds: float, text: str, **fields: object) -> bytes:
    return event(
        seconds,
        text,
        source="systemd.journal",
        category="Journal",
        kind="journal.entry",
        cursor=f"s={seconds}",
        **fields,
    )


def oom() -> list[bytes]:
    quiet = [event(at, "Resource utilization") for at in range(1, 9)]
    return [
        *quiet,
        kernel(10, INVOKED),
        kernel(10.1, KILLED),
        journal(10.2, KILLED, transport="kernel"),
        event(11, "Resource utilization"),
    ]


def why(path: Path, kind: SourceKind = SourceKind.LOG, **options: object) -> Diagnosis:
    return explain([SourceSpec(kind, path)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [SourceKind.LOG, SourceKind.PLAIN])
def test_a_sealed_log_is_proven_and_its_records_cited_as_sealed(tmp_path: Path, kind: SourceKind) -> None:
    path = sealed(tmp_path / "guest-events.log", oom())
    answer = why(path, kind)
    assert answer.verdict == "GUEST_OOM"
    assert answer.integrity["state"] == "VERIFIED"
    assert (
        answer.integrity["sources"][0]["integrity"]["finalChainHash"]
        == json.loads(path.read_bytes().splitlines()[-1])["chainHash"]
    )
    lines = {json.loads(line)["seq"]: line for line in path.read_bytes().splitlines()}
    assert answer.primary is not None
    for step in answer.primary.chain:
        line = lines[step.evidence.sequence]
        inside = line[line.index(b'"event":') + 8 : line.index(b',"chainHash"')]
        assert step.evidence.sha256 == hashlib.sha256(inside).hexdigest()


def test_the_journals_copy_of_a_kernel_line_is_not_a_second_one(tmp_path: Path) -> None:
    answer = why(sealed(tmp_path / "guest-events.log", oom()))
    assert answer.primary is not None
    (cause,) = [step for step in answer.primary.chain if step.role == "cause"]
    assert cause.count == 1


def test_a_changed_log_is_weighed_and_said_to_be_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sealed(tmp_path / "guest-events.log", oom())
    path.write_bytes(path.read_bytes().replace(b"process 2201", b"process 2202"))
    assert run(["why", "--log", str(path)]) == 0
    text = capsys.readouterr().out
    assert "INTEGRITY   TAMPERED: the verdict rests on records that may have been changed" in text


def test_a_signed_log_and_its_key(tmp_path: Path) -> None:
    key = b"k" * 32
    path = sealed(tmp_path / "guest-events.log", oom(), key=key)
    assert why(path, key=key).integrity["state"] == "VERIFIED"
    assert why(path, key=b"x" * 32).integrity["state"] == "WRONG_KEY"


def test_sealed_beside_raw(tmp_path: Path) -> None:
    path = sealed(tmp_path / "guest-events.log", oom())
    raw = tmp_path / "dmesg"
    raw.write_text("[    1.000000] up\n")
    answer = explain([SourceSpec(SourceKind.LOG, path), SourceSpec(SourceKind.DMESG, raw)])
    assert (answer.verdict, answer.integrity["state"]) == ("GUEST_OOM", "PARTLY_SEALED")


def test_the_original_form_with_raw_records_of_the_kernel(tmp_path: Path) -> None:
    records = [f"4,811,10000000,-;{INVOKED}", f"3,812,10000100,-;{KILLED}", f"14,813,10000200,-;{KILLED}"]
    events = [
        event(at, text, source="kernel.kmsg", category="Kernel", clocks=False)
        for at, text in enumerate(records, 1)
    ]
    answer = why(original(tmp_path / "guest-events.log", events))
    assert (answer.verdict, answer.integrity["state"]) == ("GUEST_OOM", "VERIFIED")
    claimed = [event(1, records[2], source="kernel.kmsg", category="Kernel", clocks=False)]
    assert why(original(tmp_path / "claimed.log", claimed)).verdict == "INSUFFICIENT_EVIDENCE"


def test_windows_events_of_the_host(tmp_path: Path) -> None:
    xml = (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>"
        "<System><Provider Name='Microsoft-Windows-Kernel-Power'/>"
        "<EventID>41</EventID><Level>1</Level><TimeCreated SystemTime='2026-11-27T10:40:03.0Z'/><EventRecordID>9</EventRecordID>"
        "<Channel>System</Channel></System><EventData><Data Name='BugcheckCode'>159</Data></EventData></Event>"
    )
    host = [
        event(
            1,
            xml,
            source="EventLog",
            category="EventLog",
            kind="",
            clocks=False,
            event_id=41,
            channel="System",
        )
    ]
    assert why(original(tmp_path / "host-events.log", host)).verdict == "HOST_BUGCHECK"
    bare = event(
        1,
        "The system has rebooted without cleanly shutting down first",
        source="EventLog",
        category="EventLog",
        clocks=False,
        event_id=41,
        provider="Microsoft-Windows-Kernel-Power",
        BugcheckCode=159,
    )
    assert why(original(tmp_path / "bare.log", [bare])).verdict == "HOST_BUGCHECK"


def test_pstore_text_is_the_kernels_last_word(tmp_path: Path) -> None:
    words = [
        "BUG: kernel NULL pointer dereference, address: 0000000000000010",
        "RIP: 0010:foo_bar+0x1/0x2",
        "Call Trace:",
        " baz+0x1/0x2",
        "Kernel panic - not syncing: Fatal exception",
    ]
    text = "".join(f"<1>[  900.{at:06}] {line}\n" for at, line in enumerate(words))
    record = event(
        5,
        "Kernel left a crash record",
        source="kernel.pstore",
        category="Kernel",
        kind="kernel.pstore",
        text=text,
        path="dmesg-efi-1",
    )
    answer = why(sealed(tmp_path / "guest-events.log", [record]))
    assert answer.verdict == "GUEST_KERNEL_PANIC/OOPS"
    assert (
        answer.kernel_reports[0].title == "BUG: unable to handle kernel NULL pointer dereference in foo_bar"
    )


HOSTILE = [
    "Kernel panic - not syncing: Fatal exception",
    KILLED,
    "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.",
    "\u202e\x1b[31m",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_words_of_others_in_any_field_decide_nothing(tmp_path: Path, text: str) -> None:
    events = [
        kernel(1, text, facility="user"),
        journal(2, text, transport="stdout", unit="app.service", pid=900, uid=1000, identifier="kernel"),
        event(
            3,
            "Process was sent SIGTERM",
            kind="signal.sent",
            source="signal.kill",
            sender_comm=text,
            target_comm=text,
            signal="SIGTERM",
        ),
        event(4, text, kind="resource.sample"),
        event(
            5,
            "Resource utilization",
            hostname=text,
            text=text,
            unit=text,
            kind=text,
            source=text,
            category=text,
        ),
    ]
    answer = why(sealed(tmp_path / "guest-events.log", events))
    assert answer.verdict == "INSUFFICIENT_EVIDENCE", [one.verdict for one in answer.incidents]


def test_of_a_very_long_log_the_end_is_weighed_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sealed(
        tmp_path / "guest-events.log", [event(at, "Resource utilization") for at in range(1, 300)] + oom()
    )
    monkeypatch.setattr(sealed_source, "MOST_BYTES", 8192)
    monkeypatch.setattr("observer.report.why.MOST_BYTES", 8192)
    answer = why(path)
    assert answer.verdict == "GUEST_OOM"
    assert answer.integrity["sources"][0]["unread_bytes"] == path.stat().st_size - 8192
    assert answer.boots[-1]["lines"] < 30


def test_the_page_of_a_verdict(tmp_path: Path) -> None:
    path = sealed(tmp_path / "guest-events.log", [*oom(), kernel(12, "INFO: <script>alert(1)</script>")])
    page = tmp_path / "why.html"
    assert run(["why", "--log", str(path), "--html", str(page), "--json"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "GUEST_OOM" in text
    assert "VERIFIED" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_what_the_hosts_agent_saw_belongs_to_the_boot_that_died(tmp_path: Path) -> None:
    def restarted(seconds: float) -> bytes:
        return event(
            seconds,
            "Service process changed",
            source="ServiceHealth",
            category="ServiceHealth",
            kind="ServiceHealth",
            boot="host-boot",
            run="hh",
            machine_guid="x",
            service="WSLService",
            pid=9,
            previous_pid=7,
        )

    quiet = [event(at, "Resource utilization") for at in range(1, 20)]
    died = {"kind": "machine_died", "previous_boot_id": "b1"}
    after = event(100, "Unclean shutdown", boot="b2", run="r2", clocks=True)
    values = json.loads(after) | {"type": "agent.unclean_shutdown"}
    values["attributes"] = sorted(
        [*values["attributes"], *({"key": key, "value": value} for key, value in died.items())],
        key=lambda one: one["key"],
    )
    guest = sealed(tmp_path / "guest-events.log", [*quiet, json.dumps(values).encode()])
    host = sealed(tmp_path / "host-events.log", [restarted(21)])
    answer = explain([SourceSpec(SourceKind.LOG, guest), SourceSpec(SourceKind.LOG, host)])
    assert answer.verdict == "HOST_SERVICE_STOPPED", [(one.verdict, one.boot) for one in answer.incidents]
    assert len(answer.incidents) == 1


def test_what_was_taken_in_late_is_no_step_of_the_clock(tmp_path: Path) -> None:
    """A journal entry of long ago is read when the agent starts: its time and the agent's were not read together."""
    lines = []
    for at in range(8):
        one = json.loads(
            event(100 + at, f"entry {at}", source="systemd.journal", kind="journal.entry", identifier="app")
        )
        wall = BASE_NS + at * 40 * SECOND
        one["timestamp"] = stamp(wall)
        one["observed"] = {"wall_ns": wall, "monotonic_ns": at * 40 * SECOND, "basis": "journal"}
        lines.append(json.dumps(one, separators=(",", ":")).encode())
    assert (
        explain([SourceSpec(SourceKind.LOG, sealed(tmp_path / "quiet.log", lines))]).verdict
        == "INSUFFICIENT_EVIDENCE"
    )
    lines.append(
        event(120, "Wall clock was set", source="clock.watch", kind="clock.step", step=3_600 * SECOND)
    )
    assert (
        explain([SourceSpec(SourceKind.LOG, sealed(tmp_path / "stepped.log", lines))]).verdict == "CLOCK_STEP"
    )
