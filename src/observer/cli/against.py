# SPDX-License-Identifier: Apache-2.0
"""observer replay --against: another program with a recording's inputs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from observer.cli.printing import print_json, safe, talk
from observer.errors import CapabilityError, DesyncError, UsageError
from observer.forensic.against import AgainstReport, replay_against

__all__ = ["add_against_options", "against_command"]

_SCHEMA: Final = "observer.replay/1"


def add_against_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of another program."""
    group = parser.add_argument_group("another program with the recorded inputs (docs/guides/replay.md)")
    group.add_argument(
        "--against",
        nargs=argparse.REMAINDER,
        metavar="CMD",
        help="run CMD on what was recorded, up to the first call in which it differs; without CMD the recorded command. Last",
    )
    group.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable that is other than recorded",
    )


def against_command(path: Path, args: argparse.Namespace) -> int:
    """Run another program on a recording's inputs and tell where it parts from the recorded one."""
    sys.stdout.flush()
    command = args.against[1:] if args.against[:1] == ["--"] else args.against
    environment = dict(_variable(text) for text in args.env)
    report = replay_against(path, command, environment=environment, output=not args.json)
    if args.json:
        print_json(
            _SCHEMA,
            "against",
            {"path": str(path), "identical": report.status == "completed"} | report.to_dict(),
        )
    else:
        for line in _told(report):
            talk(line)
    if report.status == "diverged":
        raise DesyncError(
            f"the two part at event {report.event:,}, after {report.calls:,} calls in common: {report.what}",
            hint="--json has both calls and how both programs came there",
            where={"path": str(path), "event": report.event},
        )
    if report.status == "stopped":
        raise CapabilityError(
            f"no difference in {report.calls:,} calls, and then {report.what}: that cannot be fed to another program",
            hint="record that part by itself",
            where={"path": str(path), "event": report.event},
        )
    return 0


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise UsageError(f"cannot read the variable {text!r}", hint="write it as NAME=VALUE")
    return name, value


def _told(report: AgainstReport) -> Iterator[str]:
    if report.status == "completed":
        yield f"observer: the two are the same in all {report.calls:,} calls"
    for name, call, frames in (
        ("recorded", report.recorded, report.backtrace),
        ("other   ", report.other, report.backtrace_other),
    ):
        if call is not None:
            yield f"observer: {name}  {safe(call)}"
            yield from (f"observer:   #{number:<2} {safe(frame)}" for number, frame in enumerate(frames))
