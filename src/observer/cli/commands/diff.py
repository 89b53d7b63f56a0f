# SPDX-License-Identifier: Apache-2.0
"""observer diff: what one recording has and another has not."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Final

from observer.cli.exit_codes import DIFFERENT
from observer.cli.printing import print_json, safe, talk
from observer.cli.times import show_span
from observer.errors import IntegrityError, UsageError
from observer.forensic import RecordingComparison, compare_recordings
from observer.forensic.encoding import comparison_to_dict
from observer.model.comparison import ComparedSide, DifferenceKind, SyscallDifference
from observer.trace import TraceStore, verify_recording

__all__ = ["Diff"]

_SCHEMA: Final = "observer.diff/1"
_SHOWN: Final = 40
_WIDEST: Final = 200  # characters of a call; the whole of it is in --json and 'observer show REC --id sN'
_SIGNS: Final = {
    DifferenceKind.MISSING: "-",
    DifferenceKind.EXTRA: "+",
    DifferenceKind.REORDERED: "%",
}


class Diff:
    """Compare two recordings: which calls are missing, extra, changed or in another order, and what came out otherwise.

    Process trees are matched first, then the calls of each pair of threads are aligned. What differs between any two
    runs (process ids, addresses, descriptor numbers, made-up file names, times) is not compared. Two recordings of one
    program with different input give a small difference; of the same run twice, none or nearly none.

    - a call of A alone   + a call of B alone   ~ a changed call   % the same call, made in another order

    Exit status: 0 the two are the same · 16 they differ · others as in 'observer --help'. Times alone do not count.

    Examples:
      observer diff last good-run
      observer diff ./before ./after --json | jq .match_percentage
      observer diff A B --limit 5                 the first five differences
    """

    name: ClassVar[str] = "diff"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "original", metavar="A", help="a recording: path, first letters of its id, or 'last'"
        )
        parser.add_argument("replay", metavar="B", help="the other one")
        parser.add_argument(
            "--limit",
            type=_count,
            metavar="N",
            help="differing calls to tell of; default 40, with --json 1000",
        )
        parser.add_argument(
            "--schedule",
            action="store_true",
            help="compare also calls that depend on who was faster: futex, sched_yield, interrupted calls",
        )
        parser.add_argument(
            "--no-backtrace",
            action="store_true",
            help="do not replay to the first difference to tell how the program came there",
        )
        parser.add_argument(
            "--unproven", action="store_true", help="compare even if the evidence does not hold"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Compare, print what differs, and return whether anything does."""
        store = TraceStore()
        paths = store.find(args.original), store.find(args.replay)
        for path in paths:
            _check(path, unproven=args.unproven)
        limit = args.limit or (1000 if args.json else _SHOWN)
        found = compare_recordings(
            *paths, limit=limit, schedule=args.schedule, backtraces=not args.no_backtrace
        )
        if args.json:
            _print_json(paths, found)
        else:
            sys.stdout.writelines(f"{line}\n" for line in _text(paths, found))
        return 0 if found.is_identical else DIFFERENT


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--limit {text!r} is not a number from 1 on")
    return int(text)


def _check(path: Path, *, unproven: bool) -> None:
    try:
        verify_recording(path, check_key=False)
    except IntegrityError as error:
        if not unproven:
            error.hint = "compare it with --unproven, and keep the original untouched"
            raise
        talk(
            f"observer: THE EVIDENCE DOES NOT HOLD: {safe(str(error))}; what follows is unproven",
            style="bold red",
        )


def _print_json(paths: tuple[Path, Path], found: RecordingComparison) -> None:
    told = {
        "identical": found.is_identical,
        "equal": found.equal,
        "counts": dict(found.counts),
        "paths": [str(path) for path in paths],
        "processes": list(found.processes),
        "left_out": [dict(side) for side in found.left_out],
    }
    sides = {
        name: {key: getattr(side, key) for key in ComparedSide.__slots__}
        for name, side in (("original", found.original), ("replay", found.replay))
    }
    print_json(_SCHEMA, "comparison", comparison_to_dict(found.comparison) | told | sides)


def _text(paths: tuple[Path, Path], found: RecordingComparison) -> Iterator[str]:
    verdict = "SAME" if found.is_identical else "DIFFERENT"
    yield f"{verdict}  {_share(found)} of the calls are equal"
    for name, path, side in zip("AB", paths, (found.original, found.replay), strict=True):
        yield f"  {name}  {safe(str(path))}  {_side(side)}"
    left_out = sum(sum(side.values()) for side in found.left_out)
    if left_out:
        yield f"  {left_out:,} calls that depend on the schedule are left out; --schedule compares them too"
    yield from _first(found)
    yield from _calls(found)
    yield from _outcomes(found)
    yield from _times(found)


def _share(found: RecordingComparison) -> str:
    share = found.comparison.match_percentage * 100
    return "100 %" if share == 100 else f"{min(share, 99.99):.2f} %"  # never rounded up to all


def _side(side: ComparedSide) -> str:
    command = f"{safe(shlex.join(side.command))}  " if side.command else ""
    counts = f"{side.calls:,} calls, {side.processes} processes, {show_span(side.duration_ns)}"
    return (
        f"{command}{counts}{f', {side.lost:,} LOST' if side.lost else ''}{'' if side.closed else ', no end'}"
    )


def _first(found: RecordingComparison) -> Iterator[str]:
    first = found.comparison.first_divergence
    if first is None:
        return
    call = first.difference
    yield ""
    yield f"first difference: {_place(call)}, {show_span(first.at_ns)} after the first call"
    yield from _told(call)
    for name, frames in (("A", first.backtrace), ("B", first.backtrace_replay)):
        yield from (f"    {name} #{number:<2} {safe(frame)}" for number, frame in enumerate(frames))


def _place(call: SyscallDifference) -> str:
    program = safe(call.program) or "?"
    ids = [f"s{n} of {s}" for n, s in ((call.index_original, "A"), (call.index_replay, "B")) if n is not None]
    return f"{program} (process {call.process}), {', '.join(ids)}"


def _told(call: SyscallDifference, times: int = 1) -> Iterator[str]:
    repeated = f"  ({times} times in a row)" if times > 1 else ""
    sign = _SIGNS.get(call.kind, "~")
    if sign != "~":
        yield f"  {sign} {_cut(call.original or call.replay or '')}{repeated}"
        return
    yield f"  ~ {_cut(call.detail)}{repeated}"
    yield f"    A {_cut(call.original or '')}"
    yield f"    B {_cut(call.replay or '')}"


def _cut(text: str) -> str:
    shown = safe(text)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"


def _calls(found: RecordingComparison) -> Iterator[str]:
    calls = found.comparison.syscall_differences
    total = sum(found.counts.values())
    if not total:
        return
    counts = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in found.counts.items())
    yield ""
    yield f"calls: {counts}"
    by_process: dict[str, list[SyscallDifference]] = {}
    for call in calls:
        by_process.setdefault(call.process, []).append(call)
    for place, own in by_process.items():
        yield f"  {safe(own[0].program) or '?'} (process {place})"
        for _, group in groupby(own, key=_alike):
            run = list(group)
            yield from _told(run[0], len(run))
    if total > len(calls):
        yield f"  … {total - len(calls):,} more; --limit N tells more of them"


def _alike(call: SyscallDifference) -> tuple[object, str]:
    """What makes calls in a row one line: the same thing again."""
    one_sided = call.kind in _SIGNS
    name = (call.original or call.replay or "").partition("(")[0]
    return call.kind, name if one_sided else f"{call.index_original} {call.index_replay}"


def _outcomes(found: RecordingComparison) -> Iterator[str]:
    if found.comparison.outcome_differences:
        yield ""
        yield "outcome:"
    for item in found.comparison.outcome_differences:
        yield f"  {item.subject} (process {item.process}): A {safe(item.original)}, B {safe(item.replay)}"


def _times(found: RecordingComparison) -> Iterator[str]:
    slow = [item for item in found.comparison.timing_differences if item.exceeds_tolerance]
    if slow:
        yield ""
        yield "time up to a call, where it differs most (no part of the verdict):"
    for item in slow:
        yield f"  s{item.index} {safe(item.syscall)}: A {show_span(item.original_ns)}, B {show_span(item.replay_ns)}"
