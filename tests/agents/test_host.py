# SPDX-License-Identifier: Apache-2.0
"""Clocks read together are one moment, whatever the scheduler does in between."""

from __future__ import annotations

import pytest

from observer import clock
from observer.agents.host import read_clocks


def test_a_pause_between_two_readings_is_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000_000]

    def reading(offset: int, pauses: list[int]) -> int:
        now[0] += pauses.pop(0) if pauses else 100
        return now[0] + offset

    wall_pauses = [100, 100]
    boot_pauses = [
        100,
        1_350_000_000,
        100,
        900_000_000,
    ]  # the process is put aside before the boot clock is read, twice
    monkeypatch.setattr(clock, "wall_ns", lambda: reading(5_000_000_000, wall_pauses))
    monkeypatch.setattr(clock, "monotonic_ns", lambda: reading(0, []))
    monkeypatch.setattr(clock, "boot_ns", lambda: reading(0, boot_pauses))
    found = read_clocks()
    assert abs(found.wall_ns - found.boottime_ns - 5_000_000_000) < 1_000
