# SPDX-License-Identifier: Apache-2.0
"""Whole logs of machines, containers and hosts: the right verdict, or an abstention, and the same in every notation."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from observer.report.diagnosis import Diagnosis
from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain
from tests.unit.report.labelled import OWN

_PARTS = [
    part
    for path in sorted(OWN.glob("scenarios*.txt"))
    for part in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]
]
SCENARIOS = {part.split("|", 1)[0]: part.split("|", 1)[1] for part in _PARTS}


def diagnose(text: str, kind: SourceKind, tmp_path: Path) -> Diagnosis:
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    return explain([SourceSpec(kind, log)])


def test_no_scenario_hides_another() -> None:
    assert len(SCENARIOS) == len(_PARTS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, tmp_path: Path) -> None:
    head, body = SCENARIOS[name].split("\n", 1)
    *wanted, kind = head.split("|")
    answer = diagnose(body, SourceKind(kind), tmp_path)
    assert any(fnmatch.fnmatchcase(answer.verdict, one) for one in wanted), (
        answer.verdict,
        [(one.verdict, one.confidence) for one in answer.incidents],
    )


def test_a_log_of_two_incidents_tells_both(tmp_path: Path) -> None:
    answer = diagnose(SCENARIOS["two_incidents"].split("\n", 1)[1], SourceKind.SYSLOG, tmp_path)
    assert [one.verdict.split("/")[0] for one in answer.incidents] == ["CGROUP_OOM", "STORAGE"]


FAULTS = {
    "GUEST_OOM": [
        "java invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        "Out of memory: Killed process 2201 (java) total-vm:9000kB, anon-rss:3900kB, file-rss:0kB, shmem-rss:0kB, UID:1000",
    ],
    "GUEST_KERNEL_PANIC/OOPS": [
        "BUG: kernel NULL pointer dereference, address: 0000000000000028",
        "Oops: 0000 [#1] SMP PTI",
        "CPU: 3 PID: 881 Comm: x Not tainted 5.15.90 #1",
        "RIP: 0010:foo_bar+0x1a1/0x3d0",
        "Call Trace:",
        " baz+0x5a/0x1c0",
        "Kernel panic - not syncing: Fatal exception",
    ],
    "HUNG/TASK": [
        "INFO: task rsync:8811 blocked for more than 120 seconds.",
        "      Not tainted 5.14.0 #1",
        "Call Trace:",
        " __schedule+0x248/0x620",
        " foo_wait+0x5a/0xc0",
    ],
    "THERMAL": ["thermal thermal_zone2: critical temperature reached(105 C), shutting down"],
}


def _json(at: int, text: str) -> str:
    return json.dumps(
        {
            "_TRANSPORT": "kernel",
            "SYSLOG_IDENTIFIER": "kernel",
            "MESSAGE": text,
            "__REALTIME_TIMESTAMP": str(1772334671000000 + at),
            "__MONOTONIC_TIMESTAMP": str(8811000000 + at),
            "_BOOT_ID": "a" * 32,
            "__CURSOR": f"s={at}",
        }
    )


NOTATIONS: dict[str, Callable[[int, str], str]] = {
    "dmesg": lambda at, text: f"[ 8811.{at:06}] {text}",
    "caller": lambda at, text: f"[ 8811.{at:06}][ T811] {text}",
    "dmesg with callers": lambda at, text: f"[ 8811.{at:06}] [    T811] {text}",
    "dmesg -r": lambda at, text: f"<3>[ 8811.{at:06}] {text}",
    "dmesg -x": lambda at, text: f"kern  :err   : [ 8811.{at:06}] {text}",
    "dmesg -T": lambda at, text: f"[Sun Mar  1 03:11:11 2026] {text}",
    "dmesg iso": lambda at, text: f"2026-03-01T03:11:11,{at:06}+00:00 {text}",
    "coloured": lambda at, text: f"\x1b[32m[ 8811.{at:06}] \x1b[0m{text}",
    "kmsg": lambda at, text: f"3,{at},{8811000000 + at},-,caller=T811;{text}",
    "syslog": lambda at, text: f"Mar  1 03:11:11 host kernel: [ 8811.{at:06}] {text}",
    "syslog without stamp": lambda at, text: f"Mar  1 03:11:11 host kernel: {text}",
    "syslog iso": lambda at, text: f"2026-03-01T03:11:11.{at:06}+01:00 host kernel: [ 8811.{at:06}] {text}",
    "rfc 5424": lambda at, text: (
        f"<3>1 2026-03-01T03:11:11.{at:06}Z host kernel - - - [ 8811.{at:06}] {text}"
    ),
    "short-precise": lambda at, text: f"Mar 01 03:11:11.{at:06} host kernel: {text}",
    "short-iso": lambda at, text: f"2026-03-01T03:11:11+0000 host kernel: {text}",
    "short-full": lambda at, text: f"Sun 2026-03-01 03:11:11 UTC host kernel: {text}",
    "short-unix": lambda at, text: f"1772334671.{at:06} host kernel: {text}",
    "with-unit": lambda at, text: f"Sun 2026-03-01 03:11:11.{at:06} UTC host kernel[n/a]: {text}",
    "short-monotonic": lambda at, text: f"[ 8811.{at:06}] host kernel: {text}",
    "cat": lambda at, text: text,
    "cited in a mail": lambda at, text: f"> [ 8811.{at:06}] {text}",
    "indented": lambda at, text: f"    [ 8811.{at:06}] {text}",
    "line ends of Windows": lambda at, text: f"[ 8811.{at:06}] {text}\r",
    "carriage return first": lambda at, text: f"\r[ 8811.{at:06}] {text}\r",
    "terminal capture": lambda at, text: f"\x1b[?25l\x1b[01;01H\x1b[1;33m[ 8811.{at:06}] {text}\x1b[0m\x1b[K",
    "console server": lambda at, text: f"2026-03-01 03:11:11.100 console: [ 8811.{at:06}] {text}",
    "console server, syslog's time": lambda at, text: f"Mar  1 03:11:11 ttyS0: [ 8811.{at:06}] {text}",
    "time put before": lambda at, text: f"[2026-03-01 03:11:11.100] [ 8811.{at:06}] {text}",
    "logcat": lambda at, text: f"03-01 03:11:11.100     0     0 E kernel  : [ 8811.{at:06}] {text}",
    "logcat with user": lambda at, text: f"03-01 03:11:11.100  root     0     0 E kernel  : {text}",
    "logcat brief": lambda at, text: f"E/kernel  (    0): [ 8811.{at:06}] {text}",
    "container engine's file": lambda at, text: json.dumps(
        {"log": f"[ 8811.{at:06}] {text}\r\n", "stream": "stdout", "time": f"2026-03-01T03:11:11.{at:06}000Z"}
    ),
    "container runtime's file": lambda at, text: (
        f"2026-03-01T03:11:11.{at:06}000Z stdout F [ 8811.{at:06}] {text}"
    ),
    "cloud's serial port": lambda at, text: json.dumps(
        {"textPayload": f"[ 8811.{at:06}] {text}", "timestamp": f"2026-03-01T03:11:11.{at:06}Z"}
    ),
    "journal passed on": lambda at, text: json.dumps(
        {
            "ts": 1772334671.1,
            "fields": {"_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel", "MESSAGE": text},
        }
    ),
    "compose": lambda at, text: f"vm_1  | [ 8811.{at:06}] {text}",
    "busybox": lambda at, text: f"Mar  1 03:11:11 host user.err kernel: {text}",
    "openwrt": lambda at, text: f"Sun Mar  1 03:11:11 2026 kern.err kernel: [ 8811.{at:06}] {text}",
    "syslog without host": lambda at, text: f"Mar  1 03:11:11 kernel: [ 8811.{at:06}] {text}",
    "dmesg -d": lambda at, text: f"[ 8811.{at:06} <    0.000001>] {text}",
    "dmesg -H": lambda at, text: f"[Mar 1 03:11] {text}" if at == 100_000 else f"[  +0.{at:06}] {text}",
    "phone": lambda at, text: f"<3>[ 8811.{at:06}]  [3:    kworker/3:1:  881] {text}",
    "phone, other": lambda at, text: f"[ 8811.{at:06}]  (3)[881:kworker/3:1]{text}",
    "grep": lambda at, text: f"/var/log/kern.log:7:Mar  1 03:11:11 host kernel: [ 8811.{at:06}] {text}",
    "verbose": lambda at, text: (
        f"Sun 2026-03-01 03:11:11.{at:06} UTC [s=06;i={at:x};b={'a' * 32};m=20d{at:x};t=64bf7e{at:x};x=9]\n"
        f"    _TRANSPORT=kernel\n    SYSLOG_IDENTIFIER=kernel\n    MESSAGE={text}"
    ),
    "json-pretty": lambda at, text: json.dumps(json.loads(_json(at, text)), indent=1),
    "json-sse": lambda at, text: f"data: {_json(at, text)}\n",
    "json": _json,
}


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("verdict", FAULTS)
def test_every_notation_gives_the_same_verdict(notation: str, verdict: str, tmp_path: Path) -> None:
    lines = [NOTATIONS[notation](100_000 + at, text) for at, text in enumerate(FAULTS[verdict])]
    assert diagnose("\n".join(lines) + "\n", SourceKind.PLAIN, tmp_path).verdict == verdict


def test_no_harmless_kernel_line_decides_by_itself(tmp_path: Path) -> None:
    lines = SCENARIOS["harmless_kernel_lines"].split("\n", 1)[1].splitlines()
    assert len(lines) > 100
    answers = {line: diagnose(f"{line}\n", SourceKind.PLAIN, tmp_path).verdict for line in lines}
    assert {line: one for line, one in answers.items() if one != "INSUFFICIENT_EVIDENCE"} == {}


ORDINARY = (
    "sshd[811]: Accepted publickey for deploy from 10.0.0.9 port 51122 ssh2",
    "CRON[912]: (root) CMD (run-parts /etc/cron.hourly)",
    'app[99]: level=info msg="panic recovered" code=12',
    "cache[98]: warning: out of memory budget, evicting 12",
    "queue[97]: task blocked for more than 120 ms",
    "systemd[1]: Started session 12 of user root.",
    "kernel: perf: interrupt took too long (2512 > 2500), lowering kernel.perf_event_max_sample_rate to 79500",
)


def _traffic(minutes: range) -> list[str]:
    return [
        f"Mar  1 {at // 60:02}:{at % 60:02}:{n:02} host {one}"
        for at in minutes
        for n, one in enumerate(ORDINARY)
    ]


@pytest.mark.parametrize("verdict", FAULTS)
def test_ordinary_traffic_around_it_changes_no_verdict(verdict: str, tmp_path: Path) -> None:
    lines = [f"Mar  1 03:11:11 host kernel: {text}" for text in FAULTS[verdict]]
    text = "\n".join([*_traffic(range(60)), *lines, *_traffic(range(192, 200))]) + "\n"
    assert diagnose(text, SourceKind.PLAIN, tmp_path).verdict == verdict


def test_ordinary_traffic_alone_decides_nothing(tmp_path: Path) -> None:
    text = "\n".join(_traffic(range(600))) + "\n"
    assert diagnose(text, SourceKind.PLAIN, tmp_path).verdict == "INSUFFICIENT_EVIDENCE"


def test_what_powershell_writes_is_read(tmp_path: Path) -> None:
    lines = [NOTATIONS["dmesg"](100_000 + at, text) for at, text in enumerate(FAULTS["GUEST_OOM"])]
    (tmp_path / "log").write_bytes("\r\n".join(lines).encode("utf-16"))
    assert explain([SourceSpec(SourceKind.PLAIN, tmp_path / "log")]).verdict == "GUEST_OOM"


@pytest.mark.parametrize(
    "line",
    [
        "Mar  1 03:11:11 host console[812]: [ 8811.100000] {}",
        "Mar  1 03:11:11 host console: [ 8811.100000] {}",
        "03-01 03:11:11.100  1000  1000 E kernel  : [ 8811.100000] {}",
        '{{"log":"{}\\n","stream":"stdout","time":"2026-03-01T03:11:11Z"}}',
        "2026-03-01T03:11:11.000000000Z stdout F {}",
    ],
)
def test_a_wrapper_lends_no_authority(line: str, tmp_path: Path) -> None:
    texts = [line.format(text) for text in FAULTS["GUEST_OOM"]]
    assert diagnose("\n".join(texts) + "\n", SourceKind.PLAIN, tmp_path).verdict == "INSUFFICIENT_EVIDENCE"
