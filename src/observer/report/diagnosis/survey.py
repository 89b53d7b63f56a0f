# SPDX-License-Identifier: Apache-2.0
"""Reads one source to its end: splits it into boots and keeps the facts of each.

A boot is known by its id, by the kernel's first line, or by a boot clock that starts again. What a boot tells about
the one before, such as a journal that was not closed, is filed under the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from observer.report.diagnosis.clocks import ClockWatch
from observer.report.diagnosis.facts import Boot, Fact
from observer.report.diagnosis.matcher import Matcher, fill
from observer.report.diagnosis.rules import RuleBook, Signal
from observer.report.kernel import KernelReport, ReportCollector
from observer.report.sources import LogLine, Origin

__all__ = ["Survey"]

_FIRST_LINE = re.compile(r"(?:Linux version \d|Booting Linux on physical CPU|Command line: )")
_BOOT_MARK = re.compile(r"-- (?:Reboot|Boot [0-9a-f]{32}) --")
_RESTART_US = 30_000_000
"""A boot clock that falls by more than this has started again; less is two processors printing out of order."""
_FEW = 3
"""A boot that has no more lines than this has only just begun, unless its first is this old:"""
_APART_S = 120.0
_YOUNG_US = 120_000_000
_STARTING_S = 600.0
"""What a start finds of the boot before, it finds within this; later the same words speak of a disk that was just put in."""
_TAILS = 12
"""Boots whose last lines are kept; nobody asks for the last minute of the boot of last year."""
MAX_REPORTS = 200
"""Kernel reports kept; a machine that prints more repeats itself."""
STOP_SIGNALS = (
    "lifecycle.stopping",
    "lifecycle.reached-poweroff",
    "lifecycle.kernel-down",
    "lifecycle.powering-off",
    "lifecycle.sysv",
    "lifecycle.sysrq-stop",
    "agent.stopping",
)


class Survey:
    """The facts of one source."""

    def __init__(self, book: RuleBook, matcher: Matcher) -> None:
        """Start before the first line."""
        self._book = book
        self._matcher = matcher
        self._collector = ReportCollector()
        self._clock = ClockWatch()
        self._order = 0
        self._guest = False
        self._ids: dict[str, Boot] = {}
        self.boots: list[Boot] = [Boot()]
        self.before: Boot | None = None
        self.reports: list[KernelReport] = []
        self.lines = 0
        self.host = False

    def read(self, lines: Iterable[LogLine]) -> Survey:
        """Take every line of the source, then what only the end of it tells."""
        for line in lines:
            self._feed(line)
        self._take_reports(self._collector.close())
        self._derive()
        return self

    def _feed(self, line: LogLine) -> None:
        self.lines += 1
        self.host = self.host or line.origin is Origin.HOST
        boot = self._boot_of(line)
        boot.see(line)
        if line.origin in (Origin.KERNEL, Origin.CONSOLE):
            self._take_reports(self._collector.feed(line))
        for signal, values in self._matcher.match(line):
            self._file(boot, signal, line, values)
        for name, values in self._clock.see(line):
            self._file(boot, self._book.by_name[name], line, values)

    def _boot_of(self, line: LogLine) -> Boot:
        current = self.boots[-1]
        if line.boot:
            return self._by_id(line.boot)
        if not current.lines or not (
            _marks_boot(line) or (line.origin is Origin.KERNEL and self._begins(line, current))
        ):
            return current
        current.closed = True
        self._take_reports(self._collector.close())
        self._clock = ClockWatch()
        self._open_boot()
        return self.boots[-1]

    def _by_id(self, boot_id: str) -> Boot:
        known = self._ids.get(boot_id)
        if known is not None:
            return known
        current = self.boots[-1]
        if current.lines:
            current.closed = True
            self._take_reports(self._collector.close())
            self._clock = ClockWatch()
            self._open_boot()
        self.boots[-1].id = boot_id
        self._ids[boot_id] = self.boots[-1]
        return self.boots[-1]

    def _open_boot(self) -> None:
        self.boots.append(Boot())
        if len(self.boots) > _TAILS:
            self.boots[-_TAILS - 1].tail.clear()

    def _begins(self, line: LogLine, current: Boot) -> bool:
        if current.lines < _FEW and (_wall_s(line, current) or 0.0) < _APART_S:
            return False
        last = current.last.mono_us if current.last else None
        if line.mono_us is not None and last is not None:
            if line.mono_us < _YOUNG_US and last - line.mono_us > _RESTART_US:
                return True
            if line.mono_us >= last:
                return False
        return (
            bool(_FIRST_LINE.match(line.text))
            and line.text.startswith("Linux version")
            and (line.mono_us or 0) < 5_000_000
        )

    def _file(self, boot: Boot, signal: Signal, line: LogLine, values: dict[str, str]) -> None:
        if signal.role == "aftermath" and not _is_starting(line, boot):
            return
        self._order += 1
        fact = Fact(
            signal.name, line, fill(signal.says, values), values, signal.role, self._order, signal.late
        )
        if signal.role == "aftermath":
            index = self.boots.index(boot)
            if index == 0 and self.before is None:
                self.before = Boot(closed=True)
            boot = self.boots[index - 1] if index else self.before or boot
        boot.facts.add(fact)

    def _take_reports(self, reports: Iterator[KernelReport]) -> None:
        for report in reports:
            if len(self.reports) < MAX_REPORTS:
                self.reports.append(report)
            boot = self._ids.get(report.head.boot, self.boots[-1])
            for signal, values in self._matcher.match_report(report):
                self._file(boot, signal, report.head, values)
            panic = self._book.by_name.get("kernel.panic-line")
            if panic is not None and report.panic is not None and report.panic is not report.head:
                self._file(boot, panic, report.panic, {"text": report.panic.text})

    def _derive(self) -> None:
        for boot in ([self.before] if self.before else []) + self.boots:
            stopped = any(boot.facts.has(name) for name in STOP_SIGNALS)
            if boot.last is None or stopped or self.host or (boot.closed and not boot.managed):
                continue
            name = "boot.ends-without-stop" if boot.closed else "boot.log-ends"
            signal = self._book.by_name.get(name)
            if signal is not None:
                self._file(boot, replace(signal, role="end"), boot.last, {"text": boot.last.text})


def _is_starting(line: LogLine, boot: Boot) -> bool:
    """Whether a line of a boot is from its first minutes, as far as any of its clocks tells."""
    if line.mono_us is not None:
        return line.mono_us <= _STARTING_S * 1e6
    return (_wall_s(line, boot) or 0.0) <= _STARTING_S


def _wall_s(line: LogLine, boot: Boot) -> float | None:
    """Seconds by the wall clock from a boot's first line to this one; None where one of them has no time."""
    first = boot.first.wall_us if boot.first else None
    return None if first is None or line.wall_us is None else (line.wall_us - first) / 1e6


def _marks_boot(line: LogLine) -> bool:
    """Whether this is the line `journalctl` prints between two boots; no program's record can look so, for it has no tag."""
    return not line.ident and line.mono_us is None and _BOOT_MARK.fullmatch(line.text) is not None
