# SPDX-License-Identifier: Apache-2.0
"""The grammar of kernel reports, loaded from `formats/*.toml` and `frames.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["Format", "Grammar", "load_grammar"]


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of report begins, where its culprit stands, and what it is called.

    Attributes:
        id: Name, unique over all files.
        contains: Text that every first line of this kind holds; checked before the pattern, for speed.
        head: Pattern of the first line.
        body: Pattern that must be found in the lines that follow, or None.
        frame: Where to look for the culprit, in order: `func`, `rip`, `after_rip`, `trace`, `backtrace`, `lock`,
            `anchor`, `stall`, `wait`.
        skip: Groups of `frames.toml` to skip beyond the default ones.
        title: Title with `{frame}` and the named groups of both patterns.
        bare: Title when no culprit is found; None means that `corrupted` stands for it.
        type: Type with the named groups in upper case, or None.
        group: What the report speaks of in general.
        absorbed_by: Groups or ids of formats that, when open, own a line that matches this one.
        needs_trace: Without a stack trace the report is corrupted even where the first line names a function.
    """

    id: str
    contains: tuple[str, ...]
    head: re.Pattern[str]
    body: re.Pattern[str] | None
    frame: tuple[str, ...]
    skip: tuple[str, ...]
    title: str
    bare: str | None
    type: str | None
    group: str
    absorbed_by: tuple[str, ...]
    needs_trace: bool

    def contains_any(self, text: str) -> bool:
        """A cheap look before the pattern."""
        return any(part in text for part in self.contains)


@dataclass(frozen=True, slots=True)
class Grammar:
    """All formats in order of preference, texts that look like reports and are none, and the frames to skip."""

    formats: tuple[Format, ...]
    benign: re.Pattern[str]
    skips: dict[str, re.Pattern[str]]
    tick: re.Pattern[str]
    waits: re.Pattern[str]
    dispatchers: re.Pattern[str]
    anchors: re.Pattern[str]
    renames: tuple[tuple[re.Pattern[str], str], ...]

    def skipper(self, extra: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
        """Patterns of functions that cannot be the culprit, the default group first."""
        return (self.skips["always"], *(self.skips[name] for name in extra))


@cache
def load_grammar() -> Grammar:
    """Load the grammar that ships with Observer; read once."""
    here = resources.files("observer.report.kernel")
    frames = tomllib.loads(here.joinpath("frames.toml").read_text("utf-8"))
    formats: list[Format] = []
    benign: list[str] = []
    for file in sorted((entry for entry in here.joinpath("formats").iterdir()), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            table = tomllib.loads(file.read_text("utf-8"))
            benign.extend(table.get("benign", []))
            formats.extend(_format(entry, table) for entry in table.get("format", []))
    return Grammar(
        formats=tuple(formats),
        benign=re.compile("|".join(f"(?:{text})" for text in benign)),
        skips={name: _anywhere(patterns) for name, patterns in frames["skip"].items()},
        tick=_union(frames["tick"]),
        waits=_union(frames["waits"]),
        dispatchers=_union(frames["dispatchers"]),
        anchors=_union(frames["anchors"]),
        renames=tuple((re.compile(entry["from"]), entry["to"]) for entry in frames["rename"]),
    )


def _anywhere(patterns: list[str]) -> re.Pattern[str]:
    """One pattern for a family of names; searched, not matched."""
    return re.compile("|".join(patterns))


def _union(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("(?:" + "|".join(patterns) + r")\Z")


def _format(entry: dict[str, Any], table: dict[str, Any]) -> Format:
    contains = entry["contains"]
    return Format(
        id=entry["id"],
        contains=(contains,) if isinstance(contains, str) else tuple(contains),
        head=re.compile(entry["head"]),
        body=re.compile(entry["body"], re.M) if "body" in entry else None,
        frame=tuple(entry.get("frame", ())),
        skip=tuple(entry.get("skip", ())),
        title=entry["title"],
        bare=entry.get("bare"),
        type=entry.get("type"),
        group=entry.get("group", table.get("group", "fault")),
        absorbed_by=tuple(entry.get("absorbed_by", table.get("absorbed_by", ()))),
        needs_trace=bool(entry.get("needs_trace", False)),
    )
