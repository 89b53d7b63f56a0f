# SPDX-License-Identifier: Apache-2.0
"""Gathers the lines of each kernel report out of a stream in which several processors print at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from observer.report.kernel.grammar import Format, Grammar, load_grammar
from observer.report.kernel.report import KernelReport
from observer.report.kernel.title import Draft, finish
from observer.report.sources import LogLine, Origin

__all__ = ["ReportCollector"]

_MAX_LINES = 1200
"""Lines kept of one report; the longest in the wild, lockdep's, have some hundreds."""
_MAX_OPEN = 4
"""Reports gathered at one time; more than that many processors do not fault in one moment and still print."""
_QUIET_US = 60_000_000
"""A report whose context printed nothing for this long is over."""
_BEFORE = 12
"""Lines kept from before a head; some reports say the essential thing just ahead of it."""
_LEAD = re.compile(
    r"[\s=*\[-]*(?:(?:NMI )?watchdog: |NMI: |rcu: |traps: |kasan: .{0,80}|usercopy: |kernel: |Oops: |CPU ?\d+:? |"
    r"trusty: .{0,80}|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |"
    r"\*\* \d+ printk messages dropped \*\* )*[\s\[]*"
)
"""What may stand before the head of a report on its line; behind anything else the words are quoted text."""


def _leads(text: str, match: re.Match[str]) -> bool:
    return _LEAD.fullmatch(text, 0, match.start()) is not None


class ReportCollector:
    """Feed it kernel lines; it yields each report once the report is over."""

    def __init__(self, grammar: Grammar | None = None) -> None:
        """Start with nothing open."""
        self._grammar = grammar or load_grammar()
        self._parts = tuple(dict.fromkeys(part for form in self._grammar.formats for part in form.contains))
        self._open: list[Draft] = []
        self._recent: list[tuple[str, LogLine]] = []

    def feed(self, line: LogLine) -> Iterator[KernelReport]:
        """Take one line; yield the reports that it brings to an end."""
        if line.origin not in (Origin.KERNEL, Origin.CONSOLE):
            return
        yield from self._expire(line)
        for text in line.text.split("\n"):
            yield from self._feed_text(text, line)

    def close(self) -> Iterator[KernelReport]:
        """The log is over; yield what was still open."""
        drafts, self._open, self._recent = self._open, [], []
        for draft in drafts:
            yield from finish(draft, self._grammar)

    def _feed_text(self, text: str, line: LogLine) -> Iterator[KernelReport]:
        found = self._head(text) if line.origin is Origin.KERNEL and self._might_begin(text) else None
        if found is not None and not self._absorbed(found[0], line):
            yield from self._begin(*found, text, line)
        else:
            for draft in self._open:
                if draft.takes(line) and len(draft.lines) < _MAX_LINES:
                    draft.add(text, line)
        self._recent = [*self._recent[-_BEFORE + 1 :], (text, line)]

    def _might_begin(self, text: str) -> bool:
        """A cheap look before the patterns: most lines hold none of the texts that any report begins with."""
        return any(part in text for part in self._parts)

    def _head(self, text: str) -> tuple[tuple[Format, ...], re.Match[str]] | None:
        """All formats this text may begin, best first; the body decides between them later."""
        if self._grammar.benign.search(text):
            return None
        candidates: list[Format] = []
        first: re.Match[str] | None = None
        for form in self._grammar.formats:
            if form.contains_any(text) and (match := form.head.search(text)) and _leads(text, match):
                candidates.append(form)
                first = first or match
                if form.body is None:
                    break
        return (tuple(candidates), first) if first is not None else None

    def _absorbed(self, forms: tuple[Format, ...], line: LogLine) -> bool:
        """Tell whether an open report of this context owns the line, as a fault owns the panic that it leads to."""
        for draft in self._open:
            if not draft.takes(line):
                continue
            first = draft.forms[0]
            if draft.unfinished_head and first.id == forms[0].id:
                return True
            if any(owner in (first.group, first.id, "*") for owner in forms[0].absorbed_by):
                return True
        return False

    def _begin(
        self, forms: tuple[Format, ...], match: re.Match[str], text: str, line: LogLine
    ) -> Iterator[KernelReport]:
        for draft in [draft for draft in self._open if draft.takes(line) and draft.context == line.context]:
            self._open.remove(draft)
            yield from finish(draft, self._grammar)
        if len(self._open) >= _MAX_OPEN:
            yield from finish(self._open.pop(0), self._grammar)
        before = [old for old, owner in self._recent if owner.context == line.context]
        self._open.append(Draft(forms, match, text, line, before))

    def _expire(self, line: LogLine) -> Iterator[KernelReport]:
        if not self._open or line.mono_us is None:
            return
        for draft in [draft for draft in self._open if draft.context == line.context]:
            seen = draft.last.mono_us
            if seen is not None and not seen - _QUIET_US <= line.mono_us <= seen + _QUIET_US:
                self._open.remove(draft)
                yield from finish(draft, self._grammar)
