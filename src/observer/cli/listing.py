# SPDX-License-Identifier: Apache-2.0
"""Lists the recordings of the store, newest first; a damaged one is named, never left out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from rich.table import Table
from rich.text import Text

from observer.cli.exit_codes import to_observer_error
from observer.cli.times import show_moment, show_span
from observer.clock import to_datetime
from observer.errors import ObserverError
from observer.model.safe_text import safe
from observer.trace import Recording, StoredTrace, TraceStart

__all__ = ["ListingFilter", "Row", "list_rows", "listing_table"]

_LONGEST: Final = 60  # characters of a command line in the list


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingFilter:
    """Which recordings to list; all that is given must hold.

    Attributes:
        since_ns: Started at this wall clock or later, ns.
        until_ns: Started before this wall clock, ns.
        container_id: Of this container.
        plugin_id: Of this plugin.
        identity: Of this user, tenant, agent or `tenant/user`.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    container_id: UUID | None = None
    plugin_id: UUID | None = None
    identity: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether everything is wanted."""
        return self == ListingFilter()

    def wants(self, start: TraceStart) -> bool:
        """Whether a recording that starts so is wanted."""
        return (
            (self.since_ns is None or start.wall_ns >= self.since_ns)
            and (self.until_ns is None or start.wall_ns < self.until_ns)
            and self.container_id in (None, start.container_id)
            and self.plugin_id in (None, start.plugin_id)
            and (self.identity is None or start.identity.is_called(self.identity))
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One recording in the list."""

    trace_id: UUID
    path: Path
    status: str
    start: TraceStart | None = None
    duration_ns: int | None = None

    @property
    def wall_ns(self) -> int:
        """When it started, ns; 0 when that cannot be read."""
        return self.start.wall_ns if self.start is not None else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        start = self.start
        return {
            "trace_id": str(self.trace_id),
            "path": str(self.path),
            "status": self.status,
            "started": None if start is None else show_moment(to_datetime(start.wall_ns)),
            "wall_ns": None if start is None else start.wall_ns,
            "duration_ns": self.duration_ns,
            "container_id": str(start.container_id) if start and start.container_id else None,
            "plugin_id": str(start.plugin_id) if start and start.plugin_id else None,
            "identity": start.identity.to_dict() if start else None,
            "source": start.source if start else None,
            "command": list(start.command) if start and start.command is not None else None,
        }


def list_rows(entries: Iterable[StoredTrace], wanted: ListingFilter) -> list[Row]:
    """Return the recordings wanted, newest first; what cannot be read comes last, unless a filter asks for facts."""
    rows = []
    for entry in entries:
        row = _row(entry)
        if row.start is None:
            rows += [row] if wanted.is_empty else []
        elif wanted.wants(row.start):
            rows.append(row)
    return sorted(rows, key=lambda row: row.wall_ns, reverse=True)


def _row(entry: StoredTrace) -> Row:
    try:
        recording = Recording(entry.path)
        end = recording.end()
        duration_ns = None if end is None else int(end["monotonic_ns"]) - recording.start.monotonic_ns
        return Row(entry.trace_id, entry.path, str(recording.status(end)), recording.start, duration_ns)
    except OSError as error:
        return Row(entry.trace_id, entry.path, f"unreadable: {to_observer_error(error)}")
    except ObserverError as error:
        return Row(entry.trace_id, entry.path, f"unreadable: {error.code} {error}")


def listing_table(rows: Iterable[Row]) -> Table:
    """Return the list as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("TRACE", "STARTED", "LASTED", "STATUS", "IDENTITY", "COMMAND"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(cell)) for cell in _cells(row)))
    return table


def _cells(row: Row) -> Iterator[str]:
    start = row.start
    yield str(row.trace_id)[:8]
    yield show_moment(to_datetime(start.wall_ns)) if start else "?"
    yield "?" if row.duration_ns is None else show_span(row.duration_ns)
    yield row.status
    yield f"{start.identity.tenant_id}/{start.identity.user_id}" if start else "?"
    command = shlex.join(start.command) if start and start.command else f"({start.source})" if start else ""
    yield command if len(command) <= _LONGEST else f"{command[:_LONGEST]}…"
