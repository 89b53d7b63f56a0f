# SPDX-License-Identifier: Apache-2.0
"""The rule book: reads `rules/*.toml`, checks it, and refuses what cannot mean anything with file and reason.

The shape of a rule file is described in `docs/spec/verdicts.md`, section 5.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from observer.errors import UsageError
from observer.report.sources import Origin

__all__ = ["RuleBook", "Signal", "Verdict", "Weight", "load_rules", "parse_rules"]

_SIGNAL_KEYS = {
    "name",
    "contains",
    "pattern",
    "origin",
    "ident",
    "event",
    "report",
    "derived",
    "says",
    "role",
    "fields",
    "unless",
    "late",
}
_VERDICT_KEYS = {
    "name", "meaning", "anchor", "requires", "confidence", "window_s", "scope", "rank", "explains", "supports", "against", "veto",
    "rivals", "missing", "repeat", "advice", "context", "at_end", "after_start",
}  # fmt: skip
_SCOPES = ("machine", "host", "service", "process", "none")


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of line that means something.

    Attributes:
        name: `family.what`, unique over all files.
        contains: The line holds one of these texts (checked first, case-sensitive); empty for records of the host.
        pattern: Then this pattern must be found; its named groups fill `says`.
        origins: Who may say it; the same words from anybody else mean nothing.
        idents: If given, the identifier must be one of these.
        event: Fields of a host record and the patterns they must match whole.
        report: Properties a kernel report must have (`group`, `format`, `panicked`, `type`).
        says: One sentence for people, with `{group}` places.
        role: `cause`, `symptom`, `context` or `end`.
        unless: A pattern that must not be found.
        late: The record is written after what it tells of, at the next start; its time is no time of the event.
    """

    name: str
    contains: tuple[str, ...]
    pattern: re.Pattern[str] | None
    origins: frozenset[Origin]
    idents: frozenset[str]
    event: Mapping[str, re.Pattern[str]]
    report: Mapping[str, Any]
    fields: Mapping[str, re.Pattern[str]]
    says: str
    role: str
    unless: re.Pattern[str] | None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Weight:
    """A signal that changes a verdict's confidence, and why."""

    signal: str
    change: float
    because: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What proves one verdict.

    Attributes:
        name: Documented name, such as `STORAGE/IO_ERROR`.
        meaning: One sentence for the documentation.
        anchors: Any of these signals opens a candidate.
        requires: All of these must stand in the same boot too; `a|b` means one of them.
        confidence: Before supports and counter-evidence, 0 to 1.
        window_s: Seconds that part two incidents, and within which symptoms follow.
        scope: What ended: `machine`, `host`, `service`, `process`, or `none`.
        rank: Which of several incidents answers "why": the higher.
        explains: Verdicts (with `*` at the end for a whole family) that are this one's symptoms when they follow it.
        supports, against: Changes of confidence.
        veto: Signals in whose presence this verdict is lost, with the reason.
        rivals: Verdicts that were considered, and why they lost where they have no candidate of their own.
        missing: Evidence that would have decided more, listed unless the signal is there.
        repeat: How many anchors it takes.
        context: Signals shown in the chain when they stand in the window, without changing the confidence.
        at_end: The anchor must stand within this many seconds of the end of its boot; None for anywhere.
        after_start: The anchor must stand so many seconds behind the start of the kernel; before, it is usual.
    """

    name: str
    meaning: str
    anchors: tuple[str, ...]
    requires: tuple[tuple[str, ...], ...]
    confidence: float
    window_s: float
    scope: str
    rank: int
    explains: tuple[str, ...]
    supports: tuple[Weight, ...]
    against: tuple[Weight, ...]
    veto: tuple[Weight, ...]
    rivals: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, str], ...]
    repeat: int
    advice: str
    context: tuple[str, ...]
    at_end: float | None
    after_start: float


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All signals and verdicts."""

    signals: tuple[Signal, ...]
    verdicts: tuple[Verdict, ...]
    by_name: Mapping[str, Signal] = field(default_factory=dict)

    def verdict(self, name: str) -> Verdict | None:
        """The verdict of that name, or None."""
        return next((verdict for verdict in self.verdicts if verdict.name == name), None)


@cache
def load_rules() -> RuleBook:
    """Load the rules that ship with Observer; read once."""
    folder = resources.files("observer.report.diagnosis").joinpath("rules")
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name
    )
    return parse_rules((entry.name, entry.read_text("utf-8")) for entry in files)


def parse_rules(files: Iterable[tuple[str, str]]) -> RuleBook:
    """Build a rule book from (file name, text) pairs.

    Raises:
        UsageError: A file is no TOML, misses a key, has an unknown one, or names a signal that does not exist.
    """
    signals: list[Signal] = []
    verdicts: list[Verdict] = []
    for name, text in files:
        try:
            table = tomllib.loads(text)
            signals.extend(_signal(entry) for entry in table.get("signal", []))
            verdicts.extend(_verdict(entry) for entry in table.get("verdict", []))
        except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError, re.error) as error:
            raise UsageError(
                f"rule file {name} is wrong: {error}", hint="see docs/spec/verdicts.md", where={"file": name}
            ) from error
    book = RuleBook(tuple(signals), tuple(verdicts), {signal.name: signal for signal in signals})
    _check(book)
    return book


def read_rule_files(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Read further rule files that a user names."""
    return [(str(path), path.read_text("utf-8")) for path in paths]


def _known(entry: dict[str, Any], keys: set[str]) -> None:
    unknown = set(entry) - keys
    if unknown:
        raise ValueError(f"{entry.get('name', '?')} has unknown keys {', '.join(sorted(unknown))}")


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)  # type: ignore[attr-defined]


def _signal(entry: dict[str, Any]) -> Signal:
    _known(entry, _SIGNAL_KEYS)
    signal = Signal(
        name=entry["name"],
        contains=_texts(entry.get("contains")),
        pattern=re.compile(entry["pattern"]) if "pattern" in entry else None,
        origins=frozenset(Origin(origin) for origin in _texts(entry.get("origin", "kernel"))),
        idents=frozenset(_texts(entry.get("ident"))),
        event={key: re.compile(str(value), re.I) for key, value in entry.get("event", {}).items()},
        report=entry.get("report", {}),
        fields={key: re.compile(str(value)) for key, value in entry.get("fields", {}).items()},
        says=entry["says"],
        role=entry.get("role", "cause"),
        unless=re.compile(entry["unless"]) if "unless" in entry else None,
        late=bool(entry.get("late", False)),
    )
    if not (signal.contains or signal.event or signal.report or signal.fields or entry.get("derived")):
        raise ValueError(f"{signal.name} needs contains, event, fields, report or derived")
    if Origin.USER in signal.origins and not (signal.idents or signal.fields):
        raise ValueError(f"{signal.name} takes any program's word: name programs with ident")
    return signal


def _weights(entries: list[dict[str, Any]], key: str, sign: float) -> tuple[Weight, ...]:
    return tuple(
        Weight(entry["signal"], sign * float(entry.get(key, 0.0)), entry.get("because", ""))
        for entry in entries
    )


def _verdict(entry: dict[str, Any]) -> Verdict:
    _known(entry, _VERDICT_KEYS)
    if entry["scope"] not in _SCOPES:
        raise ValueError(f"{entry['name']}: scope must be one of {', '.join(_SCOPES)}")
    return Verdict(
        name=entry["name"],
        meaning=entry["meaning"],
        anchors=_texts(entry["anchor"]),
        requires=tuple(tuple(text.split("|")) for text in _texts(entry.get("requires"))),
        confidence=float(entry["confidence"]),
        window_s=float(entry.get("window_s", 300)),
        scope=entry["scope"],
        rank=int(entry["rank"]),
        explains=_texts(entry.get("explains")),
        supports=_weights(entry.get("supports", []), "adds", 1.0),
        against=_weights(entry.get("against", []), "takes", -1.0),
        veto=_weights(entry.get("veto", []), "takes", -1.0),
        rivals=tuple((rival["name"], rival["lost"]) for rival in entry.get("rivals", [])),
        missing=tuple((item.get("unless", ""), item["says"]) for item in entry.get("missing", [])),
        repeat=int(entry.get("repeat", 1)),
        advice=entry.get("advice", ""),
        context=_texts(entry.get("context")),
        at_end=float(entry["at_end"]) if "at_end" in entry else None,
        after_start=float(entry.get("after_start", 0)),
    )


def _check(book: RuleBook) -> None:
    if len(book.by_name) != len(book.signals):
        names = [signal.name for signal in book.signals]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(f"signals named twice: {', '.join(twice)}", hint="give each signal its own name")
    for verdict in book.verdicts:
        used = [*verdict.anchors, *verdict.context, *(name for group in verdict.requires for name in group)]
        used += [weight.signal for weight in (*verdict.supports, *verdict.against, *verdict.veto)]
        used += [name for name, _ in verdict.missing if name]
        unknown = sorted(name for name in used if name not in book.by_name)
        if unknown:
            raise UsageError(
                f"{verdict.name} names signals that no rule file has: {', '.join(unknown)}",
                hint="check their spelling",
            )
