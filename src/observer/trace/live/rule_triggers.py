# SPDX-License-Identifier: Apache-2.0
"""Turns a risk rule into a condition that fires, as far as one call, exit or loss alone can tell that the rule may match.

The condition is at least as wide as the rule: what the rule asks of the whole story (its other traits) is left to the summary.
A rule that would then hold for every call of its kind is refused. Source: docs/guides/risk-rules.md, docs/spec/conditions.md.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Final

from observer.errors import NotFoundError, UsageError
from observer.trace.rules import load_rules, load_words

__all__ = ["PREFIX", "conditions_of_rule"]

PREFIX: Final = "rule:"  # before the id, where a condition may stand
_BY_FLAGS: Final = {
    "reads": 'not (args[1].contains("O_WRONLY") or args[2].contains("O_WRONLY"))',
    "writes": '(args[1].contains("O_WRONLY") or args[1].contains("O_RDWR") or args[2].contains("O_WRONLY") '
    'or args[2].contains("O_RDWR"))',
}
_CRASH: Final = (
    'kind == "exit" and signal in ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"]'
)
# Actions so rare that each call is worth a look.
_RARE: Final = frozenset(
    {"mount", "kernel", "bpf", "clock", "trace", "namespace", "set_user", "io_uring", "bind"}
)
_STORY: Final = frozenset({"after", "at_least"})  # keys that count or remember
_AT_ONCE: Final = 40  # paths of one condition, whose length is limited: docs/spec/conditions.md §1


def conditions_of_rule(rule_id: str, known: frozenset[str]) -> list[str]:
    """Return the conditions for a rule; it may match when one of them holds.

    Args:
        rule_id: The rule's id, as `observer summary` names it.
        known: Names of the kernel's calls; the rules also have those of embedders.

    Raises:
        NotFoundError: There is no such rule. [OBS700]
        UsageError: The rule needs more than one call to tell. [OBS100]
    """
    ids = [rule.id for rule in load_rules()]
    if rule_id not in ids:
        raise NotFoundError(f"there is no rule {rule_id!r}", hint=f"rules: {', '.join(ids)}")
    text = (resources.files("observer.trace.risk") / f"{rule_id}.toml").read_text(encoding="utf-8")
    when: dict[str, Any] = tomllib.loads(text)["when"]
    kinds = set(when.get("kinds", ()))
    if "loss" in kinds:
        return ["lost > 0"]
    if "exit" in kinds and "crash" in when.get("traits", ()):
        return [_CRASH]
    narrow = "paths" in when or when.get("refused") or set(when.get("actions", ())) & _RARE
    if "call" not in kinds or not narrow or _STORY & when.keys():
        raise UsageError(
            f"the rule {rule_id!r} needs the whole story, no single call tells it",
            hint="name what to look for as a condition: docs/spec/conditions.md",
        )
    globs = _globs(when.get("paths", []))
    some = [globs[at : at + _AT_ONCE] for at in range(0, len(globs), _AT_ONCE)] or [[]]
    return [" and ".join(_parts(when | {"paths": part}, known)) for part in some]


def _globs(patterns: list[str]) -> list[str]:
    lists = load_words().paths
    return [glob for word in patterns for glob in (lists[word[1:]] if word.startswith("@") else (word,))]


def _parts(when: dict[str, Any], known: frozenset[str]) -> list[str]:
    wanted = set(when.get("actions", ()))
    calls = sorted(
        name for name, action in load_words().actions.items() if action in wanted and name in known
    )
    parts = [f"syscall in [{', '.join(map(_quoted, calls))}]"] if calls else ['kind == "call"']
    if when.get("refused"):
        parts.append("denied")
    elif when.get("outcomes"):
        parts.append(f"outcome in [{', '.join(map(_quoted, when['outcomes']))}]")
    for key, negate in (("paths", ""), ("paths_not", "not ")):
        if when.get(key):
            parts.append(
                f"{negate}({' or '.join(f'path.matches({_quoted(glob)})' for glob in _globs(when[key]))})"
            )
    parts += [_BY_FLAGS[trait] for trait in when.get("traits", ()) if trait in _BY_FLAGS]
    return parts


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
