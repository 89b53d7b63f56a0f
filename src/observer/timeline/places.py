# SPDX-License-Identifier: Apache-2.0
"""Where the agents keep their logs, as the original design has it."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["GUEST_LOG", "HOST_LOG", "chosen_logs"]

GUEST_LOG = "/var/log/wsl-monitor/guest-events.log"
HOST_LOG = (
    r"C:\ProgramData\WslMonitor\host-events.log"
    if sys.platform == "win32"
    else "/mnt/c/ProgramData/WslMonitor/host-events.log"
)


def chosen_logs(host: str | None, guest: str | None) -> tuple[Path | None, Path | None]:
    """The logs that were named, or both usual places where none was."""
    if host is None and guest is None:
        return Path(HOST_LOG), Path(GUEST_LOG)
    return Path(host) if host else None, Path(guest) if guest else None
