# SPDX-License-Identifier: Apache-2.0
"""Clocks of both sides: read from a hypervisor's device, asked of another agent, and what the merged report makes of them."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from observer.agents.link.clock_peer import ClockServer, ask_clocks
from observer.agents.linux.peer import ClockPeer
from observer.errors import CapabilityError, DeliveryError, UsageError
from observer.timeline import ReportOptions, make_report
from tests.agents.feeds import BOOT, Machine, facts
from tests.agents.test_agent import CONFIG, Run

AHEAD_NS = 90_000_000_000


def hypervisor(machine: Machine) -> ClockPeer:
    """A guest whose host's clock is 90 s ahead, with a network card that has a clock too."""
    for number, name in enumerate(["e1000e_ptp", "KVM virtual PTP"]):
        machine.put(f"/sys/class/ptp/ptp{number}/clock_name", name + "\n")
        machine.put(f"/dev/ptp{number}", "")
    collector: ClockPeer = machine.make(ClockPeer)

    def device_ns(handle: int) -> int:
        assert Path(f"/proc/self/fd/{handle}").readlink().name == "ptp1"
        machine.clock.move(0.000_010)
        reading = machine.clock.now.wall_ns + AHEAD_NS
        machine.clock.move(0.000_010)
        return reading

    collector._device_ns = device_ns
    return collector


def test_the_hypervisors_clock_is_read_and_a_network_cards_is_not(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (one,) = machine.look(hypervisor(machine))
    told = {key: int(value) for key, value in facts(one).items() if key != "link"}
    assert (one.event_type, one.get("link")) == ("clock.exchange", "ptp1")
    assert told["received_boottime"] - told["sent_boottime"] == 20_000
    middle = (told["sent_boottime"] + told["received_boottime"]) // 2
    wall = machine.clock.now.wall_ns - machine.clock.now.boottime_ns + middle
    assert told["peer_received_wall"] == told["peer_sent_wall"] == wall + AHEAD_NS


def test_without_any_link_nothing_is_said_and_nothing_is_wrong(tmp_path: Path) -> None:
    collector = Machine(tmp_path).make(ClockPeer)
    collector.check_compatible()
    assert list(collector.look()) == []


def test_an_agent_that_is_named_and_silent_is_a_missing_feed(tmp_path: Path) -> None:
    collector = Machine(tmp_path).make(ClockPeer, peers=[str(tmp_path / "nobody")])
    with pytest.raises(CapabilityError, match="no agent answers"):
        collector.check_compatible()


@pytest.mark.parametrize("address", ["", "nowhere", "host:99999", "vsock:x:1", "http://h:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        ask_clocks(address)


ANSWER = {"boot_id": BOOT} | {
    key: {"wall_ns": 5, "monotonic_ns": 5, "boottime_ns": 5} for key in ("received", "sent")
}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]\n",
        b"{" * 5000 + b"\n",
        b"x" * 100_000,
        json.dumps(ANSWER | {"boot_id": "../../etc"}).encode() + b"\n",
        json.dumps(ANSWER | {"sent": {"wall_ns": 1e300, "monotonic_ns": 1, "boottime_ns": 1}}).encode()
        + b"\n",
        json.dumps(ANSWER | {"sent": {"wall_ns": 1, "monotonic_ns": 1, "boottime_ns": 1}}).encode() + b"\n",
        json.dumps(ANSWER | {"received": {"wall_ns": True, "monotonic_ns": 1, "boottime_ns": 1}}).encode()
        + b"\n",
    ],
)
def test_a_hostile_answer_is_refused(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(DeliveryError, match=r"tells no clocks|no agent answers"):
            ask_clocks(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_port_answers_that_question_and_no_other() -> None:
    server = ClockServer("127.0.0.1:0", BOOT)
    try:
        peer = ask_clocks(f"127.0.0.1:{server.port}")
        assert peer.boot_id == BOOT
        assert peer.sent.boottime_ns <= peer.peer_received.boottime_ns <= peer.peer_sent.boottime_ns
        assert peer.peer_sent.boottime_ns <= peer.received.boottime_ns
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            other.sendall(b'{"ask":"status"}\n')
            assert other.recv(100) == b""
    finally:
        server.close()


def test_two_agents_and_their_report(tmp_path: Path) -> None:
    """The report of two agents that compared their clocks has an error bar on every event of the other side."""
    host = guest = None
    try:
        for name in ("host", "guest"):
            (tmp_path / name).mkdir()
        host = Run(tmp_path / "host", CONFIG + '[peer]\nlisten = ["127.0.0.1:0"]\n')
        address = str(host.socket)
        guest = Run(tmp_path / "guest", CONFIG + f'[peer]\nperiod = "200ms"\npeers = ["{address}"]\n')
        guest.wait(lambda: "clock.peer" in str(guest and guest.status()["by_source"]))
        time.sleep(1)
    finally:
        for one in (guest, host):
            if one is not None:
                assert one.end(signal.SIGTERM) == 0
    assert host is not None
    assert guest is not None
    out = tmp_path / "report.json"
    make_report(ReportOptions(host_log=host.log, guest_log=guest.log, output=out))
    events = json.loads(out.read_text())["events"]
    mine = [
        one
        for one in events
        if one["origin"] == "guest" and re.search("resource|clock", one["event"]["type"])
    ]
    assert mine
    assert all(one["errorMs"] is not None for one in mine)
    assert min(one["errorMs"] for one in mine) < 1_000
