# SPDX-License-Identifier: Apache-2.0
# PYTHON_ARGCOMPLETE_OK
"""Builds the parser from the verbs, runs one, and turns what it raises into one line and an exit status."""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import observer
from observer.cli import exit_codes
from observer.cli.commands import Command
from observer.cli.printing import print_error
from observer.errors import InternalError, ObserverError, UsageError

__all__ = ["COMMANDS", "build_parser", "load_command", "master_report", "run"]

# Module and class of each verb, in the order in which a newcomer needs them. A verb is imported when it is called for:
# `observer record` must not wait for the reports it does not write.
COMMANDS: dict[str, str] = {
    "record": "record.Record",
    "watch": "watch.WatchVerb",
    "show": "show.Show",
    "summary": "summary.Summary",
    "verify": "verify.Verify",
    "export": "export.Export",
    "snapshot": "snapshot.SnapshotCommand",
    "plugin": "plugin.Plugin",
    "replay": "replay.Replay",
    "diff": "diff.Diff",
    "agent": "agent.AgentCommand",
    "doctor": "doctor.Doctor",
    "why": "why.Why",
    "report": "report.Report",
    "witness": "witness.WitnessCommand",
    "completion": "completion.Completion",
}

_DESCRIPTION = """\
Flight recorder for processes: records what a program does, proves the record, and explains it.

Data goes to stdout, talk to stderr. Every reading verb takes --json.
"""
_EPILOG = """\
examples:
  observer record -- make test        record a command and everything it starts
  observer show last                  its process tree and syscalls
  observer watch --container web      what already runs, without stopping it
  observer summary last               what it did, what was risky, and the records that say so
  observer verify last                prove that nothing was changed since
  observer snapshot create --pid 42   memory and state of what runs, at one instant

exit status:
  0 done · 2 usage · 12 not permitted · 13 capture failed · 14 the evidence does not hold
  15 not ours or malformed · 16 a replay differs · 17 not found · 18 not delivered · 70 a bug of ours
  'record' returns the command's own status; 126, 127 and 128+N as a shell does
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints look like every other error of ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see '{self.prog} --help'")


def _common_options() -> _Parser:
    common = _Parser(add_help=False)
    common.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=argparse.SUPPRESS,
        help="say more about an error; twice: the whole Python traceback",
    )
    return common


def load_command(verb: str) -> Command:
    """Import one verb.

    Args:
        verb: A key of `COMMANDS`.

    Returns:
        The verb, ready to prepare its parser and to run.
    """
    module, _, name = COMMANDS[verb].partition(".")
    command: Command = getattr(importlib.import_module(f"observer.cli.commands.{module}"), name)()
    return command


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of the verb `only` where that is all that is asked for."""
    formatter, common = argparse.RawDescriptionHelpFormatter, _common_options()
    parser = _Parser(
        prog="observer", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=formatter, parents=[common]
    )
    parser.add_argument("--version", action="version", version=f"observer {observer.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    for command in map(load_command, COMMANDS if only is None else [only]):
        text = inspect.cleandoc(type(command).__doc__ or "")
        child = verbs.add_parser(
            command.name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            formatter_class=formatter,
            parents=[common],
        )
        command.prepare_parser(child)
        child.set_defaults(command_object=command)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; prints errors, raises only --help's SystemExit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 is no reason to fail
    verbosity = _verbosity(arguments)
    try:
        return _run(arguments)
    except ObserverError as error:
        return _fail(error, verbosity)
    except BrokenPipeError:
        return _reader_went_away()
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except OSError as error:
        failure = exit_codes.to_observer_error(error)
        failure.__cause__ = error
        return _fail(failure, verbosity)
    except Exception as error:  # noqa: BLE001  the last net: a bug becomes one line, the trace is for -vv
        bug = InternalError(f"{type(error).__name__}: {error}")
        bug.__cause__ = error
        return _fail(bug, verbosity)


def master_report() -> int:
    """Run `observer report` under its original name, `master_report` or `wsl-master-report`."""
    return run(["report", *sys.argv[1:]])


def _run(arguments: list[str]) -> int:
    completing = "_ARGCOMPLETE" in os.environ
    verb = arguments[0] if arguments and arguments[0] in COMMANDS and not completing else None
    parser = build_parser(verb)
    if completing:
        import argcomplete  # only a shell that completes needs it

        argcomplete.autocomplete(parser)
    args = parser.parse_args(arguments)
    command: Command = args.command_object
    status = command.run(args)
    sys.stdout.flush()
    return status


def _verbosity(arguments: Sequence[str]) -> int:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    flags = (word[1:] for word in own if word.startswith("-v") and set(word[1:]) == {"v"})
    return sum(map(len, flags)) + sum(word == "--verbose" for word in own)


def _fail(error: ObserverError, verbosity: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_went_away()
    try:
        print_error(error, verbosity)
    except BrokenPipeError:
        return exit_codes.BROKEN_PIPE
    return error.exit_code


def _reader_went_away() -> int:
    # Python flushes stdout once more at exit; give it a place where that succeeds.
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
    return exit_codes.BROKEN_PIPE
