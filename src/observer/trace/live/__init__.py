# SPDX-License-Identifier: Apache-2.0
"""Watches what already runs, with the eBPF probe: processes, cgroups, containers, everything; now or from a moment ago on.

The native core loads the probe, follows it and seals; this room names what is to be watched and tells how it went. It starts
no container and stops nothing it watches.
"""

from observer.trace.live.command import record_with_probe
from observer.trace.live.containers import Container, find_container
from observer.trace.live.session import PreTrigger, Watch, WatchOptions, WatchReport

__all__ = [
    "Container",
    "PreTrigger",
    "Watch",
    "WatchOptions",
    "WatchReport",
    "find_container",
    "record_with_probe",
]
