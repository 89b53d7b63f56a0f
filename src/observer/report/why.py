# SPDX-License-Identifier: Apache-2.0
"""Answers "why did it die": reads raw logs, weighs the rules, returns one diagnosis.

Typical use:

    diagnosis = explain([SourceSpec(SourceKind.KMSG, Path("dmesg.txt"))])
    print(diagnosis.verdict, diagnosis.confidence)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observer.errors import UsageError
from observer.report.diagnosis import Diagnosis, RuleBook, diagnose, load_rules
from observer.report.diagnosis.matcher import Matcher
from observer.report.diagnosis.rules import parse_rules, read_rule_files
from observer.report.diagnosis.survey import Survey
from observer.report.sources import LogLine, SourceKind, read_source

__all__ = ["SourceSpec", "explain", "explain_lines", "with_rule_files"]

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One log to read: what it is said to be, and where it is (`-` for standard input)."""

    kind: SourceKind
    path: Path | str


def explain(
    sources: Sequence[SourceSpec], *, book: RuleBook | None = None, boot: int | None = None
) -> Diagnosis:
    """Read every source once, in bounded memory, and say what happened.

    Args:
        sources: The logs; guest and host logs may be mixed.
        book: Rules; those that ship with Observer when None.
        boot: Which boot to judge: 0 the last in the logs, -1 the one before; None chooses the one that died.

    Returns:
        The diagnosis. Deterministic: the same bytes and rules give the same answer.

    Raises:
        UsageError: No source, or one that may not be read.
        NotFoundError, FormatError, CapabilityError: As the readers say.

    Source: docs/spec/verdicts.md.
    """
    if not sources:
        raise UsageError(
            "no log was given",
            hint="give --kmsg, --dmesg, --journal, --syslog, --evtx FILE, or - for standard input",
        )
    book = book or load_rules()
    matcher = Matcher(book)
    surveys = [Survey(book, matcher).read(read_source(spec.kind, spec.path)) for spec in sources]
    facts = [_source_facts(spec, survey) for spec, survey in zip(sources, surveys, strict=True)]
    return diagnose(surveys, book, integrity=_integrity(facts), boot=boot)


def explain_lines(lines: Iterable[LogLine], *, book: RuleBook | None = None) -> Diagnosis:
    """The same for lines that are already at hand."""
    book = book or load_rules()
    survey = Survey(book, Matcher(book)).read(lines)
    return diagnose([survey], book, integrity=_integrity([]))


def with_rule_files(paths: Sequence[Path]) -> RuleBook:
    """The rules that ship with Observer and those of further files.

    Raises:
        UsageError: A file is wrong; says which and why.
    """
    from importlib import resources

    folder = resources.files("observer.report.diagnosis").joinpath("rules")
    own = [
        (entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".toml")
    ]
    return parse_rules([*sorted(own), *read_rule_files(paths)])


def _integrity(sources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "state": "UNSEALED",
        "note": "raw logs carry no proof that they are whole; the digests pin what was read",
        "sources": sources,
    }


def _source_facts(spec: SourceSpec, survey: Survey) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": spec.kind.value, "path": str(spec.path), "lines": survey.lines}
    path = Path(spec.path)
    if str(spec.path) != "-" and path.is_file():
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(path):
            digest.update(piece)
            size += len(piece)
        facts |= {"bytes": size, "sha256": digest.hexdigest()}
    return facts


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
