# SPDX-License-Identifier: Apache-2.0
"""observer replay --step: a command call by call, as a person asks for it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from observer.cli.printing import print_json, safe, talk
from observer.cli.replay_limits import environment_of
from observer.forensic.events import ReplayCall
from observer.forensic.stepping import Stepper

__all__ = ["step_command"]

_SCHEMA: Final = "observer.replay/1"
_HELP: Final = (
    "enter or n: next call   b: back to the call before   r: registers   c: go on to the end   q: leave"
)


def step_command(path: Path, args: argparse.Namespace) -> int:
    """Stop before each call and do what the lines of standard input say."""
    stepper = Stepper(path, environment_of(args), output=not args.json)
    sys.stdout.flush()
    talk(f"observer: {_HELP}")
    _tell(stepper.forward(), stepper, json_wanted=args.json)
    for line in sys.stdin:
        word = line.strip() or "n"
        if word == "q":
            return 0
        if word == "b":
            if stepper.back() is None:
                talk("observer: this is the first call")
            _tell(stepper.at, stepper, json_wanted=args.json)
        elif word == "r":
            rows = [f"{name} {value:#x}" for name, value in stepper.registers().items()]
            for at in range(0, len(rows), 5):
                talk(f"  {'  '.join(rows[at : at + 5])}")
        elif word in ("n", "c"):
            while (call := stepper.forward()) is not None and word == "c":
                continue
            _tell(call, stepper, json_wanted=args.json)
            if call is None:
                return 0
        else:
            talk(f"observer: {_HELP}")
    return 0


def _tell(call: ReplayCall | None, stepper: Stepper, *, json_wanted: bool) -> None:
    if call is None:
        talk("observer: replayed to the end")
    elif json_wanted:
        facts = {"event": call.event, "task": call.task, "call": call.line, "registers": stepper.registers()}
        print_json(_SCHEMA, "step", facts)
    else:
        talk(f"observer: event {call.event:,}, thread {call.call['tid']}: {safe(call.line)}")
