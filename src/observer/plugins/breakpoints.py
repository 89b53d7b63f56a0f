# SPDX-License-Identifier: Apache-2.0
"""Breakpoints of a replay: where a call's name and condition hold, something is logged, changed, paused or ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from observer.model.condition import Condition
from observer.model.forensic import Breakpoint
from observer.plugins.functions import HostFunction, errnos
from observer.plugins.machine import Halt
from observer.plugins.options import PluginOutcome
from observer.plugins.ring import DENIED, Call
from observer.plugins.telling import arguments_of, tell

__all__ = ["Breakpoints"]

_MOST_LOGGED = 10_000


@dataclass(frozen=True, slots=True)
class _Armed:
    place: Breakpoint
    condition: Condition | None


class Breakpoints:
    """The breakpoints of one replay.

    Attributes:
        log: What was seen, one line each.
        changed: Whether a breakpoint has changed how a call came out.
    """

    def __init__(self, places: Sequence[Breakpoint], pause: Callable[[str], None] | None) -> None:
        """Arm them."""
        self._armed = [
            _Armed(place, Condition.parse(place.condition) if place.condition else None) for place in places
        ]
        self._pause = pause
        self.log: list[str] = []
        self.changed = False

    def __bool__(self) -> bool:
        return bool(self._armed)

    def meet(self, function: HostFunction, call: Call, expected: Call, index: int) -> Mapping[str, str]:
        """Act on a call that is about to be answered; returns what is to be changed.

        Raises:
            Halt: A breakpoint ends the replay.
        """
        changes: dict[str, str] = {}
        for armed in self._armed:
            if armed.place.syscall not in ("*", function.label) or not _holds(
                armed, function, call, (expected, index)
            ):
                continue
            line = f"s{index} {tell(function, call.raw[: call.entry_size])} = {expected.result}"
            if len(self.log) < _MOST_LOGGED:
                self.log.append(f"{armed.place.action.kind}: {line}")
            match armed.place.action.kind:
                case "modify":
                    changes |= armed.place.action.changes
                    self.changed = True
                case "pause" if self._pause is not None:
                    self._pause(line)
                case "abort":
                    raise Halt(PluginOutcome("replayed", "aborted", f"a breakpoint ended it at {line}"))
        return changes


def _holds(armed: _Armed, function: HostFunction, call: Call, told: tuple[Call, int]) -> bool:
    if armed.condition is None:
        return True
    expected, index = told
    names = errnos()
    failed = function.result == "errno" and 0 < expected.result < len(names)
    facts: dict[str, str | int | bool | None] = {
        "syscall": function.label,
        "index": index,
        "result": expected.result,
        "errno": names[expected.result] if failed else None,
        "allowed": not expected.flags & DENIED,
        "duration_ns": max(expected.end_ns - expected.start_ns, 0),
        "start_ns": expected.start_ns,
    }
    values = arguments_of(function, call.raw[: call.entry_size])
    texts = [str(value) if isinstance(value, int) else value.decode(errors="replace") for value in values]
    for parameter, value in zip(function.parameters, values, strict=False):
        facts[f"arg.{parameter.name}"] = value if isinstance(value, int) else value.decode(errors="replace")
    # args counts what a person would: a pointer and its length are one argument
    counted = {parameter.count for parameter in function.parameters}
    shown = [text for position, text in enumerate(texts) if position not in counted]
    return armed.condition.holds(facts, shown)
