# SPDX-License-Identifier: Apache-2.0
"""Who this machine is, and its clocks read together."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from observer import clock
from observer.model.event_record import Clocks

__all__ = ["HostIdentity", "read_clocks", "read_host"]


_TIGHT_NS = 100_000  # readings this close together are one moment to all who compare them
_TRIES = 8


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What every event of an agent carries.

    Attributes:
        boot_id: UUID text, random for each boot; source proc(5).
        machine_id: 32 hexadecimal digits of /etc/machine-id, or `unknown`; source machine-id(5).
        hostname: Name of the machine.
    """

    boot_id: str
    machine_id: str
    hostname: str


def read_host(root: Path = Path("/")) -> HostIdentity:
    """Return this machine's identity; what cannot be read is `unknown`, never an error."""
    machine = _first_line(root / "etc/machine-id")
    boot = _first_line(root / "proc/sys/kernel/random/boot_id") or clock.boot_id()
    name = _first_line(root / "proc/sys/kernel/hostname") or platform.node()
    return HostIdentity(
        boot_id=boot,
        machine_id=machine if re.fullmatch(r"[0-9a-f]{32}", machine) else "unknown",
        hostname=(name or "unknown")[:253],
    )


def read_clocks() -> Clocks:
    """Return the three clocks, read one after the other within about a microsecond.

    On a machine that thrashes seconds may pass between two readings, which would look as if one clock had been set: the boot
    clock is read before and after, and of a few tries the tightest is taken.
    """
    best, width = Clocks(0, 0, 0), -1
    for _ in range(_TRIES):
        before = clock.boot_ns()
        found = Clocks(clock.wall_ns(), clock.monotonic_ns(), clock.boot_ns())
        if width < 0 or found.boottime_ns - before < width:
            best, width = found, found.boottime_ns - before
        if width < _TIGHT_NS:
            break
    return best


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return os.fsdecode(stream.readline(4096)).strip()
    except OSError:
        return ""
