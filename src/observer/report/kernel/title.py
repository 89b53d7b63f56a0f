# SPDX-License-Identifier: Apache-2.0
"""Names a gathered report: picks the format its body proves, finds the culprit, fills in title and type."""

from __future__ import annotations

import re
from collections.abc import Iterator

from observer.report.kernel.grammar import Format, Grammar
from observer.report.kernel.report import KernelReport
from observer.report.kernel.stack import read_stack
from observer.report.sources import LogLine

__all__ = ["Draft", "finish"]

CORRUPTED = "corrupted"
_PANIC = re.compile(r"[\s\[-]*Kernel panic - not syncing")
_MAX_TITLE = 200
_NEAR = 60
"""Lines after the head in which a report's own dump begins."""
_DUMPER = re.compile(r"\s*(?:WARNING: )?CPU: \d+ (?:UID: \d+ )?PID: (\d+)")
_TRACE_END = re.compile(r"(?:---\[ end|RIP: 0033|={20})")
_OTHER = re.compile(r"FAULT_INJECTION|allocation failure|should_fail")
"""What prints a whole stack without being a fault."""


class Draft:
    """A report that is still being printed."""

    def __init__(
        self, forms: tuple[Format, ...], match: re.Match[str], text: str, line: LogLine, before: list[str]
    ) -> None:
        """Begin at the line `line`, whose part `text` matched the head of each of `forms`."""
        self.forms = forms
        self.match = match
        self.head = line
        self.last = line
        self.context = line.context
        self.lines = [text]
        self.before = before
        self.panic: LogLine | None = line if _PANIC.match(text) else None

    @property
    def unfinished_head(self) -> bool:
        """Whether a symbolizer has split the head into one line for each inlined function and the last is still to come."""
        return self.lines[-1].endswith("[inline]") and all(
            form.contains_any(self.lines[-1]) for form in self.forms[:1]
        )

    def takes(self, line: LogLine) -> bool:
        """Tell whether a line was printed by the context that prints this report."""
        return not (self.context and line.context) or self.context == line.context

    def add(self, text: str, line: LogLine) -> None:
        """Append one line."""
        self.lines.append(text)
        self.last = line
        if self.panic is None and _PANIC.match(text):
            self.panic = line


def finish(draft: Draft, grammar: Grammar) -> Iterator[KernelReport]:
    """Yield the report a draft amounts to; nothing where no format's body is there."""
    body = "\n".join(draft.lines)
    ahead = "\n".join(draft.before)
    for form in draft.forms:
        groups = _groups(form, _whole_head(form, draft.lines), body, ahead)
        if groups is not None:
            yield _report(draft, form, groups, grammar)
            return


def _whole_head(form: Format, lines: list[str]) -> str:
    """The last of the lines into which a symbolizer has split the head: the one that names the function that was called."""
    head = lines[0]
    for text in lines[1:]:
        if not head.endswith("[inline]") or form.head.search(text) is None:
            break
        head = text
    return head


def _groups(form: Format, head: str, body: str, ahead: str) -> dict[str, str] | None:
    found = form.head.search(head)
    if found is None:
        return None
    groups = {key: value or "" for key, value in found.groupdict().items()}
    if form.body is not None:
        inner = form.body.search(f"{ahead}\n{body}" if form.body.groups or ahead else body)
        if inner is None:
            return None
        groups.update({key: value or "" for key, value in inner.groupdict().items()})
    return groups


def _report(draft: Draft, form: Format, groups: dict[str, str], grammar: Grammar) -> KernelReport:
    stack = read_stack(draft.lines)
    frame = stack.culprit(form, groups, grammar) if form.frame else ""
    if interleaved(draft):
        frame = ""
    corrupted = bool(form.frame) and (not frame or (form.needs_trace and not stack.traces))
    template = form.title if frame or not form.frame or form.bare is None else form.bare
    groups["trap_plain"] = (
        groups.get("trap", "").replace("_", " ").replace("stack segment", "stack segment fault")
    )
    groups = {key: _general(value) if key in ("text", "what") else value for key, value in groups.items()}
    values = {
        **groups,
        "frame": frame or CORRUPTED,
        "caller": stack.caller(form, groups, grammar) or CORRUPTED,
    }
    return KernelReport(
        title=_fill(template, values),
        type=_fill(form.type, {key: value.upper() for key, value in groups.items()}) if form.type else None,
        format=form.id,
        corrupted=corrupted,
        panicked=draft.panic is not None,
        group=form.group,
        head=draft.head,
        last=draft.last,
        panic=draft.panic,
    )


def interleaved(draft: Draft) -> bool:
    """Whether another processor's dump stands inside this report, where nothing tells the two apart."""
    if draft.context:
        return False
    pids: list[str] = []
    for text in draft.lines[:_NEAR]:
        if found := _DUMPER.match(text):
            pids.append(found[1])
        elif pids and _TRACE_END.match(text):
            break
    return len(set(pids)) > 1 and any(_OTHER.search(text) for text in [*draft.before, *draft.lines[:_NEAR]])


def _fill(template: str, values: dict[str, str]) -> str:
    """Fill `{name}`; values are log text and are never themselves taken for templates."""
    text = re.sub(r"\{(\w+)\}", lambda hit: values.get(hit[1], ""), template)
    return re.sub(r"\s+", " ", text).strip()[:_MAX_TITLE]


def _general(text: str) -> str:
    """Free text of a title with numbers and addresses replaced, so that the same fault has the same title again."""
    text = re.sub(r"\b0x[0-9a-f]+\b|\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8,16}\b", "ADDR", text)
    return re.sub(r"(?<![A-Za-z_\d])\d+|\d{3,}", "NUM", text)
