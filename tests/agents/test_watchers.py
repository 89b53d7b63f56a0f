# SPDX-License-Identifier: Apache-2.0
"""Blocked tasks, control groups, clocks and pstore: what is told once, what is told of whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from observer.agents.linux.blocked import BlockedTaskWatcher
from observer.agents.linux.cgroups import CgroupMemoryWatcher
from observer.agents.linux.clocks import ClockWatcher
from observer.agents.linux.pstore import PstoreCollector
from observer.model.event import EventSeverity
from tests.agents.feeds import Machine, facts


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def task(machine: Machine, pid: int, state: str, switches: int = 5, started: int = 77) -> None:
    fields = " ".join(["1"] * 18)
    machine.put(f"/proc/{pid}/stat", f"{pid} (a) b (c)) {state} {fields} {started} 0 0\n")
    machine.put(f"/proc/{pid}/status", f"Name:\tx\nvoluntary_ctxt_switches:\t{switches}\n")
    machine.put(f"/proc/{pid}/wchan", "percpu_rwsem_wait")
    machine.put(f"/proc/{pid}/stack", "[<0>] percpu_rwsem_wait+0x1/0x2\n[<0>] vfs_write+0x1/0x2\n")
    machine.put(f"/proc/{pid}/cgroup", "0::/system.slice/x.service\n")


def test_blocked_tasks_with_their_stack(machine: Machine) -> None:
    watcher = machine.make(BlockedTaskWatcher)
    task(machine, 10, "D")
    task(machine, 11, "S")
    assert machine.look(watcher) == []
    machine.clock.move(21)
    seen = machine.look(watcher)
    assert [(one.get("pid"), one.severity) for one in seen] == [("10", EventSeverity.WARNING)]
    assert (seen[0].get("comm"), seen[0].get("wchan"), seen[0].get("seconds")) == (
        "a) b (c)",
        "percpu_rwsem_wait",
        "21",
    )
    assert "vfs_write" in seen[0].get("stack")
    machine.clock.move(20)
    assert machine.look(watcher) == [], "told once"
    machine.clock.move(20)
    assert [one.severity for one in machine.look(watcher)] == [EventSeverity.ERROR]
    task(machine, 10, "D", switches=6)
    assert [one.get("state") for one in machine.look(watcher)] == ["released"], "it ran in between"
    machine.clock.move(10)
    assert machine.look(watcher) == []


def test_a_reused_id_is_another_task(machine: Machine) -> None:
    watcher = machine.make(BlockedTaskWatcher)
    task(machine, 10, "D")
    machine.look(watcher)
    machine.clock.move(30)
    task(machine, 10, "D", started=99)
    assert machine.look(watcher) == []


def cgroup(machine: Machine, path: str, **counts: int) -> None:
    values = {"low": 0, "high": 0, "max": 0, "oom": 0, "oom_kill": 0, "oom_group_kill": 0} | counts
    machine.put(f"/sys/fs/cgroup{path}/memory.events", "".join(f"{k} {v}\n" for k, v in values.items()))
    machine.put(f"/sys/fs/cgroup{path}/memory.current", "4096\n")
    machine.put(f"/sys/fs/cgroup{path}/memory.max", "max\n")


def test_cgroups_deepest_group_is_named(machine: Machine) -> None:
    machine.put("/proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    machine.put("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")
    cgroup(machine, "/system.slice", oom_kill=3)
    cgroup(machine, "/system.slice/a.service", oom_kill=3)
    watcher = machine.make(CgroupMemoryWatcher)
    watcher.check_compatible()
    assert machine.look(watcher) == [], "what was before the agent is no news"
    cgroup(machine, "/system.slice", oom=1, oom_kill=4, max=9)
    cgroup(machine, "/system.slice/a.service", oom=1, oom_kill=4, max=9)
    seen = machine.look(watcher)
    assert [(one.get("cgroup"), one.severity) for one in seen] == [
        ("/system.slice/a.service", EventSeverity.CRITICAL)
    ]
    assert (facts(seen[0])["oom_kill"], facts(seen[0])["cause"]) == ("1", "limit")
    cgroup(machine, "/system.slice", oom=1, oom_kill=6, max=9)
    seen = machine.look(watcher)
    assert [(one.get("cgroup"), one.get("oom_kill")) for one in seen] == [("/system.slice", "2")], (
        "a group that is gone"
    )
    assert facts(seen[0])["cause"] == "machine", "it met no limit: the machine itself ran out of memory"


def test_cgroups_of_version_1(machine: Machine) -> None:
    machine.put("/proc/self/mounts", "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n")
    place = "/sys/fs/cgroup/memory/docker/x"
    machine.put(f"{place}/memory.failcnt", "5\n")
    machine.put(f"{place}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    watcher = machine.make(CgroupMemoryWatcher)
    watcher.check_compatible()
    machine.look(watcher)
    machine.put(f"{place}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert [one.get("cgroup") for one in machine.look(watcher)] == ["/docker/x"]


def test_clocks_steps_sleep_and_stalls(machine: Machine) -> None:
    watcher = machine.make(ClockWatcher)
    assert [one.event_type for one in machine.look(watcher)] == ["clock.sample"]
    machine.clock.move(1)
    assert machine.look(watcher) == []
    machine.clock.move(1, wall=-3600)
    assert [(one.event_type, one.get("step")) for one in machine.look(watcher)] == [
        ("clock.step", "-3600000000000")
    ]
    machine.clock.move(1, asleep=90)
    assert [(one.get("kind"), one.get("gap")) for one in machine.look(watcher)[:1]] == [
        ("suspend", "90000000000")
    ]
    machine.clock.move(31)
    assert ("stall", "30000000000") in [(one.get("kind"), one.get("gap")) for one in machine.look(watcher)]
    for _ in range(3):
        machine.clock.move(1, wall=0.2)
    assert [one.event_type for one in machine.look(watcher)] == ["clock.step"], "drift adds up"


def test_pstore_is_sealed_once_even_when_moved(machine: Machine) -> None:
    text = (
        b"Panic#1 Part1\n"
        + b"<6>[  81.2] x\n" * 500
        + b"<0>[   82.0] Kernel panic - not syncing: sysrq triggered crash\n"
    )
    file = machine.put("/sys/fs/pstore/dmesg-ramoops-0", text)
    collector = machine.make(PstoreCollector)
    collector.check_compatible()
    seen = machine.look(collector)
    assert "".join(one.get("text") for one in seen).encode() == text
    assert {(one.get("kind"), one.get("backend"), one.severity) for one in seen} == {
        ("dmesg", "ramoops", EventSeverity.CRITICAL)
    }
    assert machine.look(collector) == []
    machine.put("/var/lib/systemd/pstore/1795776009/dmesg-ramoops-0", text)
    file.unlink()
    assert machine.look(machine.make(PstoreCollector)) == [], "a later run, the file moved by systemd-pstore"
