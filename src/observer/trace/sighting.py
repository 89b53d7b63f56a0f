# SPDX-License-Identifier: Apache-2.0
"""One call as the handlers want it, and what every sight says of the process that acted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from observer.trace.rules import Sight
from observer.trace.text import parse_number
from observer.trace.world import Descriptor, Process

__all__ = ["CallSeen", "clothe"]


@dataclass(frozen=True, slots=True)
class CallSeen:
    """One call as the handlers want it."""

    values: Mapping[str, Any]
    process: Process
    texts: tuple[str, ...]
    paths: tuple[str, ...]

    @property
    def name(self) -> str:
        """The syscall's name."""
        return str(self.values["syscall"])

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.values.get("outcome") == "ok"

    def text(self, index: int) -> str:
        """Return an argument, or nothing when there are fewer."""
        return self.texts[index] if index < len(self.texts) else ""

    def descriptor(self, index: int) -> Descriptor:
        """Return what the descriptor that an argument names stands for."""
        number = parse_number(self.text(index))
        return self.process.files.get(-1 if number is None else number, Descriptor())


def clothe(sight: Sight, process: Process) -> Sight:
    """Add to a sight who acted; return it."""
    sight.program, sight.names, sight.trusted = process.program, process.names, process.trusted
    sight.pid, sight.tree = process.pid, process.tree or process.pid
    sight.lineage = lambda: (each.pid for each in process.lineage())
    return sight
