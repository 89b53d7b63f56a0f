# SPDX-License-Identifier: Apache-2.0
"""observer replay: runs a recording again, compares, and says where it differs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import ClassVar

from observer.cli.against import add_against_options, against_command
from observer.cli.debugged import (
    JOB_OPTIONS,
    add_debugging_options,
    breakpoints_of,
    debug_command,
    manage_jobs,
    wants_debugging,
)
from observer.cli.printing import print_json, safe, talk
from observer.cli.replay_limits import add_limit_options, environment_of
from observer.errors import DesyncError, NotFoundError, ReplayError, UsageError
from observer.forensic.encoding import comparison_to_dict
from observer.forensic.native import CommandReplay, replay_command
from observer.model.comparison import ReplayComparison
from observer.model.forensic import ReplayEnvironment, ResourceLimits
from observer.trace import TraceStore
from observer.trace.reading import Recording

__all__ = ["Replay"]

_SCHEMA = "observer.replay/1"
_SHOWN = 10


class Replay:
    """Execute a recorded program again, cut off from the world, and compare every call with the recorded one.

    Recordings made by 'observer record --replayable' and by 'observer plugin run' can be replayed. A command's replay
    writes what the program wrote to standard output and error, and nothing else. Exit status 0 when all is equal, 16 when
    something differs; the first difference is named.

    Examples:
      observer replay last
      observer replay --json build.rec                        the verdict instead of the program's output
      observer replay last --break "path_open: args[2].contains('passwd')"
      observer replay last --pause "openat: path.contains('passwd')"        registers, maps and stack at that call
      observer replay last --modify "connect => result=-111"              what if it had been refused
      observer replay last --memory 512M --cpu-time 60 --isolation network
      observer replay last --against ./rebuilt arg            another program with the recorded inputs
      observer replay last --start; observer replay --jobs
      observer replay last --with patched.wasm                up to the first divergence
      observer replay last --input /data/in.txt=other.txt     another file in place of the recorded one
    """

    name: ClassVar[str] = "replay"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "recording",
            metavar="REC",
            nargs="?",
            help="a recording: path, first letters of its id, or 'last'",
        )
        parser.add_argument(
            "--break",
            dest="places",
            action="append",
            default=[],
            metavar="CALL[: CONDITION]",
            help="tell each such call that is met; * for every call",
        )
        parser.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="NAME=FILE",
            help="a file's bytes in place of stdin, clock, random or a path as the plugin sees it",
        )
        parser.add_argument(
            "--with", dest="other", type=Path, metavar="PLUGIN.wasm", help="another build of the plugin"
        )
        parser.add_argument(
            "--timeout",
            type=float,
            metavar="S",
            help="seconds for a command; for each call into a plugin (60)",
        )
        add_against_options(parser)
        parser.add_argument(
            "--keep-going", action="store_true", help="go on at differences of a command, and tell them all"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
        add_debugging_options(parser)
        add_limit_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Replay, print how it compares, and fail when it differs."""
        if any(getattr(args, name) for name in JOB_OPTIONS):
            return manage_jobs(args)
        if args.recording is None:
            raise UsageError("which recording?", hint="observer replay REC; 'observer show' lists them")
        path = TraceStore().find(args.recording)
        if Recording(path).start.source != "wasi":
            return _command(path, args)
        from observer.plugins.replay import PluginReplay  # the extra is loaded only for what needs it

        environment = ReplayEnvironment(
            resource_limits=ResourceLimits(max_cpu_time=60.0 if args.timeout is None else args.timeout),
            simulated_inputs=dict(_input(text) for text in args.input),
            breakpoints=breakpoints_of(args),
        )
        code = _read(args.other) if args.other is not None else None
        report = PluginReplay.open(path, environment, code=code).run()
        comparison = report.comparison
        if args.json:
            told = comparison_to_dict(comparison) | {
                "calls": report.calls,
                "fuel": report.fuel,
                "log": list(report.log),
            }
            told |= {"path": str(path), "status": report.status, "identical": comparison.is_identical}
            print_json(_SCHEMA, "comparison", told)
        else:
            for line in report.log:
                sys.stdout.write(f"{safe(line)}\n")
            verdict = "IDENTICAL" if comparison.is_identical and report.status == "completed" else "DIFFERS"
            sys.stdout.write(f"{verdict}  {safe(str(path))}\n")
            sys.stdout.write(
                f"  calls       {report.calls:,} replayed, {comparison.match_percentage * 100:.4g} % equal\n"
            )
            sys.stdout.write(
                f"  fuel        {report.fuel:,}\n  outcome     {safe(report.outcome.message or report.outcome.kind)}\n"
            )
            sys.stdout.writelines(f"{line}\n" for line in _differences(comparison))
        if not comparison.is_identical or report.status in ("diverged", "aborted"):
            raise DesyncError(
                _first(comparison, report.outcome.message), hint="see the differences above, or --json"
            )
        return 0


def _command(path: Path, args: argparse.Namespace) -> int:
    """Replay a recorded command; its output is this process's, unless JSON was asked for."""
    if args.input or args.other is not None:
        raise UsageError(
            "--input and --with are for recorded plugins",
            hint="--modify changes a call of a command: data=TEXT",
        )
    if args.against is not None:
        return against_command(path, args)
    if wants_debugging(args):
        return debug_command(path, args)
    sys.stdout.flush()
    replay = replay_command(path, environment_of(args), output=not args.json, keep_going=args.keep_going)
    if args.json:
        print_json(_SCHEMA, "replay", _command_to_dict(path, replay))
    elif not replay.whole and replay.divergence is None:
        talk(
            f"observer: the recorder was ended before the program was: replayed {replay.events:,} events, all that there are"
        )
    if replay.limit is not None:
        raise ReplayError(
            replay.limit,
            hint="allow it more, or leave the limit out",
            where={"path": str(path), "event": replay.events},
        )
    if replay.divergence is not None:
        if not args.json:
            _talk_of(replay)
        raise DesyncError(
            replay.divergence.message,
            hint="nothing after this point is proven; --json gives registers and memory of both sides",
            where={"path": str(path), "event": replay.divergence.details.get("event")},
        )
    return 0


def _talk_of(replay: CommandReplay) -> None:
    for number, frame in enumerate(
        replay.divergence.details.get("backtrace", ()) if replay.divergence else ()
    ):
        talk(f"observer:   #{number:<2} {safe(frame)}")
    for difference in replay.differences[1:_SHOWN]:
        talk(f"observer: went on, and then: {safe(difference['message'])}")
    if len(replay.differences) > _SHOWN:
        talk(f"observer: … and {len(replay.differences) - _SHOWN:,} more; --json tells them")


def _command_to_dict(path: Path, replay: CommandReplay) -> dict[str, object]:
    status = "limit" if replay.limit is not None else "completed" if replay.identical else "diverged"
    return {
        "path": str(path),
        "status": status,
        "identical": replay.identical,
        "events": replay.events,
        "memory_checks": replay.checks,
        "exit_code": replay.exit_code,
        "signal": replay.signal,
        "whole": replay.whole,
        "notes": list(replay.notes),
        "stdout_bytes": replay.written[0],
        "stderr_bytes": replay.written[1],
        "isolation": list(replay.isolation),
        "limit": replay.limit,
        "divergence": replay.divergence.details if replay.divergence is not None else None,
        "differences": list(replay.differences),
    }


def _differences(comparison: ReplayComparison) -> list[str]:
    told = []
    for call in comparison.syscall_differences[:_SHOWN]:
        told.append(f"  {call.kind.value:<12}{safe(call.detail)}")
        told += [f"    recorded  {safe(call.original)}"] if call.original else []
        told += [f"    replayed  {safe(call.replay)}"] if call.replay else []
    for item in comparison.outcome_differences[:_SHOWN]:
        told.append(f"  {safe(item.subject):<12}{safe(item.original)} recorded, {safe(item.replay)} replayed")
    return told


def _first(comparison: ReplayComparison, message: str) -> str:
    if comparison.syscall_differences:
        return f"the replay differs from the recording at {comparison.syscall_differences[0].detail}"
    if comparison.outcome_differences:
        return f"the replay ends otherwise: {comparison.outcome_differences[0].subject} differs"
    return f"the replay was not finished: {message}"


def _input(text: str) -> tuple[str, bytes]:
    name, separator, file = text.partition("=")
    if not separator:
        raise UsageError(f"cannot read the input {text!r}", hint="write it as NAME=FILE")
    return name, _read(Path(file))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"no file at {path}", hint="check the path", where={"path": str(path)}) from error
