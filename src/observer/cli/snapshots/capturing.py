# SPDX-License-Identifier: Apache-2.0
"""observer snapshot create, schedule, prune: snapshots come and go."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe, talk
from observer.cli.snapshots.words import (
    FORMATS,
    SCHEMA,
    parse_addresses,
    parse_bytes,
    parse_format,
    parse_place,
    show_bytes,
    show_pause,
)
from observer.cli.times import parse_span
from observer.errors import UsageError
from observer.model.snapshot import SnapshotFormat
from observer.snapshot.moment import recording_target
from observer.snapshot.options import Selection, SnapshotOptions
from observer.snapshot.retention import Retention, prune
from observer.snapshot.schedule import run_schedule
from observer.snapshot.store import SnapshotStore
from observer.snapshot.taking import Snapshotter, Taken
from observer.snapshot.targets import Target, container_target, process_target
from observer.trace.store import TraceStore

__all__ = ["Create", "Prune", "Schedule"]


class Create:
    """Take a snapshot of a process tree or of a container.

    Everything is stopped together for a moment; writes are followed with userfaultfd where the kernel has it (6.7), so that
    the target runs while its memory is copied. Where that cannot be, it stands until it is copied, and the snapshot says so.

    Examples:
      observer snapshot create --pid 4242
      observer snapshot create --container web --format compressed-encrypted
      observer snapshot create --recording last --at 4711            memory as it was after that many events
      observer snapshot create --recording last --at 1.5s
      observer snapshot create --pid 4242 --name '[heap]' --anonymous
      observer snapshot create --pid 4242 --hash-only '*' --component registers --component descriptor
    """

    name: ClassVar[str] = "create"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        _add_target(parser, past=True)
        _add_selection(parser)
        parser.add_argument(
            "-o", "--output", type=Path, metavar="FILE", help="write this file instead of the store's"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Take it and say what was taken."""
        if args.plugin is not None:
            return _create_plugin(args)
        if (args.recording is None) != (args.at is None):
            raise UsageError(
                "--recording and --at belong together", hint="--recording REC --at N, or --at 1.5s"
            )
        taken = Snapshotter(_target(args)).take(_options(args))
        _tell(taken, as_json=args.json)
        return exit_codes.OK


class Schedule:
    """Take snapshots of one target again and again, each at the cost of what was written since.

    Runs until the target ends, the count is reached, or Ctrl-C. Old ones are pruned as --keep, --keep-for and --keep-bytes
    say; pages that newer ones refer to stay.

    Examples:
      observer snapshot schedule --pid 4242 --every 30s --keep 10
      observer snapshot schedule --container web --every 5m --keep-for 1d --keep-bytes 20G
    """

    name: ClassVar[str] = "schedule"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        _add_target(parser)
        _add_selection(parser)
        parser.add_argument(
            "--every", required=True, metavar="SPAN", help="time between two snapshots: 30s, 5m, 1h"
        )
        parser.add_argument("--count", type=int, metavar="N", help="end after so many")
        parser.add_argument(
            "--full-every",
            type=int,
            default=16,
            metavar="N",
            help="begin a new chain after so many (default 16)",
        )
        _add_retention(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object for each")

    def run(self, args: argparse.Namespace) -> int:
        """Take them until it is over."""
        every_ns = parse_span(args.every)
        if every_ns <= 0 or args.full_every < 1:
            raise UsageError("the time between snapshots and the length of a chain are above 0")
        store = SnapshotStore()
        schedule = run_schedule(
            Snapshotter(_target(args), store),
            _options(args),
            _retention(args),
            every_ns=every_ns,
            count=args.count,
            full_every=args.full_every,
        )
        with contextlib.suppress(KeyboardInterrupt):
            for taken, pruned in schedule:
                _tell(taken, as_json=args.json)
                for snapshot_id in pruned:
                    _tell_pruned(snapshot_id, as_json=args.json)
        return exit_codes.OK


class Prune:
    """Remove snapshots beyond what is to be kept; a sealed line tells of each.

    Examples:
      observer snapshot prune --keep 10
      observer snapshot prune --keep-for 7d --keep-bytes 100G
    """

    name: ClassVar[str] = "prune"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        _add_retention(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object for each")

    def run(self, args: argparse.Namespace) -> int:
        """Remove them."""
        retention = _retention(args)
        if retention == Retention():
            raise UsageError("say what to keep", hint="--keep N, --keep-for SPAN or --keep-bytes SIZE")
        for snapshot_id in prune(SnapshotStore(), retention):
            _tell_pruned(snapshot_id, as_json=args.json)
        return exit_codes.OK


def _add_target(parser: argparse.ArgumentParser, *, past: bool = False) -> None:
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--pid", type=int, metavar="PID", help="a process and all that descend from it")
    target.add_argument("--container", metavar="NAME", help="a running container, by name or id")
    if past:
        target.add_argument(
            "--plugin", type=UUID, metavar="ID", help="a plugin that runs or ran, at its last sealed call"
        )
        target.add_argument(
            "--recording", metavar="REC", help="a command recorded with --replayable, at a moment of its past"
        )
        parser.add_argument(
            "--at",
            type=parse_place,
            metavar="N|TIME",
            help="with --recording: after N events, 1.5s after its start, or at an RFC 3339 time",
        )
    parser.add_argument("--only", action="store_true", help="with --pid: not its descendants")


# Option, its argument, what it takes, what it does. `text` repeats, `flag` takes none.
_SELECTION: Final = (
    ("--address", "START-END", "addresses", "regions that overlap this"),
    ("--name", "PATTERN", "text", "regions with such a name, as '[heap]' or '*.so*'"),
    ("--anonymous", "", "flag", "memory without a file"),
    ("--hash-only", "PATTERN", "text", "keep only digests of such regions; '*' for all"),
    ("--dontdump", "", "flag", "also what the program marked MADV_DONTDUMP"),
    ("--file-pages", "", "flag", "also unmodified pages of files, instead of referring to them"),
    ("--component", "TYPE", "text", "only such state: registers, descriptor, …"),
    ("--layer", "", "flag", "also the files of the container's writable layer, at the same instant"),
    ("--alone", "", "flag", "refer to no earlier snapshot of the target"),
)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_argument_group("what is kept")
    default = SnapshotFormat.COMPRESSED
    choice.add_argument(
        "--format", type=parse_format, default=default, metavar="FORMAT", help=", ".join(FORMATS)
    )
    choice.add_argument("--permissions", default="", metavar="rwx", help="regions with all of these")
    choice.add_argument("--max-region", type=parse_bytes, metavar="SIZE", help="leave larger regions out")
    ways = ("auto", "uffd-wp", "fork", "stop")
    choice.add_argument(
        "--tracking", default="auto", choices=ways, help="how writes are followed (default auto)"
    )
    for option, metavar, kind, what in _SELECTION:
        if kind == "flag":
            choice.add_argument(option, action="store_true", help=what)
        else:
            read = parse_addresses if kind == "addresses" else str
            choice.add_argument(option, type=read, action="append", default=[], metavar=metavar, help=what)


def _add_retention(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=int, metavar="N", help="keep the newest N")
    parser.add_argument("--keep-for", metavar="SPAN", help="keep what is younger: 12h, 7d")
    parser.add_argument(
        "--keep-bytes", type=parse_bytes, metavar="SIZE", help="keep the newest up to this size"
    )


def _retention(args: argparse.Namespace) -> Retention:
    span = parse_span(args.keep_for) if args.keep_for else None
    return Retention(count=args.keep, span_ns=span, bytes=args.keep_bytes)


def _create_plugin(args: argparse.Namespace) -> int:
    from observer.snapshot.plugin import snapshot_plugin  # wasmtime is loaded only where a plugin runs

    snapshot_id = snapshot_plugin(args.plugin, _options(args))
    if args.json:
        print_json(SCHEMA, "snapshot", {"snapshot_id": str(snapshot_id)})
    else:
        print(f"snapshot {snapshot_id}: plugin {args.plugin}")  # noqa: T201  data of this verb
    return exit_codes.OK


def _target(args: argparse.Namespace) -> Target:
    if args.container is not None:
        return container_target(args.container)
    if getattr(args, "recording", None) is not None:
        return recording_target(TraceStore().find(args.recording), args.at)
    return process_target(args.pid, descendants=not args.only)


def _options(args: argparse.Namespace) -> SnapshotOptions:
    selection = Selection(
        addresses=tuple(args.address),
        names=tuple(args.name),
        permissions=args.permissions,
        anonymous_only=args.anonymous,
        max_region_bytes=args.max_region,
        hash_only=tuple(args.hash_only),
        dontdump=args.dontdump,
        file_pages=args.file_pages,
        components=tuple(args.component),
    )
    return SnapshotOptions(
        format=args.format,
        selection=selection,
        tracking=args.tracking,
        layer=args.layer,
        alone=args.alone,
        path=getattr(args, "output", None),
    )


def _tell(taken: Taken, *, as_json: bool) -> None:
    if as_json:
        print_json(SCHEMA, "snapshot", taken.to_dict())
        return
    processes = f"{taken.processes} process{'es' if taken.processes != 1 else ''}"
    kept, zero = show_bytes(taken.totals["stored_bytes"]), show_bytes(taken.totals["zero_bytes"])
    shared = show_bytes(taken.totals["duplicate_bytes"])
    print(  # noqa: T201  data of this verb
        f"snapshot {taken.snapshot_id}: {processes}, {taken.regions} regions, {kept} stored "
        f"({zero} zero, {shared} stored before) in {show_bytes(taken.bytes)}, paused {show_pause(taken.longest_pause_ns)}",
        flush=True,
    )
    for label in taken.method["labels"]:
        talk(f"observer: {safe(label)}")
    for tid in taken.method["not_stopped_threads"]:
        talk(f"observer: thread {tid} sleeps uninterruptibly and has no registers in the snapshot")


def _tell_pruned(snapshot_id: UUID, *, as_json: bool) -> None:
    if as_json:
        print_json(SCHEMA, "pruned", {"snapshot_id": str(snapshot_id)})
    else:
        print(f"pruned {snapshot_id}", flush=True)  # noqa: T201  data of this verb
