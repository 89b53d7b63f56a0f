# SPDX-License-Identifier: Apache-2.0
"""Finds the signals in lines: who said it first, then a plain text search, then the pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator

from observer.report.diagnosis.rules import RuleBook, Signal
from observer.report.kernel import KernelReport
from observer.report.sources import LogLine, Origin

__all__ = ["Matcher", "fill"]

_QUOTED = re.compile(r'"[^"]*"')
_CARRIERS = re.compile(
    r"(?:usb|usbcore|hid\S*|input|bluetooth|Bluetooth|scsi|i2c|audit|mmc\d+|cfg80211|thunderbolt|wacom|sd|sr)\b[^:]{0,40}: "
    r"(?:(?:Product|Manufacturer|SerialNumber|New USB device found|new device)\b|type=\d+)"
    r"|scsi \S+: (?:Direct-Access|CD-ROM|Sequential-Access|Enclosure|Processor)\b|input: |audit: |hid\S* \S+: input"
    r"|systemd\[1\]: |(?:init|udevd|dracut)[\w-]*(?:\[\d+\])?: |random: |Kernel command line: |Command line: "
)
"""Kernel lines that pass on a name a device, a program or an administrator chose."""
_NAMED = (Origin.USER, Origin.SYSTEMD, Origin.AGENT)
"""Origins with identifiers; the kernel and the host have none to check."""


class Matcher:
    """Matches lines and kernel reports against a rule book."""

    def __init__(self, book: RuleBook) -> None:
        """Sort the signals by who may say them, so that most lines meet few of them."""
        self._by_origin: dict[Origin, tuple[tuple[str, Signal], ...]] = {
            origin: tuple(
                (text, signal)
                for signal in book.signals
                if origin in signal.origins
                for text in signal.contains
            )
            for origin in Origin
        }
        self._events = tuple(signal for signal in book.signals if signal.event)
        self._fields = tuple(signal for signal in book.signals if signal.fields and not signal.contains)
        self._reports = tuple(signal for signal in book.signals if signal.report)

    def match(self, line: LogLine) -> Iterator[tuple[Signal, dict[str, str]]]:
        """Yield each signal the line carries, once, with the values of its named groups."""
        text = spoken(line)
        seen: set[str] = set()
        for needle, signal in self._by_origin[line.origin]:
            if needle in text and signal.name not in seen:
                values = _values(signal, line, text)
                if values is not None:
                    seen.add(signal.name)
                    yield signal, values
        if line.origin is Origin.HOST:
            yield from self._match_event(line, seen)
        elif line.fields and self._fields:
            for signal in self._fields:
                if (
                    line.origin in signal.origins
                    and signal.name not in seen
                    and (values := _values(signal, line, text)) is not None
                ):
                    yield signal, values

    def _match_event(self, line: LogLine, seen: set[str]) -> Iterator[tuple[Signal, dict[str, str]]]:
        for signal in self._events:
            if signal.name not in seen and all(
                _field_is(line, key, want) for key, want in signal.event.items()
            ):
                yield signal, {_identifier(key): value for key, value in line.fields.items()}

    def match_report(self, report: KernelReport) -> Iterator[tuple[Signal, dict[str, str]]]:
        """Yield each signal a kernel report carries."""
        shown = {"title": report.title, "type": report.type or "unclassified"}
        for signal in self._reports:
            if all(_report_is(report, key, want) for key, want in signal.report.items()):
                yield signal, shown


def spoken(line: LogLine) -> str:
    """What the speaker itself says: without quoted strings, and nothing where a kernel line only passes on a stranger's words."""
    text = line.text
    if line.origin is Origin.KERNEL:
        if _CARRIERS.match(text):
            return ""
        if '"' in text:
            return _QUOTED.sub(lambda hit: '"' + "~" * (len(hit[0]) - 2) + '"', text)
    return text


def _values(signal: Signal, line: LogLine, text: str) -> dict[str, str] | None:
    if signal.idents and line.origin in _NAMED and line.ident not in signal.idents:
        return None
    if signal.unless is not None and signal.unless.search(text):
        return None
    if any(not want.fullmatch(line.fields.get(key, "")) for key, want in signal.fields.items()):
        return None
    named = {_identifier(key): value for key, value in line.fields.items()} if signal.fields else {}
    if signal.pattern is None:
        return {**named, "ident": line.ident, "text": text}
    found = signal.pattern.search(text)
    if found is None:
        return None
    return {
        "ident": line.ident,
        "text": text,
        **{key: value or "" for key, value in found.groupdict().items()},
    }


def _field_is(line: LogLine, key: str, want: re.Pattern[str]) -> bool:
    value = line.fields.get(key)
    if value is None and key == "any":
        return want.search(line.text) is not None
    return value is not None and want.fullmatch(value) is not None


def _identifier(key: str) -> str:
    return re.sub(r"\W", "_", key)


def _report_is(report: KernelReport, key: str, want: object) -> bool:
    have: object = getattr(report, key)
    if isinstance(want, list):
        return have in want
    return have == want


def fill(template: str, values: dict[str, str], limit: int = 120) -> str:
    """Fill `{name}` places with capped values; the values are text of strangers and are never read as templates."""
    return re.sub(r"\{(\w+)\}", lambda hit: values.get(hit[1], "")[:limit], template)
