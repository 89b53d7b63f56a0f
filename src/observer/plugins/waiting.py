# SPDX-License-Identifier: Apache-2.0
"""Waits of a plugin against its time limit.

A call into the real WASI cannot be interrupted, so it is not made before it is known to return in time.
"""

from __future__ import annotations

import select
import struct
import sys
import threading
from typing import Final

from observer.plugins.imports import read_guest
from observer.plugins.machine import Machine

__all__ = ["end_of_wait"]

_SUBSCRIPTION: Final = struct.Struct("<QB7xI4xQQH6x")
_CLOCK, _ABSOLUTE = 0, 1
_MOST_SUBSCRIPTIONS: Final = 4096


def end_of_wait(
    machine: Machine, is_poll: bool, first: int, second: int, *, stdin: str, remaining_s: float
) -> bool:
    """Wait, if the call would wait longer than it may, and return whether it can be made now.

    Args:
        machine: The plugin.
        is_poll: `poll_oneoff`, with the address and number of subscriptions; else a read of standard input.
        first: First argument.
        second: Second or third argument.
        stdin: What standard input is.
        remaining_s: Time left.
    """
    if not is_poll:
        return stdin != "inherit" or _readable(remaining_s)
    waits, sees_stdin = _subscriptions(machine, first, second)
    if not waits and not sees_stdin:
        return True  # something is ready at once, or the call fails at once
    shortest = min(waits, default=remaining_s + 1)
    if shortest <= remaining_s:
        return True
    if sees_stdin and stdin == "inherit":
        return _readable(remaining_s)
    if sees_stdin:
        return True
    threading.Event().wait(max(remaining_s, 0))
    return False


def _readable(seconds: float) -> bool:
    try:
        return bool(select.select([sys.stdin.fileno()], [], [], max(seconds, 0))[0])
    except (OSError, ValueError):
        return True  # closed: the read answers at once


def _subscriptions(machine: Machine, address: int, count: int) -> tuple[list[float], bool]:
    """Return the waits in seconds, and whether standard input is watched; nothing at all when a file is."""
    count &= 0xFFFFFFFF
    raw = read_guest(machine, address, count * 48) if count <= _MOST_SUBSCRIPTIONS else None
    if raw is None:
        return [], False
    waits, sees_stdin = [], False
    for at in range(0, len(raw), 48):
        _, kind, word, timeout, _, flags = _SUBSCRIPTION.unpack_from(raw, at)
        if kind == _CLOCK:
            waits.append(0.0 if flags & _ABSOLUTE else timeout / 1e9)
        elif word == 0:
            sees_stdin = True
        else:
            return [], False
    return waits, sees_stdin
