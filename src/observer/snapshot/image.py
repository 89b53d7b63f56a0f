# SPDX-License-Identifier: Apache-2.0
"""A process of a snapshot as a stopped process again, for debuggers that attach. It can reach nothing and no one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from observer import _native

__all__ = ["ProcessImage"]


class ProcessImage:
    """A process that was re-created from a snapshot: its memory at its addresses, its threads with their registers, standing.

    It has namespaces of its own, an empty read-only root, no network, no descriptors, and a filter that traps every system
    call; nothing of it has run. It ends with `stop`, with the `with` block, or with this process.

    Attributes:
        pid: Its id here; attach with `gdb -p`.
        threads: Ids here by those in the snapshot.
        absent_pages: Pages that are zeros because the snapshot does not have them.
        own_user: It also has a user namespace of its own.
    """

    def __init__(self, image: _native.ProcessImage) -> None:
        """Take over what the native core has made."""
        self._image = image
        report: dict[str, Any] = json.loads(image.report())
        self.pid: int = report["pid"]
        self.threads: Mapping[int, int] = {int(tid): now for tid, now in report["threads"].items()}
        self.pages: int = report["pages"]
        self.absent_pages: int = report["absent_pages"]
        self.own_user: bool = report["own_user"]
        self._cell: int = report["cell"]

    @property
    def hidden(self) -> tuple[int, int]:
        """First address of the two pages that are not the snapshot's, and the one behind them."""
        return self._cell, self._cell + 0x2000

    def to_dict(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "pid": self.pid,
            "threads": {str(tid): now for tid, now in self.threads.items()},
            "pages": self.pages,
            "absent_pages": self.absent_pages,
            "own_user": self.own_user,
        }

    def stop(self) -> None:
        """End the process."""
        self._image.stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.stop()
