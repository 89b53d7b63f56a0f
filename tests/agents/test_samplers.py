# SPDX-License-Identifier: Apache-2.0
"""The collectors that look again and again: thresholds with hysteresis, deltas, counters that begin again, missing feeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from observer.agents.linux import COLLECTORS, enabled_collectors
from observer.agents.linux.blocked import BlockedTaskWatcher
from observer.agents.linux.cgroups import CgroupMemoryWatcher
from observer.agents.linux.clocks import ClockWatcher
from observer.agents.linux.levels import Level
from observer.agents.linux.network import NetworkHealthWatcher
from observer.agents.linux.pressure import PressureStallMonitor
from observer.agents.linux.resources import ResourceMonitor
from observer.agents.linux.units import SystemdFailureWatcher
from observer.agents.settings import load_settings
from observer.errors import CapabilityError
from observer.model.event import EventSeverity
from tests.agents.feeds import Machine, facts

MEMINFO = "MemTotal: 1000 kB\nMemAvailable: {available} kB\nSwapTotal: {swap} kB\nSwapFree: {free} kB\nDirty: 4 kB\n"
NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:   10 1 9 9 0 0 0 0 10 1 9 9 0 0 0 0
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def set_resources(machine: Machine, **values: int) -> None:
    v = {
        "available": 500,
        "swap": 0,
        "free": 0,
        "busy": 0,
        "idle": 0,
        "steal": 0,
        "oom": 0,
        "pin": 0,
        "pout": 0,
    } | values
    machine.put("/proc/meminfo", MEMINFO.format(**v))
    machine.put(
        "/proc/stat",
        f"cpu  {v['busy']} 0 0 {v['idle']} 0 0 0 {v['steal']} 0 0\ncpu0 1 2 3\nprocs_blocked 2\n",
    )
    machine.put("/proc/vmstat", f"pswpin {v['pin']}\npswpout {v['pout']}\noom_kill {v['oom']}\n")
    machine.put("/proc/loadavg", "0.50 0.40 0.30 1/100 4242\n")


def test_level_comes_down_only_past_the_hysteresis() -> None:
    level = Level(90, 97, 5)
    states = [level.update(value) for value in (89, 90, 89, 97, 96, 92, 91, 86, 85, 84)]
    assert states == [None, "warning", None, "critical", None, "warning", None, None, "normal", None]


def test_resources_sample_and_thresholds(machine: Machine) -> None:
    set_resources(machine, busy=0, idle=100)
    monitor = machine.make(ResourceMonitor)
    first = machine.look(monitor)
    assert [one.event_type for one in first] == ["resource.sample"]
    assert "cpu" not in facts(first[0])
    machine.clock.move(5)
    set_resources(machine, busy=60, idle=130, steal=10, swap=100, free=100)
    sample = facts(machine.look(monitor)[0])
    assert (sample["cpu"], sample["steal"], sample["mem"], sample["swap"]) == ("60.0", "10.0", "50.0", "0.0")
    assert sample["tasks_blocked"] == "2"
    machine.put("/proc/77/statm", "900 123 3 0 0 0 0")
    machine.put("/proc/77/comm", "hog hog\n")
    machine.clock.move(5)
    set_resources(machine, available=50, busy=60, idle=230, steal=10, swap=100, free=5)
    crossed = machine.look(monitor)[1:]
    assert {(one.get("resource"), one.get("state"), one.severity) for one in crossed} == {
        ("memory", "warning", EventSeverity.WARNING),
        ("swap", "critical", EventSeverity.CRITICAL),
    }
    assert crossed[0].get("top").startswith("77:hog_hog:")
    assert len(machine.look(monitor)) == 1, "it is told once"
    set_resources(machine, available=120, busy=60, idle=330, steal=10, swap=100, free=5)
    assert len(machine.look(monitor)) == 1, "88 % is within the hysteresis"
    set_resources(machine, available=200, busy=60, idle=430, steal=10, swap=100, free=90)
    assert {one.get("state") for one in machine.look(monitor)[1:]} == {"normal"}


def test_counters_that_step_back_are_no_load(machine: Machine) -> None:
    set_resources(machine, busy=1000, idle=1000, oom=5, pin=500)
    monitor = machine.make(ResourceMonitor)
    machine.look(monitor)
    machine.clock.move(5)
    set_resources(machine, busy=10, idle=1100, oom=0, pin=0)
    sample = facts(machine.look(monitor)[0])
    assert (sample["cpu"], sample["swap_in"]) == ("0.0", "0")


def test_oom_kills_are_counted_from_the_start_of_the_agent(machine: Machine) -> None:
    set_resources(machine, oom=7)
    monitor = machine.make(ResourceMonitor)
    assert [one.event_type for one in machine.look(monitor)] == ["resource.sample"]
    set_resources(machine, oom=9)
    machine.clock.move(5)
    kill = machine.look(monitor)[0]
    assert (kill.severity, facts(kill)) == (EventSeverity.CRITICAL, {"kills": "2", "total": "9"})


def test_oom_kills_while_the_agent_was_down_are_told_by_the_next_run_of_that_boot(machine: Machine) -> None:
    set_resources(machine, oom=7)
    machine.look(machine.make(ResourceMonitor))
    set_resources(machine, oom=9)
    machine.clock.move(5)
    kill = machine.look(machine.make(ResourceMonitor))[0]
    assert (kill.event_type, facts(kill)) == ("memory.oom_kill", {"kills": "2", "total": "9"})
    set_resources(machine, oom=1)
    other = machine.make(ResourceMonitor, boot_id="00000000-0000-0000-0000-000000000007")
    assert [one.event_type for one in machine.look(other)] == ["resource.sample"], (
        "another boot counts from 0"
    )


def test_cpu_must_be_busy_for_three_looks(machine: Machine) -> None:
    monitor = machine.make(ResourceMonitor)
    seen = []
    for number in range(6):
        set_resources(machine, busy=100 * number, idle=0)
        machine.clock.move(5)
        seen.append(len(machine.look(monitor)) - 1)
    assert seen == [0, 0, 0, 1, 0, 0]


def pressure(
    machine: Machine, resource: str, some: tuple[float, float], full: tuple[float, float] = (0, 0)
) -> None:
    for each in ("memory", "cpu", "io"):
        values = (some, full) if each == resource else ((0.0, 0.0), (0.0, 0.0))
        lines = [
            f"{kind} avg10={a:.2f} avg60={b:.2f} avg300=0.00 total=10"
            for kind, (a, b) in zip(("some", "full"), values, strict=True)
        ]
        machine.put(f"/proc/pressure/{each}", "\n".join(lines[: 1 if each == "cpu" else 2]) + "\n")


@pytest.mark.parametrize(
    ("resource", "some", "full", "severity"),
    [
        ("memory", (39, 30), (5, 0), None),
        ("memory", (0, 31), (0, 0), EventSeverity.WARNING),
        ("memory", (0, 0), (6, 0), EventSeverity.WARNING),
        ("memory", (61, 31), (0, 0), EventSeverity.CRITICAL),
        ("memory", (0, 0), (11, 0), EventSeverity.CRITICAL),
        ("cpu", (60, 90), (0, 0), None),
        ("cpu", (61, 0), (0, 0), EventSeverity.WARNING),
        ("cpu", (81, 0), (0, 0), EventSeverity.CRITICAL),
        ("io", (59, 90), (40, 90), None),
        ("io", (61, 0), (0, 0), EventSeverity.WARNING),
        ("io", (90, 0), (81, 0), EventSeverity.CRITICAL),
    ],
)
def test_pressure_thresholds(
    machine: Machine,
    resource: str,
    some: tuple[float, float],
    full: tuple[float, float],
    severity: EventSeverity | None,
) -> None:
    monitor = machine.make(PressureStallMonitor)
    pressure(machine, resource, some, full)
    seen = machine.look(monitor)
    assert [one.severity for one in seen] == ([severity] if severity else [])
    assert all(one.source == f"pressure.{resource}" and one.get("state") == "onset" for one in seen)


def test_memory_pressure_fires_on_a_rise(machine: Machine) -> None:
    monitor = machine.make(PressureStallMonitor)
    assert _onsets(machine, monitor, (37, 39, 41, 42.5), every_s=2) == [0, 0, 0, 1], "above 40 and 5.5 in 6 s"
    slow = machine.make(PressureStallMonitor)
    assert sum(_onsets(machine, slow, (37, 39, 41, 43, 45, 47), every_s=6)) == 0, "never 5 in 10 s"


def _onsets(
    machine: Machine, monitor: PressureStallMonitor, values: tuple[float, ...], every_s: float
) -> list[int]:
    seen = []
    for some in values:
        pressure(machine, "memory", (some, 0))
        seen.append(len(machine.look(monitor)))
        machine.clock.move(every_s)
    return seen


def test_pressure_is_told_at_onset_change_each_minute_and_end(machine: Machine) -> None:
    monitor = machine.make(PressureStallMonitor)
    states = []
    for some in (70, 70, 90, 70, 50, 40, 70):
        pressure(machine, "cpu", (some, 0))
        states += [(one.get("state"), one.message) for one in machine.look(monitor)]
        machine.clock.move(2)
    sustained = "CPU pressure sustained"
    assert states == [
        ("onset", sustained),
        ("worse", sustained),
        ("better", sustained),
        ("relieved", "CPU pressure relieved"),
        ("onset", sustained),
    ], "at 50 % it is below the threshold and still within the hysteresis"
    machine.clock.move(61)
    assert [one.get("state") for one in machine.look(monitor)] == ["lasting"]


def test_missing_pressure_files_are_said(machine: Machine) -> None:
    pressure(machine, "memory", (0, 0))
    machine.root.joinpath("proc/pressure/io").unlink()
    with pytest.raises(CapabilityError, match="/proc/pressure/io"):
        machine.make(PressureStallMonitor).check_compatible()


def net(machine: Machine, **interfaces: tuple[int, int, int, int, int, int]) -> None:
    rows = [
        f"  {n}: {b} 1 {e} {d} 0 0 0 0 {tb} 1 {te} {td} 0 0 0 0"
        for n, (b, e, d, tb, te, td) in interfaces.items()
    ]
    machine.put("/proc/net/dev", NET + "\n".join(rows) + "\n")


def test_network_deltas_resets_and_changes(machine: Machine) -> None:
    watcher = machine.make(NetworkHealthWatcher)
    machine.put("/sys/class/net/eth0/operstate", "up\n")
    net(machine, eth0=(1000, 5, 5, 1000, 5, 5), wlan0=(1, 0, 0, 1, 0, 0))
    assert machine.look(watcher) == []
    net(machine, eth0=(2000, 7, 5, 2000, 5, 8), wlan0=(1, 0, 0, 1, 0, 0))
    seen = machine.look(watcher)
    assert (len(seen), seen[0].severity, seen[0].source) == (1, EventSeverity.WARNING, "net.dev")
    assert facts(seen[0]) == {
        "interface": "eth0",
        "rx_errors": "2",
        "tx_errors": "0",
        "rx_dropped": "0",
        "tx_dropped": "3",
        "rx_bytes": "2000",
        "tx_bytes": "2000",
    }
    net(machine, eth0=(2100, 7, 9, 2000, 5, 8), wlan0=(1, 0, 0, 1, 0, 0))
    assert [one.severity for one in machine.look(watcher)] == [EventSeverity.INFO], "drops alone"
    net(machine, eth0=(3, 0, 0, 1, 0, 0), veth9=(1, 1, 1, 1, 1, 1))
    machine.put("/sys/class/net/eth0/operstate", "down\n")
    states = {(one.get("interface"), one.get("state")) for one in machine.look(watcher)}
    assert states == {
        ("eth0", "counters_reset"),
        ("eth0", "carrier_lost"),
        ("wlan0", "vanished"),
        ("veth9", "appeared"),
    }
    machine.put("/sys/class/net/eth0/operstate", "up\n")
    assert [one.get("state") for one in machine.look(watcher)] == ["carrier_back"]


def test_units_failures_and_recoveries(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = machine.make(SystemdFailureWatcher)
    failed: list[str] = ["old.service"]
    monkeypatch.setattr(SystemdFailureWatcher, "list_failed", lambda _: list(failed))
    shown = {
        "ssh.service": {
            "LoadState": "loaded",
            "Result": "exit-code",
            "ExecMainCode": "1",
            "ExecMainStatus": "203",
        },
        "old.service": {"LoadState": "loaded", "ActiveState": "active"},
    }
    monkeypatch.setattr(
        SystemdFailureWatcher, "show_units", lambda _, names: {name: shown[name] for name in names}
    )
    assert [(one.get("unit"), one.get("found")) for one in machine.look(watcher)] == [
        ("old.service", "startup")
    ]
    failed[:] = ["old.service", "ssh.service"]
    seen = machine.look(watcher)
    assert [(one.get("unit"), one.severity) for one in seen] == [("ssh.service", EventSeverity.ERROR)]
    assert (seen[0].get("result"), seen[0].get("exit_code"), seen[0].get("failed"), seen[0].get("units")) == (
        "exit-code",
        "exited",
        "2",
        "old.service ssh.service",
    )
    assert machine.look(watcher) == []
    machine.clock.move(90)
    failed[:] = ["ssh.service"]
    seen = machine.look(watcher)
    assert [one.event_type for one in seen] == ["systemd.unit_recovered"]
    assert (seen[0].get("unit"), seen[0].get("state"), seen[0].get("seconds")) == (
        "old.service",
        "active",
        "90",
    )


def test_every_collector_has_its_section_and_can_be_switched_off() -> None:
    settings = load_settings()
    assert enabled_collectors(settings) == list(COLLECTORS)
    assert len({kind.name for kind in COLLECTORS}) == len(COLLECTORS)


@pytest.mark.parametrize(
    "kind",
    [
        ResourceMonitor,
        PressureStallMonitor,
        NetworkHealthWatcher,
        ClockWatcher,
        BlockedTaskWatcher,
        CgroupMemoryWatcher,
    ],
)
def test_live(kind: type[ResourceMonitor]) -> None:
    machine = Machine(Path("/"))
    collector = machine.make(kind)
    try:
        collector.check_compatible()
    except CapabilityError as error:
        pytest.skip(f"{kind.name}: {error}")
    machine.look(collector)
    machine.clock.move(5)
    machine.look(collector)
