# SPDX-License-Identifier: Apache-2.0
"""The stack traces inside one report, and the choice of the function that is to blame.

A trace begins with the machinery that printed it and ends with the machinery that called into the kernel; between them stand
library, allocator and locking functions that only carry the fault. The culprit is the first sure frame that is none of these.
A stall has no such frame, for it is seen wherever the timer struck; there the frame just inside the generic dispatcher is stable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from observer.report.kernel.frames import Frame, clean_name, parse_frames, parse_pointer
from observer.report.kernel.grammar import Format, Grammar

__all__ = ["Stack", "Trace", "read_stack"]

_HEADINGS = (
    "Call Trace|Call trace|Backtrace|stack backtrace|Stack backtrace|CPU: \\d+ |Hardware name|Allocated by|Freed by|Uninit was",
    "Local variable|Bytes? |Last potentially|The buggy address|Memory state|NMI backtrace|Sending NMI|task:|-> #\\d|the existing",
    "Preemption disabled|Task dump|Stored|Showing all locks|INFO: Freed|INFO: Allocated|Register r\\d+|Object |other info",
    "Chain exists|Possible (?:unsafe|interrupt)|the shortest|the dependencies|hardirqs last|softirqs last|Modules linked|rcu: ",
    "\\S+: rcu:|write to|read to|read-write to|race at|Mem-Info|---\\[ end|Kernel panic|Exception stack|Kernel Offset",
    "page last|page_owner|backtrace( \\(crc [0-9a-f]+\\))?:",
)
_LABEL = re.compile(r"\s*(?:" + "|".join(_HEADINGS) + ")")
_WEAK = re.compile(r"\s*(?:Call [Tt]race|Backtrace|backtrace|Trace|Hardware name|Modules linked)")
"""Headings that stand between a stronger one and its trace."""
_FOREIGN = (
    "Allocated by",
    "Freed by",
    "INFO: Freed",
    "INFO: Allocated",
    "Uninit was",
    "Last potentially",
    "-> #",
    "Stored",
    "Preemption disabled",
    "page last",
    "page_owner",
)
_OFF_CPU = re.compile(r"(?:__schedule|context_switch|__switch_to\w*|schedule)\Z")
"""A trace that begins so shows a task that does not run, so it is not the one that stalls."""
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
                if name and (
                    place in ("func!", "wait") or not any(pattern.search(name) for pattern in skips)
                ):
                    return rename(name, grammar)
        return ""

    def caller(self, form: Format, groups: dict[str, str], grammar: Grammar) -> str:
        """The first function that called `groups['func']` and is no carrier; for reports that blame a caller."""
        skips = grammar.skipper(form.skip)
        func = clean_name(groups.get("func", ""))
        for trace in self.traces:
            for index, name in trace.pointers:
                if name == func:
                    rest = [frame.name for frame in trace.frames[index:] if frame.sure]
                    return next(
                        (rename(one, grammar) for one in rest if not any(p.search(one) for p in skips)), ""
                    )
            names = [frame.name for frame in trace.frames if frame.sure]
            if func in names:
                rest = names[names.index(func) + 1 :]
                return next(
                    (rename(name, grammar) for name in rest if not any(p.search(name) for p in skips)), ""
                )
        return ""

    def _candidates(self, place: str, groups: dict[str, str], grammar: Grammar) -> list[str]:
        if place == "func!":
            return [] if self.traces else [clean_name(groups.get("func", ""))]
        if place == "head":
            return [clean_name(groups.get("func", ""))] if self._has_culprit(grammar) else []
        if place == "func":
            return [clean_name(groups.get("func", ""))]
        if place == "rip":
            return [self.pointer]
        if place == "lock":
            return [clean_name(groups.get("lock_at", "")), *self._locks_held()]
        if place == "after_rip":
            return self._after_pointer()
        if place in ("anchor", "stall"):
            return self._anchor(grammar, anywhere=place == "stall")
        if place == "wait":
            return [name for name in _sure(self._own()) if grammar.waits.match(name)]
        if place == "backtrace":
            chosen = [
                trace for trace in self.traces if trace.label.lower().startswith("stack backtrace")
            ] or self.traces[-1:]
            return _sure(chosen)
        return _sure(self._own())

    def _own(self) -> list[Trace]:
        """The first trace that shows the fault itself, not where memory or a lock came from."""
        return [trace for trace in self.traces if not trace.label.startswith(_FOREIGN)][:1]

    def _has_culprit(self, grammar: Grammar) -> bool:
        """Whether any trace shows more than machinery; where none does, the report was torn."""
        always = grammar.skips["always"]
        return any(not always.search(name) for name in _sure(self.traces))

    def _locks_held(self) -> list[str]:
        """Where the locks that the report lists were taken, in order."""
        return [clean_name(found["name"]) for text in self.lines if (found := _AT.search(text))]

    def _after_pointer(self) -> list[str]:
        for trace in self.traces:
            for index, name in trace.pointers:
                if name:
                    return [name, *(frame.name for frame in trace.frames[index:] if frame.sure)]
        return []

    def _anchor(self, grammar: Grammar, *, anywhere: bool) -> list[str]:
        """The frame just inside the first generic dispatcher of the trace that shows where the stall is."""
        for trace in self.traces:
            names = _with_pointers(trace)
            if trace.label.startswith(_FOREIGN) or any(name.startswith("rcu_gp_") for name in names):
                continue
            if not names or (_OFF_CPU.match(names[0]) and "preempt_schedule_irq" not in names[:3]):
                continue
            names = names[_after_tick(names, grammar, anywhere=anywhere) :]
            if found := _inside_dispatcher(names, grammar):
                return [found]
        return []


def _inside_dispatcher(names: list[str], grammar: Grammar) -> str:
    """The frame that the first generic dispatcher called, or an anchor that stands before it; a compat wrapper if need be."""
    wrapper = ""
    for inner, outer in pairwise(names):
        if grammar.anchors.match(inner):
            return inner
        if grammar.dispatchers.match(outer) and not grammar.tick.match(inner):
            if not grammar.dispatchers.match(inner) and not inner.endswith("_compat_ioctl"):
                return inner
            wrapper = wrapper or (inner if inner.endswith("_compat_ioctl") else "")
            if wrapper:
                return wrapper
        if inner.endswith("_ioctl") and outer.endswith("_compat_ioctl"):
            return inner
    return ""


_TICK = re.compile(
    r"(?:\w*apic_timer_interrupt\w*|tick_\w+|hrtimer_interrupt|__hrtimer_run_queues|update_process_times|el1h?_(?:64_)?(?:irq|interrupt)\w*|"
    r"__irq_svc|gic_handle_irq|do_interrupt_handler|call_on_irq_stack|handle_domain_irq|arch_timer_\w+|asm_call_\w+|\w*xen_\w*callback)"
)


def _after_tick(names: list[str], grammar: Grammar, *, anywhere: bool) -> int:
    """Index of the first frame that a timer interrupt interrupted; 0 where there was none.

    A stall is told of from the tick, so the innermost tick counts wherever it stands; a lockup's own trace may run inside the
    soft interrupt of an older tick, so there only one at its head counts.
    """
    struck = next((index for index, name in enumerate(names) if _TICK.fullmatch(name)), None)
    if struck is None or not (anywhere or all(_machinery(name, grammar) for name in names[:struck])):
        return 0
    after = struck + 1
    while after < len(names) and (_TICK.fullmatch(names[after]) or grammar.tick.match(names[after])):
        after += 1
    return after


def _machinery(name: str, grammar: Grammar) -> bool:
    return bool(grammar.skips["always"].search(name) or grammar.tick.match(name))


def _with_pointers(trace: Trace) -> list[str]:
    """The sure frames, each instruction pointer put where it stands among them."""
    names = [(index + 0.5, frame.name) for index, frame in enumerate(trace.frames) if frame.sure]
    names += [(float(index), name) for index, name in trace.pointers if name]
    return [name for _, name in sorted(names, key=lambda item: item[0])]


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
    label = pointer = held = ""
    for text in lines:
        frames = parse_frames(text)
        place = parse_pointer(text)
        if place is not None:
            pointer = pointer or place
            if place and (label or not traces):
                held = place
            elif place:
                traces[-1].pointers.append((len(traces[-1].frames), place))
        elif frames:
            if not traces or label:
                traces.append(Trace(label))
                if held:
                    traces[-1].pointers.append((0, held))
                label = held = ""
            _extend(traces[-1], frames)
        elif (found := _LABEL.match(text)) and not _yields(label, text):
            label = found[0].strip()
    return Stack(traces, pointer, lines)


def _yields(label: str, text: str) -> bool:
    """Whether a heading leaves a stronger one before it in force."""
    if text.lstrip().startswith("CPU: "):
        return label.lower().startswith("stack backtrace")
    return bool(label) and _WEAK.match(text) is not None


def _extend(trace: Trace, frames: list[Frame]) -> None:
    for frame in frames:
        if not (trace.frames and trace.frames[-1].name == frame.name and len(frames) > 1):
            trace.frames.append(frame)
