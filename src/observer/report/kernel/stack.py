# SPDX-License-Identifier: Apache-2.0
"""The stack traces inside one report, and the choice of the function that is to blame.

A trace begins with the machinery that printed it and ends with the machinery that called into the kernel; between them stand
library, allocator and locking functions that only carry the fault. The culprit is the first sure frame that is none of these.
A stall has no such frame, for it is seen wherever the timer struck; there the frame just inside the generic dispatcher is stable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from observer.report.kernel.frames import Frame, parse_frames, parse_pointer
from observer.report.kernel.grammar import Format, Grammar

__all__ = ["Stack", "Trace", "read_stack"]

_HEADINGS = (
    "Call Trace|Call trace|Backtrace|stack backtrace|Stack backtrace|CPU: \\d+ |Hardware name|Allocated by|Freed by|Uninit was",
    "Local variable|Bytes? |Last potentially|The buggy address|Memory state|NMI backtrace|Sending NMI|task:|-> #\\d|the existing",
    "Preemption disabled|Task dump|Stored|Showing all locks|INFO: Freed|INFO: Allocated|Register r\\d+|Object |other info",
    "Chain exists|Possible (?:unsafe|interrupt)|the shortest|the dependencies|hardirqs last|softirqs last|Modules linked|rcu: ",
    "\\S+: rcu:|write to|read to|read-write to|race at|Mem-Info|---\\[ end|Kernel panic|Exception stack|Kernel Offset",
    "backtrace( \\(crc [0-9a-f]+\\))?:",
)
_LABEL = re.compile(r"\s*(?:" + "|".join(_HEADINGS) + ")")
_TRACE_BEGINS = re.compile(r"\s*(?:Call [Tt]race|Backtrace|backtrace|Trace):?")
_FOREIGN = (
    "Allocated by",
    "Freed by",
    "INFO: Freed",
    "INFO: Allocated",
    "Uninit was",
    "Last potentially",
    "-> #",
    "Stored",
)
_AT = re.compile(r"(?:at|, at):? (?:\[<[0-9a-f]+>\] ?)*(?P<name>[A-Za-z_][\w.]*)\+0x")


@dataclass(slots=True)
class Trace:
    """One run of frames; `label` is the last heading before it, `pointer_at` the index of the frame after a RIP inside it."""

    label: str
    frames: list[Frame] = field(default_factory=list)
    pointers: list[tuple[int, str]] = field(default_factory=list)
    task: str = ""


@dataclass(slots=True)
class Stack:
    """All traces of a report, the first kernel instruction pointer, and the head lines they came from."""

    traces: list[Trace]
    pointer: str
    lines: list[str]

    def culprit(self, form: Format, groups: dict[str, str], grammar: Grammar) -> str:
        """The function to blame, renamed as the labelled sets do; empty when none is found."""
        skips = grammar.skipper(form.skip)
        for place in form.frame:
            for name in self._candidates(place, groups, grammar):
                if name and not any(pattern.match(name) for pattern in skips):
                    return rename(name, grammar)
                if place == "func!":
                    break
        return ""

    def caller(self, form: Format, groups: dict[str, str], grammar: Grammar) -> str:
        """The first function that called `groups['func']` and is no carrier; for reports that blame a caller."""
        skips = grammar.skipper(form.skip)
        func = groups.get("func", "")
        for trace in self.traces:
            names = [frame.name for frame in trace.frames if frame.sure]
            if func in names:
                rest = names[names.index(func) + 1 :]
                return next(
                    (rename(name, grammar) for name in rest if not any(p.match(name) for p in skips)), ""
                )
        return ""

    def _candidates(self, place: str, groups: dict[str, str], grammar: Grammar) -> list[str]:
        if place == "func":
            return [groups.get("func", "")]
        if place == "rip":
            return [self.pointer]
        if place == "lock":
            return [groups.get("lock_at", "")]
        if place == "after_rip":
            return self._after_pointer()
        if place == "anchor":
            return self._anchor(grammar)
        if place == "backtrace":
            chosen = [
                trace for trace in self.traces if trace.label.lower().startswith("stack backtrace")
            ] or self.traces[-1:]
            return _sure(chosen)
        return _sure([trace for trace in self.traces if not trace.label.startswith(_FOREIGN)][:1])

    def _after_pointer(self) -> list[str]:
        for trace in self.traces:
            for index, name in trace.pointers:
                if name:
                    return [name, *(frame.name for frame in trace.frames[index:] if frame.sure)]
        return []

    def _anchor(self, grammar: Grammar) -> list[str]:
        """The frame just inside the first generic dispatcher of the trace that shows where the stall is."""
        for trace in self._stalled():
            names = [frame.name for frame in trace.frames if frame.sure]
            start = _after_tick(names)
            for inner, outer in zip(names[start:], names[start + 1 :], strict=False):
                if grammar.dispatchers.match(outer) and not grammar.dispatchers.match(inner):
                    return [inner]
        return []

    def _stalled(self) -> list[Trace]:
        return [trace for trace in self.traces if not trace.label.startswith(_FOREIGN)]


def _after_tick(names: list[str]) -> int:
    """Index of the first frame that the timer interrupt interrupted; 0 where no tick is on the trace."""
    last = 0
    for index, name in enumerate(names):
        if re.match(
            r"(?:smp_)?(?:asm_)?(?:sysvec_)?apic_timer_interrupt|tick_sched_timer|tick_nohz_handler|el1h?_(?:64_)?irq|__irq_svc|gic_handle_irq",
            name,
        ):
            last = index + 1
            if not re.match(r"tick_|gic_", name) and not name.startswith("smp_") and "sysvec" not in name[:7]:
                break
    return last


def rename(name: str, grammar: Grammar) -> str:
    """Give a function the one name it has over architectures and kernel ages."""
    for pattern, to in grammar.renames:
        name = pattern.sub(to, name)
    return name


def _sure(traces: list[Trace]) -> list[str]:
    return [frame.name for trace in traces for frame in trace.frames if frame.sure]


def read_stack(lines: list[str]) -> Stack:
    """Split the lines of one report into traces."""
    traces: list[Trace] = []
    label, pointer = "", ""
    for text in lines:
        frames = parse_frames(text)
        place = parse_pointer(text)
        if place is not None:
            pointer = pointer or place
            if traces and place:
                traces[-1].pointers.append((len(traces[-1].frames), place))
        elif frames:
            if not traces or label:
                traces.append(Trace(label))
                label = ""
            _extend(traces[-1], frames)
        elif (found := _LABEL.match(text)) and not (_TRACE_BEGINS.match(text) and label):
            label = found[0].strip()
    return Stack(traces, pointer, lines)


def _extend(trace: Trace, frames: list[Frame]) -> None:
    for frame in frames:
        if not (trace.frames and trace.frames[-1].name == frame.name and len(frames) > 1):
            trace.frames.append(frame)
