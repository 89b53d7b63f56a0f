# SPDX-License-Identifier: Apache-2.0
"""Clock exchange: this machine's clocks beside its host's, so that logs of both can be put in one order with an error bar.

Two links are used where they are there: the clock device of the hypervisor (KVM, Hyper-V, VMware), which tells the host's wall
clock and needs nothing of the host; and other agents that are named. Of a few readings the one with the shortest way is kept.
Costs some microseconds a period; a device of mode 0600 needs CAP_DAC_READ_SEARCH. Sources: Documentation/driver-api/ptp.rst,
clock_gettime(2) (dynamic clocks), docs/spec/master-report.md section 4.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Final

from observer import clock
from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.agents.link.clock_peer import PeerClocks, ask_clocks
from observer.errors import CapabilityError, DeliveryError, UsageError
from observer.model.event import EventSeverity

__all__ = ["ClockPeer"]

_SOURCE: Final = "clock.peer"
# Names that drivers of hypervisors give; a network card's clock is nobody's wall clock. Source: drivers/hv/hv_util.c,
# drivers/ptp/ptp_kvm_common.c, drivers/ptp/ptp_vmw.c.
_HYPERVISORS: Final = ("KVM virtual PTP", "hyperv", "ptp_vmw", "VMware")
_TRIES: Final = 4


class ClockPeer(PeriodicCollector):
    """Reads the clocks of both sides together."""

    name: ClassVar[str] = "peer"

    def __init__(self, context: Context, device_ns: Callable[[int], int] = clock.device_ns) -> None:
        super().__init__(context)
        self._device_ns = device_ns

    def check_compatible(self) -> None:
        """Raise CapabilityError when an agent that is named does not answer; to have no link at all is no fault."""
        for address in self.settings.texts("peers"):
            try:
                ask_clocks(address, self.context.clocks)
            except (DeliveryError, UsageError) as error:
                raise CapabilityError(
                    str(error), hint="start the agent there, with 'listen' in [peer]"
                ) from error

    def look(self) -> Iterator[Emission]:
        """Exchange once over each link."""
        if self.settings.flag("hypervisor"):
            for device in self._devices():
                yield from self._ask_device(device)
        for address in self.settings.texts("peers"):
            best = min((ask_clocks(address, self.context.clocks) for _ in range(_TRIES)), key=_way)
            yield _observe(address, _facts(best))

    def _devices(self) -> list[str]:
        """Clock devices of the hypervisor, by the names their drivers gave them."""
        found = []
        with contextlib.suppress(OSError):
            for entry in sorted(self.path("/sys/class/ptp").iterdir()):
                name = (
                    self.read(f"/sys/class/ptp/{entry.name}/clock_name", 64)
                    .decode("ascii", "replace")
                    .strip()
                )
                if name.startswith(_HYPERVISORS):
                    found.append(f"/dev/{entry.name}")
        return found

    def _ask_device(self, device: str) -> Iterator[Observation]:
        try:
            handle = os.open(self.path(device), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            readings = []
            for _ in range(_TRIES):
                sent = self.context.clocks().boottime_ns
                host = self._device_ns(handle)
                readings.append((self.context.clocks().boottime_ns - sent, sent, host))
        except OSError:  # the driver is there and its hypervisor does not answer
            return
        finally:
            os.close(handle)
        way, sent, host = min(readings)
        facts = {"sent_boottime": sent, "received_boottime": sent + way}
        facts |= {"peer_received_wall": host, "peer_sent_wall": host}
        yield _observe(Path(device).name, {key: str(value) for key, value in facts.items()})


def _way(one: PeerClocks) -> int:
    """Nanoseconds that question and answer were on their way."""
    here = one.received.boottime_ns - one.sent.boottime_ns
    return here - (one.peer_sent.boottime_ns - one.peer_received.boottime_ns)


def _facts(one: PeerClocks) -> dict[str, str]:
    return {
        "sent_boottime": str(one.sent.boottime_ns),
        "received_boottime": str(one.received.boottime_ns),
        "peer_received_wall": str(one.peer_received.wall_ns),
        "peer_sent_wall": str(one.peer_sent.wall_ns),
        "peer_boot_id": one.boot_id,
        "peer_received_boottime": str(one.peer_received.boottime_ns),
        "peer_sent_boottime": str(one.peer_sent.boottime_ns),
    }


def _observe(link: str, facts: dict[str, str]) -> Observation:
    return Observation(
        "clock.exchange", _SOURCE, "Clock", EventSeverity.INFO, "Clocks compared", {"link": link, **facts}
    )
