# SPDX-License-Identifier: Apache-2.0
"""Replays of recorded commands under breakpoints, and replay jobs: their options and what is printed of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer.cli.exit_codes import DIFFERENT
from observer.cli.printing import print_json, safe, talk
from observer.cli.replay_limits import environment_of
from observer.cli.stepping import step_command
from observer.cli.times import show_moment
from observer.errors import UsageError
from observer.forensic import (
    Breakpoint,
    BreakpointAction,
    ForensicContext,
    abort_replay,
    get_replay_context,
    list_replays,
    pause_replay,
    resume_replay,
    start_replay,
)
from observer.forensic.debugging import CommandReport, DebuggedReplay, Inspection
from observer.forensic.encoding import comparison_to_dict
from observer.forensic.gdb import GdbServer, event_of
from observer.trace import TraceStore

__all__ = [
    "JOB_OPTIONS",
    "add_debugging_options",
    "breakpoints_of",
    "debug_command",
    "manage_jobs",
    "wants_debugging",
]

_SCHEMA: Final = "observer.replay/1"
_JOBS_SCHEMA: Final = "observer.replay_job/1"
JOB_OPTIONS: Final = ("start_job", "jobs", "job", "pause_job", "resume_job", "abort_job")
_SHOWN_REGISTERS: Final = (
    "rip",
    "rsp",
    "rbp",
    "rax",
    "rdi",
    "rsi",
    "rdx",
    "r10",
    "r8",
    "r9",
    "rbx",
    "r12",
    "r13",
    "r14",
    "r15",
)
_UNITS_NS: Final = {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}


def add_debugging_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of breakpoints, places and jobs."""
    place = "CALL[: CONDITION]"
    points = parser.add_argument_group("breakpoints of a recorded command (docs/guides/replay.md)")
    points.add_argument(
        "--pause",
        action="append",
        default=[],
        metavar=place,
        help="stop there and show registers, maps, stack",
    )
    points.add_argument("--abort", action="append", default=[], metavar=place, help="end the replay there")
    points.add_argument(
        "--modify",
        action="append",
        default=[],
        metavar=f"{place} => CHANGE, …",
        help="a what-if run: result=N, data=TEXT, args[1]=N or TEXT",
    )
    points.add_argument(
        "--to", metavar="N|TIME", help="stop when N events were replayed, or at a time: 250ms, 1.5s"
    )
    points.add_argument(
        "--step", action="store_true", help="stop before each call and ask what to do: next, back, registers"
    )
    points.add_argument(
        "--gdb",
        nargs="?",
        const="0",
        metavar="PORT|SOCKET",
        help="wait for gdb on the loopback interface or at a path; with --to or --pause, from there on",
    )
    jobs = parser.add_argument_group("jobs: replays that go on when this command has ended")
    jobs.add_argument(
        "--start", dest="start_job", action="store_true", help="replay REC as a job; prints its id"
    )
    jobs.add_argument("--jobs", action="store_true", help="list all jobs")
    jobs.add_argument("--job", type=UUID, metavar="ID", help="how one stands")
    jobs.add_argument("--pause-job", type=UUID, metavar="ID", help="pause one that runs")
    jobs.add_argument("--resume-job", type=UUID, metavar="ID", help="let a paused one go on")
    jobs.add_argument("--abort-job", type=UUID, metavar="ID", help="end one")


def breakpoints_of(args: argparse.Namespace) -> tuple[Breakpoint, ...]:
    """Return the breakpoints of a command line."""
    places = [(text, BreakpointAction.LOG) for text in args.places]
    places += [(text, BreakpointAction.PAUSE) for text in args.pause]
    places += [(text, BreakpointAction.ABORT) for text in args.abort]
    for text in args.modify:
        place, separator, changes = text.rpartition("=>")
        if not separator:
            raise UsageError(f"cannot read {text!r}", hint="write it as 'CALL: CONDITION => result=-13'")
        places.append((place, BreakpointAction.modify(dict(_change(word) for word in changes.split(",")))))
    return tuple(_breakpoint(text, action) for text, action in places)


def _breakpoint(text: str, action: BreakpointAction) -> Breakpoint:
    name, separator, condition = text.partition(":")
    return Breakpoint(name.strip(), condition.strip() if separator else None, action)


def _change(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(
            f"cannot read the change {text.strip()!r}", hint="result=N, data=TEXT, args[1]=N or TEXT"
        )
    return name.strip(), value.strip()


def wants_debugging(args: argparse.Namespace) -> bool:
    """Return whether a command's replay needs more than running to its end."""
    return bool(
        args.places
        or args.pause
        or args.abort
        or args.modify
        or args.step
        or args.to is not None
        or args.gdb is not None
    )


def debug_command(path: Path, args: argparse.Namespace) -> int:
    """Replay a recorded command under breakpoints and print what they saw."""
    if args.step:
        return step_command(path, args)
    to_event, to_ns = _place(args.to)
    sys.stdout.flush()
    if args.gdb is not None:
        return _serve_gdb(path, args, to_event, to_ns)
    report = DebuggedReplay(
        path, environment_of(args, breakpoints_of(args)), output=not args.json, to_event=to_event, to_ns=to_ns
    ).run()
    if args.json:
        print_json(_SCHEMA, "replay", _report_to_dict(path, report))
    else:
        for line in _report_text(report):
            talk(line)
    return DIFFERENT if report.status == "diverged" else 0


def _serve_gdb(path: Path, args: argparse.Namespace, to_event: int | None, to_ns: int | None) -> int:
    event = event_of(path, breakpoints_of(args), to_event, to_ns)
    with GdbServer(path, args.gdb, output=not args.json) as server:
        talk(f"observer: waiting for gdb; in another terminal: gdb -ex 'target remote {server.address}'")
        server.serve(event)
    return 0


def _place(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    if text.isdecimal():
        return int(text), None
    for unit in ("ns", "us", "ms", "s", "m"):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return None, int(float(number) * _UNITS_NS[unit])
    raise UsageError(
        f"cannot read the place {text!r}", hint="a number of events, or a time after the start: 250ms, 1.5s"
    )


def _report_to_dict(path: Path, report: CommandReport) -> dict[str, Any]:
    return comparison_to_dict(report.comparison) | {
        "path": str(path),
        "status": report.status,
        "identical": report.comparison.is_identical and not report.modified,
        "modified": report.modified,
        "events": report.events,
        "log": list(report.log),
        "inspection": report.inspection.to_dict() if report.inspection is not None else None,
        **report.ended,
    }


def _report_text(report: CommandReport) -> Iterator[str]:
    yield from (f"observer: {safe(line)}" for line in report.log)
    if report.inspection is not None:
        yield from _inspection_text(report.inspection)
    what = {
        "completed": "replayed to the end",
        "stopped": "stopped where you wanted",
        "aborted": "ended at a breakpoint",
        "diverged": f"left the recording: {safe(report.comparison.syscall_differences[0].detail)}"
        if report.comparison.syscall_differences
        else "left the recording",
    }[report.status]
    kind = "a WHAT-IF run, not the recorded one: " if report.modified else ""
    yield f"observer: {kind}{what}; {report.events:,} events"


def _inspection_text(place: Inspection) -> Iterator[str]:
    call = f", about to call {safe(place.call)}" if place.call else ""
    yield f"observer: at event {place.event:,}, thread {place.thread}{call}"
    words = [f"{name} {place.registers[name]:#x}" for name in _SHOWN_REGISTERS if name in place.registers]
    for at in range(0, len(words), 5):
        yield f"  {'  '.join(words[at : at + 5])}"
    yield f"  {len(place.maps)} mappings, {sum(m['end'] - m['start'] for m in place.maps):,} bytes"
    for at in range(0, min(len(place.stack), 64), 16):
        row = place.stack[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"  {place.registers.get('rsp', 0) + at:#x}  {row.hex(' ')}  {text}"


def manage_jobs(args: argparse.Namespace) -> int:
    """Start, list, pause, resume or end replay jobs."""
    if args.start_job:
        if args.recording is None:
            raise UsageError("--start needs a recording", hint="observer replay REC --start")
        replay_id = start_replay(
            TraceStore().find(args.recording), environment_of(args, breakpoints_of(args))
        )
        sys.stdout.write(f"{replay_id}\n")
        return 0
    for asked, act in (
        (args.pause_job, pause_replay),
        (args.resume_job, resume_replay),
        (args.abort_job, abort_replay),
    ):
        if asked is not None:
            act(asked)
            return 0
    contexts = list_replays() if args.job is None else [get_replay_context(args.job)]
    for context in contexts:
        if args.json:
            print_json(_JOBS_SCHEMA, "replay_job", _job_to_dict(context))
        else:
            sys.stdout.writelines(f"{line}\n" for line in _job_text(context, whole=args.job is not None))
    if not contexts and not args.json:
        talk("observer: no replay was ever started as a job")
    return 0


def _job_to_dict(context: ForensicContext) -> dict[str, Any]:
    told: dict[str, Any] = {
        "replay_id": str(context.replay_id),
        "trace_id": str(context.original_trace_id),
        "status": context.status.kind,
        "reason": context.status.reason,
        "start_time": context.start_time.isoformat(),
        "end_time": context.end_time.isoformat() if context.end_time else None,
        "log": list(context.log),
        "inspection": context.inspection,
    }
    return told | {"comparison": comparison_to_dict(context.comparison) if context.comparison else None}


def _job_text(context: ForensicContext, *, whole: bool) -> Iterator[str]:
    share = f"  {context.comparison.match_percentage * 100:.4g} % equal" if context.comparison else ""
    begun = show_moment(context.start_time)
    yield f"{context.replay_id}  {safe(str(context.status))}  started {begun}  of {str(context.original_trace_id)[:8]}{share}"
    if whole:
        yield from (f"  {safe(line)}" for line in context.log)
        yield from _paused_text(context.inspection)


def _paused_text(place: Mapping[str, Any] | None) -> Iterator[str]:
    if place is not None:
        told = {**place, "stack": bytes.fromhex(place["stack"])}
        yield from _inspection_text(Inspection(**told))
