# SPDX-License-Identifier: Apache-2.0
"""Loads the risk rules and says which of them something matches. Policy is in the TOML files, never here."""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from observer.errors import FormatError

__all__ = ["Rule", "SEVERITIES", "Sight", "Words", "load_rules", "load_words", "parse_rule"]

SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
_REFUSALS: Final = frozenset({"EPERM", "EACCES"})
_KEYS: Final = frozenset({
    "kinds", "actions", "outcomes", "traits", "traits_not", "paths", "paths_not", "program_not", "arguments", "refused",
    "subject", "distinct",
})  # fmt: skip


@dataclass(slots=True)
class Sight:
    """One thing the trace shows, with what the rules may ask of it.

    Attributes:
        kind: `call`, `exec`, `exit`, `event`, `loss` or `recording`.
        record_id: The record that supports it; empty for facts of the recording as a whole.
        action: What the call does, as `words.toml` says; empty if nothing the rules know.
        outcome: The call's outcome.
        errno: Name of its error.
        paths: Paths it names, absolute where the trace tells.
        program: Name of the acting program.
        traits: What was found out about it.
        arguments: Decoded arguments by name.
        subjects: How to show it: by `path`, `address`, `program`, `call`, `text`.
    """

    kind: str
    record_id: str
    action: str = ""
    outcome: str = "ok"
    errno: str | None = None
    paths: tuple[str, ...] = ()
    program: str = ""
    traits: set[str] = field(default_factory=set)
    arguments: Mapping[str, str] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One risk rule; the fields are the keys of its TOML file, described in docs/guides/risk-rules.md."""

    id: str
    severity: str
    deduct: int
    text: str
    why: str
    kinds: frozenset[str]
    actions: frozenset[str]
    outcomes: frozenset[str]
    traits: frozenset[str]
    traits_not: frozenset[str]
    paths: re.Pattern[str] | None
    paths_not: re.Pattern[str] | None
    program_not: frozenset[str]
    arguments: tuple[tuple[str, re.Pattern[str]], ...]
    refused: bool
    subject: str
    distinct: bool

    def matches(self, sight: Sight) -> bool:
        """Whether every condition of the rule holds."""
        return (
            sight.kind in self.kinds
            and (not self.actions or sight.action in self.actions)
            and (not self.outcomes or sight.outcome in self.outcomes)
            and self.traits <= sight.traits
            and not self.traits_not & sight.traits
            and (not self.refused or sight.errno in _REFUSALS or sight.outcome == "denied")
            and sight.program not in self.program_not
            and self._paths_match(sight.paths)
            and all(pattern.search(sight.arguments.get(name, "")) for name, pattern in self.arguments)
        )

    def _paths_match(self, paths: tuple[str, ...]) -> bool:
        if self.paths_not is not None and any(self.paths_not.fullmatch(path) for path in paths):
            return False
        return self.paths is None or any(self.paths.fullmatch(path) for path in paths)

    def shown(self, sight: Sight) -> str:
        """Return how a match is named in the rule's sentence."""
        if self.subject == "path" and self.paths is not None:
            return next(path for path in sight.paths if self.paths.fullmatch(path))
        return sight.subjects.get(self.subject) or next(iter(sight.paths), "")


@dataclass(frozen=True, slots=True)
class Words:
    """Names of calls and programs by what they do.

    Attributes:
        actions: From a call's name to its action.
        programs: Sets of program names.
    """

    actions: Mapping[str, str]
    programs: Mapping[str, frozenset[str]]


@functools.cache
def load_words() -> Words:
    """Return what `words.toml` says."""
    table = tomllib.loads(_file("words.toml"))
    actions = {name: action for action, names in table["actions"].items() for name in names}
    return Words(actions, {kind: frozenset(names) for kind, names in table["programs"].items()})


@functools.cache
def load_rules() -> tuple[Rule, ...]:
    """Return every rule, in order of id."""
    folder = resources.files("observer.trace.risk")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return tuple(
        parse_rule(name.removesuffix(".toml"), _file(name)) for name in names if name != "words.toml"
    )


def parse_rule(rule_id: str, text: str) -> Rule:
    """Return the rule that a TOML text describes.

    Raises:
        FormatError: A key is missing, unknown or of the wrong kind.
    """
    try:
        table = tomllib.loads(text)
        when: dict[str, Any] = table["when"]
        if unknown := when.keys() - _KEYS:
            raise FormatError(f"risk rule {rule_id}: unknown key {sorted(unknown)[0]!r}")
        if table["severity"] not in SEVERITIES:
            raise FormatError(f"risk rule {rule_id}: unknown severity {table['severity']!r}")
        return Rule(
            id=rule_id,
            severity=table["severity"],
            deduct=int(table["deduct"]),
            text=table["text"],
            why=table["why"],
            kinds=frozenset(when["kinds"]),
            actions=frozenset(when.get("actions", ())),
            outcomes=frozenset(when.get("outcomes", ())),
            traits=frozenset(when.get("traits", ())),
            traits_not=frozenset(when.get("traits_not", ())),
            paths=_globs(when.get("paths", ())),
            paths_not=_globs(when.get("paths_not", ())),
            program_not=frozenset(when.get("program_not", ())),
            arguments=tuple((name, re.compile(regex)) for name, regex in when.get("arguments", {}).items()),
            refused=bool(when.get("refused", False)),
            subject=when.get("subject", "path"),
            distinct=bool(when.get("distinct", False)),
        )
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise FormatError(f"risk rule {rule_id}: {error!r}") from error


def _file(name: str) -> str:
    return (resources.files("observer.trace.risk") / name).read_text(encoding="utf-8")


def _globs(patterns: Iterable[str]) -> re.Pattern[str] | None:
    parts = [fnmatch.translate(pattern) for pattern in patterns]
    return re.compile("|".join(parts)) if parts else None
