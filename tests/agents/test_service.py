# SPDX-License-Identifier: Apache-2.0
"""The package and its hardened unit under real systemd and journald: every collector speaks, the score holds, it goes cleanly."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer.evidence import read_log, verify_log
from observer.model.event_record import EventRecord
from tests.agents import machines
from tests.agents.feeds import VALIDATOR
from tests.agents.machines import LOG, Machine

pytestmark = pytest.mark.skipif(bool(machines.why_not()), reason=machines.why_not() or "-")

CONFIG = """
[blocked]
period = "500ms"
after = "1s"
[units]
period = "500ms"
[network]
period = "500ms"
[pressure]
period = "500ms"
cpu_some10 = "0%"
[pstore]
period = "1s"
[peer]
period = "1s"
peers = ["/run/wsl-monitor/agent.sock"]
"""
# A parent that waits for a vfork is in uninterruptible sleep; so is nothing else that can be made without breaking a disk.
BLOCK = """
import ctypes, os, time
child = ctypes.CDLL(None).syscall(56, 0x4000 | 17, 0, 0, 0, 0)
if child == 0:
    time.sleep(20)
    os._exit(0)
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    try:
        machine.install(machines.package())
        yield machine
    finally:
        machine.close()


def records(machine: Machine) -> list[EventRecord]:
    found = []
    for line in read_log(machine.root / LOG):
        if line.kind is None:
            found.append(EventRecord.from_json(line.event))
    return found


def test_the_unit_works_with_every_collector(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (machine.root / "etc/wsl-monitor/agent.toml").write_text(CONFIG)
    (machine.root / "opt/block.py").write_text(BLOCK)
    machine.boot()
    machine.trace()
    machine.must("systemctl", "restart", "wsl-monitor")
    score = machine.call("systemd-analyze", "security", "--no-pager", "wsl-monitor").stdout.splitlines()[-1]
    with capsys.disabled():
        print(f"\n{score.strip()}")
    number = re.search(r"level for wsl-monitor.service: ([\d.]+)", score)
    assert number is not None
    assert float(number[1]) <= 3.0
    provoke(machine)
    with contextlib.suppress(AssertionError):
        machine.wait(lambda: not wanted(machine), 60)
    assert not wanted(machine), machine.must("observer", "agent", "status")
    states = json.loads(machine.must("observer", "agent", "status", "--json"))["collectors"]
    assert {one["name"]: one["state"] for one in states} == dict.fromkeys(
        (one["name"] for one in states), "running"
    )
    check_facts(machine)
    machine.must("systemctl", "stop", "wsl-monitor")
    verify_log(machine.root / LOG)


def provoke(machine: Machine) -> None:
    """Make one thing happen for each collector."""
    machine.must("logger", "-p", "user.err", "observer-test journal")
    machine.must("sh", "-c", "echo '<4>observer-test kernel' > /dev/kmsg")
    machine.must("sh", "-c", "mkdir -p /var/crash && sleep 1.5 && echo core > /var/crash/x.crash")
    machine.must(
        "sh", "-c", "mkdir -p /var/lib/systemd/pstore && echo 'Panic#1' > /var/lib/systemd/pstore/dmesg-efi-1"
    )
    machine.call("systemd-run", "--wait", "--unit=observer-fails", "false")
    machine.must("ip", "link", "add", "observer0", "type", "bridge")
    machine.must(
        "systemd-run",
        "--unit=observer-busy",
        "sh",
        "-c",
        "for i in 1 2 3; do timeout 5 sh -c 'while :; do :; done' & done; wait",
    )
    machine.must("systemd-run", "--unit=observer-block", "python3", "/opt/block.py")
    machine.must("sh", "-c", "sleep 60 & sleep 0.5; kill -9 $!")


EXPECTED = {
    *("agent.start", "journal.entry", "kernel.message", "kernel.pstore", "resource.sample", "pressure.stall"),
    *(
        "task.blocked",
        "crash.dump",
        "systemd.unit_failed",
        "network.interface",
        "signal.sent",
        "clock.sample",
        "clock.exchange",
    ),
}


def wanted(machine: Machine) -> set[str]:
    found = records(machine)
    # Another unit may fail while the machine boots: only the one that was made to fail counts.
    others = {"systemd.unit_failed": "observer-fails.service"}
    told = {one.event_type for one in found if one.get("unit") == others.get(one.event_type, one.get("unit"))}
    return EXPECTED - told


def check_facts(machine: Machine) -> None:
    found = records(machine)
    by_type = {one.event_type: one for one in found}
    for one in by_type.values():
        VALIDATOR.validate(one.to_dict())
    assert any(one.message == "observer-test journal" and one.severity.value == "error" for one in found)
    assert any(one.message == "observer-test kernel" and one.get("facility") == "user" for one in found)
    blocked = next(one for one in found if one.event_type == "task.blocked")
    assert "kernel_clone" in blocked.get("stack") or "vfork" in blocked.get("stack"), (
        "CAP_SYS_ADMIN is for this"
    )
    assert next(
        one
        for one in found
        if one.get("unit") == "observer-fails.service" and one.event_type == "systemd.unit_failed"
    )
    kill = next(one for one in found if one.event_type == "signal.sent" and one.get("target_comm") == "sleep")
    assert (kill.get("signal"), kill.get("by")) == ("SIGKILL", "user")
    assert by_type["crash.dump"].get("sha256")


def test_install_upgrade_remove_purge(machine: Machine, tmp_path: Path) -> None:
    machine.boot()
    machine.wait(lambda: machine.call("observer", "agent", "status").returncode == 0, 20)
    newer = tmp_path / "newer"
    machines.run("dpkg-deb", "-R", str(machines.package()), str(newer))
    control = newer / "DEBIAN/control"
    control.write_text(re.sub(r"Version: .*", "Version: 9.0.0", control.read_text()))
    machines.run(
        "dpkg-deb",
        "--root-owner-group",
        "-Znone",
        "--build",
        str(newer),
        str(machine.root / "opt/newer.deb"),
    )
    shutil.rmtree(newer)
    before = machine.must("systemctl", "show", "-P", "MainPID", "wsl-monitor").strip()
    machine.must("dpkg", "-i", "/opt/newer.deb")
    machine.wait(
        lambda: (
            machine.must("systemctl", "show", "-P", "MainPID", "wsl-monitor").strip() not in {before, "0"}
        ),
        20,
    )
    machine.wait(lambda: machine.call("observer", "agent", "status").returncode == 0, 20)
    status = json.loads(machine.must("observer", "agent", "status", "--json"))
    assert status["previous_end"] == "clean"
    machine.must("dpkg", "-r", "wsl-monitor")
    assert machine.call("systemctl", "is-active", "wsl-monitor").stdout.strip() in {"inactive", "unknown"}
    assert not (machine.root / "usr/lib/wsl-monitor").exists()
    assert (machine.root / LOG).exists(), "the log is evidence"
    verify_log(machine.root / LOG)
    machine.must("dpkg", "-P", "wsl-monitor")
    assert not (machine.root / "var/log/wsl-monitor").exists()
    assert machine.call("dpkg-query", "-W", "wsl-monitor").returncode != 0


def test_shut_down_killed_and_cut_off(machine: Machine) -> None:
    machine.boot()
    machine.wait(lambda: machine.call("observer", "agent", "status").returncode == 0, 20)
    machine.must("logger", "observer-test before the kill")
    time.sleep(0.3)
    pid = machine.must("systemctl", "show", "-P", "MainPID", "wsl-monitor").strip()
    machine.must("kill", "-9", pid)
    machine.wait(
        lambda: machine.must("systemctl", "show", "-P", "MainPID", "wsl-monitor").strip() not in {pid, "0"},
        20,
    )
    machine.wait(lambda: machine.call("observer", "agent", "status").returncode == 0, 20)
    status = json.loads(machine.must("observer", "agent", "status", "--json"))
    assert status["previous_end"] == "agent_killed"
    machine.call("systemctl", "poweroff")
    machine.wait_off()
    found = records(machine)
    assert (found[-1].event_type, found[-1].get("system_state")) == ("agent.stop", "stopping")
    assert sum(one.message == "observer-test before the kill" for one in found) == 1, (
        "recovered or read again, once"
    )
    machine.boot()
    machine.wait(lambda: machine.call("observer", "agent", "status").returncode == 0, 20)
    assert json.loads(machine.must("observer", "agent", "status", "--json"))["previous_end"] == "clean"
    assert sum(one.message == "observer-test before the kill" for one in records(machine)) == 1, (
        "the cursor is kept"
    )
    verify_log(machine.root / LOG)
