# SPDX-License-Identifier: Apache-2.0
"""observer doctor: what this kernel and this user permit, each found by trying."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text

from observer.cli.printing import print_json, safe, stdout_console, talk
from observer.cli.probes import PROBES, Capability, examine
from observer.errors import UsageError

__all__ = ["Doctor"]

_SCHEMA = "observer.doctor/1"


class Doctor:
    """Say what this kernel and this user permit: yes, no, and how to get it.

    Every answer comes from trying the thing itself, never from a version number. Nothing is changed.
    Recording needs only the first two; the others make it faster, wider or replayable.

    Examples:
      observer doctor                     everything
      observer doctor ptrace seccomp      only these
      observer doctor --json              one object per line, for programs
    """

    name: ClassVar[str] = "doctor"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument("names", nargs="*", metavar="CAPABILITY", help="look at these only")
        parser.add_argument("--json", action="store_true", help="one JSON object per line on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Try each and print the answers; the status is 0 whatever they are."""
        known = {probe.name: probe for probe in PROBES}
        for name in args.names:
            if name not in known:
                raise UsageError(f"no capability is called {name!r}", hint=f"one of {', '.join(known)}")
        answers = list(examine([known[name] for name in args.names] or PROBES))
        if args.json:
            for answer in answers:
                print_json(_SCHEMA, "capability", answer.to_dict())
        else:
            stdout_console().print(_table(answers))
            talk(f"kernel {safe(platform.release())}, {platform.machine()}; {_verdict(answers)}")
        return 0


def _table(answers: Sequence[Capability]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("CAPABILITY", "", "SEEN", "FOR"):
        table.add_column(title, overflow="fold", no_wrap=title in {"CAPABILITY", ""})
    for answer in answers:
        word = Text("yes", style="green") if answer.ok else Text("no", style="red")
        seen = Text(safe(answer.detail))
        if answer.how:
            seen.append(f"\nget it: {answer.how}", style="dim")
        table.add_row(Text(answer.name), word, seen, Text(answer.purpose))
    return table


def _verdict(answers: Sequence[Capability]) -> str:
    needed = {answer.name: answer.ok for answer in answers if answer.name in ("ptrace", "seccomp")}
    if not needed:
        return f"{sum(answer.ok for answer in answers)} of {len(answers)} available"
    return "'observer record' works here" if all(needed.values()) else "'observer record' does not work here"
