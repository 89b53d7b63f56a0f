# SPDX-License-Identifier: Apache-2.0
"""Tells systemd that the agent is ready, alive or stopping; source sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Send a state such as `READY=1`; without NOTIFY_SOCKET nothing is done, and a failure is none of ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1.0)
        sender.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
