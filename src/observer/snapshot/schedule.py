# SPDX-License-Identifier: Apache-2.0
"""Snapshots at intervals, each an increment of the one before, with retention."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

from observer.clock import monotonic_ns
from observer.errors import NotFoundError
from observer.snapshot.options import SnapshotOptions
from observer.snapshot.retention import Retention, prune
from observer.snapshot.taking import Snapshotter, Taken

__all__ = ["run_schedule"]


def run_schedule(
    snapshotter: Snapshotter,
    options: SnapshotOptions,
    retention: Retention,
    *,
    every_ns: int,
    count: int | None = None,
    full_every: int = 16,
) -> Iterator[tuple[Taken, list[UUID]]]:
    """Yield each snapshot that was taken, with the ids of those that were pruned for it, until the target has ended.

    Args:
        snapshotter: Takes them.
        options: What is kept and how.
        retention: Which of them stay.
        every_ns: From the beginning of one to that of the next, ns; a slow one delays the next.
        count: End after so many; None for no end.
        full_every: After so many the next one is whole, so that old files are not needed for ever.

    Raises:
        NotFoundError: The target was not there at all. [OBS700]
    """
    taken_count = 0
    while count is None or taken_count < count:
        began = monotonic_ns()
        if taken_count and taken_count % full_every == 0:
            snapshotter.restart()
        chosen = options if taken_count % full_every else _whole(options, first=taken_count == 0)
        try:
            taken = snapshotter.take(chosen)
        except NotFoundError:
            if taken_count == 0:
                raise
            return
        taken_count += 1
        pruned = []
        if retention != Retention():
            pruned = list(prune(snapshotter.store, retention, snapshotter.target.name))
        yield taken, pruned
        rest = every_ns - (monotonic_ns() - began)
        if rest > 0 and (count is None or taken_count < count):
            time.sleep(rest / 1e9)


def _whole(options: SnapshotOptions, *, first: bool) -> SnapshotOptions:
    from dataclasses import replace

    return options if first else replace(options, alone=True)
