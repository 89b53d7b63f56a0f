# SPDX-License-Identifier: Apache-2.0
"""The collectors of a Linux machine, one file each, and the table of their settings."""

from __future__ import annotations

from observer.agents.collector import Collector
from observer.agents.linux.blocked import BlockedTaskWatcher
from observer.agents.linux.cgroups import CgroupMemoryWatcher
from observer.agents.linux.clocks import ClockWatcher
from observer.agents.linux.crashes import CrashWatcher
from observer.agents.linux.journal import JournalWatcher
from observer.agents.linux.kills import KillWatcher
from observer.agents.linux.kmsg import KernelMessageTap
from observer.agents.linux.network import NetworkHealthWatcher
from observer.agents.linux.peer import ClockPeer
from observer.agents.linux.pressure import PressureStallMonitor
from observer.agents.linux.pstore import PstoreCollector
from observer.agents.linux.resources import ResourceMonitor
from observer.agents.linux.units import SystemdFailureWatcher
from observer.agents.settings import Settings

__all__ = ["COLLECTORS", "enabled_collectors"]

# In the order in which they start: what tells of the boot before comes first.
COLLECTORS: tuple[type[Collector], ...] = (
    PstoreCollector,
    KernelMessageTap,
    JournalWatcher,
    CrashWatcher,
    ResourceMonitor,
    CgroupMemoryWatcher,
    PressureStallMonitor,
    BlockedTaskWatcher,
    SystemdFailureWatcher,
    NetworkHealthWatcher,
    KillWatcher,
    ClockWatcher,
    ClockPeer,
)


def enabled_collectors(settings: Settings) -> list[type[Collector]]:
    """Return the collectors that a configuration switches on."""
    return [kind for kind in COLLECTORS if settings[kind.name].flag("enabled")]
