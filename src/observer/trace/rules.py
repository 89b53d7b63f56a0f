# SPDX-License-Identifier: Apache-2.0
"""Loads the risk rules and says which of them something matches. Policy is in the TOML files, never here."""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from observer.errors import FormatError

__all__ = ["Rule", "SEVERITIES", "Sight", "Words", "load_rules", "load_words", "parse_rule"]

SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
_REFUSALS: Final = frozenset({"EPERM", "EACCES"})
_KEYS: Final = frozenset({
    "kinds", "actions", "outcomes", "traits", "traits_any", "traits_not", "paths", "paths_not", "programs", "program_not",
    "arguments", "arguments_not", "refused", "subject", "distinct", "owners", "at_least", "per", "share", "after", "within",
})  # fmt: skip
_SCOPES: Final = ("process", "tree", "trace")


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
        names: What the acting program may be called: its own name and that of the script it interprets.
        trusted: Whether those names may be believed.
        pid: The acting process.
        tree: The undertaking it is part of.
        lineage: Yields the ids of the acting process and of its ancestors.
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
    names: frozenset[str] = frozenset()
    trusted: bool = True
    pid: int = 0
    tree: int = 0
    lineage: Callable[[], Iterable[int]] = tuple


@dataclass(frozen=True, slots=True)
class Owner:
    """Programs whose business some files are.

    Attributes:
        paths: The files.
        programs: The programs.
    """

    paths: re.Pattern[str]
    programs: frozenset[str]


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
    traits_any: frozenset[str] = frozenset()
    traits_not: frozenset[str]
    paths: re.Pattern[str] | None
    paths_not: re.Pattern[str] | None
    programs: frozenset[str] = frozenset()
    program_not: frozenset[str]
    owners: tuple[Owner, ...] = ()
    arguments: tuple[tuple[str, re.Pattern[str]], ...]
    arguments_not: tuple[tuple[str, re.Pattern[str]], ...] = ()
    refused: bool
    subject: str
    distinct: bool
    at_least: int = 1
    per: str = "trace"
    share: float = 0.0
    after: frozenset[str] = frozenset()
    within: str = "process"
    hidden: bool = False

    def matches(self, sight: Sight) -> bool:
        """Whether every condition of the rule holds that a sight alone can tell."""
        return (
            sight.kind in self.kinds
            and (not self.actions or sight.action in self.actions)
            and (not self.outcomes or sight.outcome in self.outcomes)
            and self.traits <= sight.traits
            and (not self.traits_any or bool(self.traits_any & sight.traits))
            and not self.traits_not & sight.traits
            and (not self.refused or sight.errno in _REFUSALS or sight.outcome == "denied")
            and self._program_matches(sight)
            and self._paths_match(sight.paths)
            and all(pattern.search(sight.arguments.get(name, "")) for name, pattern in self.arguments)
            and not any(pattern.search(sight.arguments.get(name, "")) for name, pattern in self.arguments_not)
        )

    def _program_matches(self, sight: Sight) -> bool:
        # A name is a claim: it serves as an excuse only for a program that is where programs are installed.
        names = sight.names or frozenset({sight.program})
        if self.programs and not self.programs & names:
            return False
        if not sight.trusted:
            return True
        if self.program_not & names:
            return False
        return not any(
            owner.programs & names and any(owner.paths.fullmatch(path) for path in sight.paths)
            for owner in self.owners
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
        programs: Sets of program names; a rule names one as `@set`.
        paths: Lists of path patterns; a rule names one as `@list`.
    """

    actions: Mapping[str, str]
    programs: Mapping[str, frozenset[str]]
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@functools.cache
def load_words() -> Words:
    """Return what `words.toml` says."""
    table = tomllib.loads(_file("words.toml"))
    actions = {name: action for action, names in table["actions"].items() for name in names}
    programs = {kind: frozenset(names) for kind, names in table["programs"].items()}
    return Words(actions, programs, {name: tuple(paths) for name, paths in table.get("paths", {}).items()})


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
        for scope in (when.get("per", "trace"), when.get("within", "process")):
            if scope not in _SCOPES:
                raise FormatError(f"risk rule {rule_id}: {scope!r} is none of {', '.join(_SCOPES)}")
        return Rule(
            id=rule_id,
            severity=table["severity"],
            deduct=int(table["deduct"]),
            text=table["text"],
            why=table["why"],
            hidden=bool(table.get("hidden", False)),
            **_conditions(when),
        )
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise FormatError(f"risk rule {rule_id}: {error!r}") from error


def _conditions(when: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kinds": frozenset(when["kinds"]),
        "actions": frozenset(when.get("actions", ())),
        "outcomes": frozenset(when.get("outcomes", ())),
        "traits": frozenset(when.get("traits", ())),
        "traits_any": frozenset(when.get("traits_any", ())),
        "traits_not": frozenset(when.get("traits_not", ())),
        "paths": _globs(when.get("paths", ())),
        "paths_not": _globs(when.get("paths_not", ())),
        "programs": _names(when.get("programs", ())),
        "program_not": _names(when.get("program_not", ())),
        "owners": tuple(
            Owner(_globs(owner["paths"]) or re.compile("(?!)"), _names(owner["programs"]))
            for owner in when.get("owners", ())
        ),
        "arguments": _patterns(when.get("arguments", {})),
        "arguments_not": _patterns(when.get("arguments_not", {})),
        "refused": bool(when.get("refused", False)),
        "subject": when.get("subject", "path"),
        "distinct": bool(when.get("distinct", False)) or int(when.get("at_least", 1)) > 1,
        "at_least": int(when.get("at_least", 1)),
        "per": when.get("per", "trace"),
        "share": float(when.get("share", 0.0)),
        "after": frozenset(when.get("after", ())),
        "within": when.get("within", "process"),
    }


def _patterns(table: Mapping[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(regex)) for name, regex in table.items())


def _names(words: Iterable[str]) -> frozenset[str]:
    """Return names, sets that `words.toml` has by `@name` put in their place."""
    found: set[str] = set()
    for word in words:
        found |= load_words().programs[word[1:]] if word.startswith("@") else {word}
    return frozenset(found)


def _file(name: str) -> str:
    return (resources.files("observer.trace.risk") / name).read_text(encoding="utf-8")


def _globs(patterns: Iterable[str]) -> re.Pattern[str] | None:
    plain: list[str] = []
    for pattern in patterns:
        plain += load_words().paths[pattern[1:]] if pattern.startswith("@") else (pattern,)
    parts = [fnmatch.translate(pattern) for pattern in plain]
    return re.compile("|".join(parts)) if parts else None
