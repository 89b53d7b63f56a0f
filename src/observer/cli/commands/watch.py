# SPDX-License-Identifier: Apache-2.0
"""observer watch: observes what already runs, without stopping it."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import ClassVar, Final

from observer.cli.printing import print_json, safe, talk
from observer.cli.sizes import parse_size
from observer.cli.times import parse_span, show_span
from observer.errors import NotFoundError, UsageError
from observer.trace.live import PreTrigger, Watch, WatchOptions, WatchReport, find_container

__all__ = ["WatchVerb"]

_SCHEMA: Final = "observer.watch/1"


class WatchVerb:
    """Watch what already runs: processes, a container, a cgroup, or everything.

    Needs root or CAP_BPF and CAP_PERFMON, and a kernel with BTF (5.10 or later); nothing that is watched is stopped or
    slowed by more than the probe's own cost. What is recorded reads and verifies as any other recording does. Ends
    at Ctrl-C, after --for, or when asked to by a signal, and seals everything first.

    With --pre-trigger nothing is written until something happens: the past is kept in memory, compressed, and sealed
    with what follows when a condition of --on holds.

    Examples:
      observer watch --pid 4711 --for 10s             a process and all it starts
      observer watch --container web -o web.rec       by name or id: docker, podman, containerd, runc, crun
      observer watch --all --only network,process     the whole machine, some calls
      observer watch --container web --pre-trigger 60s --on 'denied or signal == "SIGSEGV"'
      observer watch --all --pre-trigger 30s --on 'syscall == "openat" and path.contains("shadow")'
    """

    name: ClassVar[str] = "watch"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        self._prepare_targets(parser)
        self._prepare_manner(parser)
        self._prepare_past(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object about the watch on stdout")
        parser.add_argument("-q", "--quiet", action="store_true", help="say nothing")

    @staticmethod
    def _prepare_targets(parser: argparse.ArgumentParser) -> None:
        what = parser.add_argument_group("what to watch")
        what.add_argument(
            "--pid", type=int, action="append", default=[], metavar="PID", help="a process and all it starts"
        )
        what.add_argument(
            "--cgroup", action="append", default=[], metavar="PATH", help="a cgroup and all below it"
        )
        what.add_argument(
            "--container", action="append", default=[], metavar="NAME", help="a container, by name or id"
        )
        what.add_argument("--all", action="store_true", help="everything on this machine but the recorder")
        what.add_argument(
            "--only",
            type=_words,
            action="extend",
            default=[],
            metavar="SET",
            help="only these calls or classes of calls",
        )

    @staticmethod
    def _prepare_manner(parser: argparse.ArgumentParser) -> None:
        how = parser.add_argument_group("how")
        how.add_argument(
            "-o", "--output", metavar="PATH", type=Path, help="directory to make for the recording"
        )
        how.add_argument("--force", action="store_true", help="replace a recording that is at PATH already")
        how.add_argument(
            "--for", dest="span", metavar="TIME", type=_span, help="end after this long, as 10s or 5m"
        )
        how.add_argument(
            "--data", metavar="N", type=int, default=32, help="bytes kept of each read or write (32)"
        )
        how.add_argument(
            "--buffer",
            metavar="SIZE",
            type=parse_size,
            default=16 << 20,
            help="the kernel's ring buffer (16M), a power of two",
        )

    @staticmethod
    def _prepare_past(parser: argparse.ArgumentParser) -> None:
        past = parser.add_argument_group("the past")
        past.add_argument(
            "--pre-trigger", metavar="TIME", type=_span, help="keep so much of the past in memory"
        )
        past.add_argument(
            "--memory", metavar="SIZE", type=parse_size, default=256 << 20, help="at most this much (256M)"
        )
        past.add_argument(
            "--after", metavar="TIME", type=_span, default=5.0, help="seal so much after a trigger (5s)"
        )
        past.add_argument(
            "--on",
            action="append",
            default=[],
            metavar="CONDITION",
            help="what seals it: a condition, or rule:ID for a risk rule; may be repeated",
        )
        past.add_argument(
            "--control",
            metavar="PATH",
            type=Path,
            help="also seal when a line is sent to this Unix socket, made here",
        )
        past.add_argument(
            "--windows", metavar="N", type=int, default=0, help="end after sealing so many windows"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Watch until told to end, seal, and say how it went."""
        watch = Watch(_options(args))
        if not args.quiet:
            talk(f"observer: watching; Ctrl-C ends it and seals {safe(str(watch.path))}")
        with _told_by_signals() as told:
            until = args.span
            while not told and not watch.wait(0.2 if until is None else min(0.2, max(until, 0))):
                if until is not None:
                    report, _ = watch.status()
                    if report.seconds >= args.span:
                        break
                    until = args.span - report.seconds
            report = watch.stop(told[0] if told else "the wanted time is over")
        if args.json:
            print_json(_SCHEMA, "watch", _facts(report, watch))
        if not args.quiet:
            _tell(report, watch)
        return 0


def _options(args: argparse.Namespace) -> WatchOptions:
    if not (args.pid or args.cgroup or args.container or args.all):
        raise UsageError(
            "nothing to watch was named",
            hint="one of --pid, --cgroup, --container, --all; see 'observer watch --help'",
        )
    if (args.on or args.control) and args.pre_trigger is None:
        raise UsageError("--on needs --pre-trigger", hint="as in --pre-trigger 60s --on 'denied'")
    if not 0 <= args.data <= 4096:
        raise UsageError("--data is from 0 to 4096")
    past = None
    if args.pre_trigger is not None:
        past = PreTrigger(
            before_s=args.pre_trigger,
            after_s=args.after,
            memory_bytes=args.memory,
            conditions=tuple(args.on),
            control=args.control,
            windows=args.windows,
        )
    return WatchOptions(
        path=args.output,
        force=args.force,
        everything=args.all,
        pids=tuple(args.pid),
        cgroups=tuple(_cgroup(word) for word in args.cgroup),
        containers=tuple(find_container(word) for word in args.container),
        only=tuple(args.only),
        data_bytes=args.data,
        buffer_bytes=args.buffer,
        pre_trigger=past,
    )


def _cgroup(word: str) -> Path:
    """Return the directory of a cgroup given as a path, or as /proc/PID/cgroup shows it."""
    tried = [
        Path(word),
        Path("/sys/fs/cgroup") / word.lstrip("/"),
        Path("/sys/fs/cgroup/unified") / word.lstrip("/"),
    ]
    for place in tried:
        if place.is_absolute() and (place / "cgroup.procs").is_file():
            return place
    raise NotFoundError(
        f"there is no cgroup {word!r}", hint="a directory below /sys/fs/cgroup (or its unified part)"
    )


@contextlib.contextmanager
def _told_by_signals() -> Iterator[list[str]]:
    """Collect the signals that ask to end, instead of dying of them."""
    told: list[str] = []

    def note(number: int, _frame: FrameType | None) -> None:
        told.append(f"signal {signal.Signals(number).name}")

    before = {
        number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _facts(report: WatchReport, watch: Watch) -> dict[str, object]:
    return {
        "trace_id": str(watch.trace_id),
        "recordings": [str(path) for path in report.recordings],
        "calls": report.calls,
        "received": report.received,
        "seen": report.seen,
        "lost": report.lost,
        "seconds": report.seconds,
        "engine": "ebpf",
    }


def _tell(report: WatchReport, watch: Watch) -> None:
    took = show_span(round(report.seconds * 1e9))
    lost = f"{report.lost:,} LOST, sealed as loss" if report.lost else "nothing lost"
    places = ", ".join(safe(str(path)) for path in report.recordings) or "nothing sealed: no trigger fired"
    talk(f"observer: watched {report.calls:,} calls in {took}, {lost} (eBPF): {places}")
    if report.recordings:
        talk(f"observer: see 'observer show {str(watch.trace_id)[:8]}'")


def _span(text: str) -> float:
    try:
        return parse_span(text) / 1e9
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]
