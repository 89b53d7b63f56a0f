# SPDX-License-Identifier: Apache-2.0
"""observer show: the list of recordings, or one recording's processes, events and syscalls."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from uuid import UUID

from observer import clock
from observer.cli.call_lines import print_calls
from observer.cli.listing import ListingFilter, list_rows, listing_table
from observer.cli.printing import print_json, safe, stdout_console, talk
from observer.cli.process_tree import build_tree, draw_tree
from observer.cli.times import parse_moment, show_moment, show_span
from observer.clock import to_datetime
from observer.errors import IntegrityError, NotFoundError, UsageError
from observer.trace import Recording, TraceStore, verify_recording

__all__ = ["Show"]

_SCHEMA: Final = "observer.show/1"
_FIRST_CALLS: Final = 40  # shown when nothing more exact was asked for
_CLASSES: Final = ("file", "descriptor", "network", "process", "memory", "signal", "ipc", "time", "system")


class Show:
    """List what was recorded, or show one recording: process tree, events, syscalls.

    Without REC, lists the recordings of the store, newest first. With REC, shows its facts (bytes per syscall
    among them), its process tree, its events and its first calls; any filter on calls shows all that match.
    A recording whose evidence does not hold is not shown (exit status 14) unless you add --unproven.
    Times are RFC 3339, or '10m' for ten minutes ago; within a recording also '+2s' after its start.

    Examples:
      observer show                                   the list
      observer show --since 1h --identity ana         what ana recorded in the last hour
      observer show last                              the newest recording
      observer show last --failed --class file        file calls that failed
      observer show 5d69 --syscall openat,connect --path /etc
      observer show last --id s17                     the record that a summary cites
      observer show last --calls --json | jq .syscall
    """

    name: ClassVar[str] = "show"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "recording", nargs="?", metavar="REC", help="path, first letters of the id, or 'last'"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object per line on stdout")
        parser.add_argument("--since", metavar="TIME", help="recordings, or calls of REC, from this time on")
        parser.add_argument("--until", metavar="TIME", help="before this time")
        listing = parser.add_argument_group("which recordings to list")
        listing.add_argument("--container", metavar="UUID", type=UUID, help="of this container")
        listing.add_argument("--plugin", metavar="UUID", type=UUID, help="of this plugin")
        listing.add_argument("--identity", metavar="NAME", help="of this user, tenant, agent or tenant/user")
        parts = parser.add_argument_group("which parts of REC to show")
        parts.add_argument("--tree", action="store_true", help="the process tree")
        parts.add_argument("--processes", action="store_true", help="one line per process")
        parts.add_argument("--events", action="store_true", help="events and losses")
        parts.add_argument("--calls", action="store_true", help="all syscalls")
        calls = parser.add_argument_group("which calls of REC to show")
        calls.add_argument("--syscall", metavar="NAMES", type=_words, help="these, separated by commas")
        calls.add_argument(
            "--class", metavar="NAMES", type=_classes, dest="classes", help=f"of {' '.join(_CLASSES)}"
        )
        calls.add_argument("--pid", type=int, help="of this process")
        calls.add_argument("--tid", type=int, help="of this thread")
        calls.add_argument("--path", metavar="TEXT", help="with a path that contains this")
        calls.add_argument("--failed", action="store_true", help="that failed, were denied or interrupted")
        calls.add_argument(
            "--denied", action="store_true", help="that a policy or the kernel's permissions denied"
        )
        calls.add_argument("--limit", metavar="N", type=_count, help="at most this many")
        parser.add_argument(
            "--unproven", action="store_true", help="show REC even though its evidence does not hold"
        )
        calls.add_argument("--id", metavar="ID", help="one record: sN a call, eN a line of the sealed log")

    def run(self, args: argparse.Namespace) -> int:
        """Show the list or the recording."""
        if args.recording is None:
            _refuse(
                args,
                ("tree", "processes", "events", "calls", *_CALL_FILTERS, "limit", "id"),
                "need a recording",
            )
            _show_list(args)
            return 0
        _refuse(args, ("container", "plugin", "identity"), "choose among recordings, and one is named")
        path = TraceStore().find(args.recording)
        _check(path, unproven=args.unproven)
        recording = Recording(path)
        if args.id:
            _show_one(recording, args)
        else:
            _View(recording, args).show()
        return 0


_CALL_FILTERS: Final = ("syscall", "classes", "pid", "tid", "path", "failed", "denied")


def _check(path: Path, *, unproven: bool) -> None:
    try:
        verify_recording(path, check_key=False)
    except IntegrityError as error:
        if not unproven:
            error.hint = "look at it with --unproven, and keep the original untouched"
            raise
        talk(
            f"observer: THE EVIDENCE DOES NOT HOLD: {safe(str(error))}; what follows is unproven",
            style="bold red",
        )


def _refuse(args: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    given = [
        f"--{'class' if name == 'classes' else name}"
        for name in names
        if getattr(args, name) not in (None, False)
    ]
    if given:
        raise UsageError(f"{', '.join(given)}: {why}", hint="see 'observer show --help'")


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _classes(text: str) -> list[str]:
    names = _words(text)
    for name in names:
        if name not in _CLASSES:
            raise argparse.ArgumentTypeError(f"no class {name!r}; one of {' '.join(_CLASSES)}")
    return names


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return int(text)


def _show_list(args: argparse.Namespace) -> None:
    now_ns = clock.wall_ns()
    wanted = ListingFilter(
        since_ns=None if args.since is None else parse_moment(args.since, now_ns=now_ns),
        until_ns=None if args.until is None else parse_moment(args.until, now_ns=now_ns),
        container_id=args.container,
        plugin_id=args.plugin,
        identity=args.identity,
    )
    rows = list_rows(TraceStore().entries(), wanted)
    if args.json:
        for row in rows:
            print_json(_SCHEMA, "trace", row.to_dict())
    elif rows:
        stdout_console().print(listing_table(rows))
    if not rows:
        talk("no recording matches" if not wanted.is_empty else "nothing has been recorded yet")


def _show_one(recording: Recording, args: argparse.Namespace) -> None:
    kind, number = args.id[:1], args.id[1:]
    if kind not in ("s", "e") or not number.isdecimal():
        raise UsageError(
            f"no record is called {args.id!r}", hint="sN names a call, eN a line of the sealed log"
        )
    hint = "records are numbered from s0, sealed lines from e0"
    missing = NotFoundError(f"no record {args.id} in this recording", hint=hint, where={"id": args.id})
    if kind == "s":
        call = next(recording.calls({"signals": True}, int(number)), None)
        if call is None or call["record"] != int(number):
            raise missing
        _put(args, "call", call, lambda: print_calls([call], recording.start.monotonic_ns, 1))
        return
    line = next(recording.lines(int(number)), None)
    if line is None or line.sequence != int(number):
        raise missing
    facts = {"id": line.record_id, "event": line.event}
    _put(args, "line", facts, lambda: _print(f"{line.record_id}  {_facts(line.event)}"))


def _put(args: argparse.Namespace, message_type: str, values: Mapping[str, Any], show: Any) -> None:
    if args.json:
        print_json(_SCHEMA, message_type, values)
    else:
        show()


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _facts(event: Mapping[str, Any]) -> str:
    return "  ".join(f"{safe(key)}={safe(str(value))}" for key, value in event.items() if value is not None)


class _View:
    """One recording and what was asked of it."""

    def __init__(self, recording: Recording, args: argparse.Namespace) -> None:
        self.recording, self.args = recording, args
        self.query = self._query()
        filtered = any(name != "signals" for name in self.query)
        self.exact = bool(args.calls or filtered)
        named = [name for name in ("tree", "processes", "events") if getattr(args, name)]
        self.parts = {*named, *(["calls"] if self.exact else [])} or {"facts", "tree", "events", "calls"}

    def _query(self) -> dict[str, Any]:
        args, start = self.args, self.recording.start
        found: dict[str, Any] = {
            "syscalls": args.syscall,
            "classes": args.classes,
            "pid": args.pid,
            "tid": args.tid,
        }
        found |= {"path_contains": args.path, "failed": args.failed or None, "denied": args.denied or None}
        for name, text in (("since_ns", args.since), ("until_ns", args.until)):
            if text is not None:
                wall_ns = parse_moment(text, now_ns=clock.wall_ns(), start_ns=start.wall_ns)
                found[name] = max(0, wall_ns - start.wall_ns + start.monotonic_ns)
        query = {key: value for key, value in found.items() if value is not None}
        chosen = any(key in query for key in ("syscalls", "classes", "path_contains", "failed", "denied"))
        return query if chosen else {**query, "signals": True}

    def show(self) -> None:
        if self.args.json:
            self._show_json()
            return
        blocks = {
            "facts": self._facts,
            "tree": self._tree,
            "processes": self._processes,
            "events": self._events,
        }
        shown = False
        for name, block in blocks.items():
            lines = block() if name in self.parts else iter(())
            for place, line in enumerate(lines):
                if place == 0 and shown:
                    _print("")
                shown = True
                _print(line)
        if "calls" in self.parts:
            self._calls(after_others=shown)

    def _facts(self) -> Iterator[str]:
        start, stats = self.recording.start, self.recording.stats()
        end, calls = stats["end"], self.recording.call_count()
        yield f"trace     {start.trace_id}  {safe(str(self.recording.status(end)))}"
        if start.command is not None:
            yield f"command   {safe(shlex.join(start.command))}"
        yield f"identity  {safe(str(start.identity))}"
        for name, value in (("container", start.container_id), ("plugin", start.plugin_id)):
            if value is not None:
                yield f"{name:<9} {value}"
        where = safe(f"{start.hostname}, kernel {start.kernel}, {start.arch}")
        yield f"started   {show_moment(to_datetime(start.wall_ns))} on {where}"
        if end is not None:
            yield f"lasted    {show_span(int(end['monotonic_ns']) - start.monotonic_ns)}"
        yield f"recorded  {calls:,} calls, {_bytes_per_call(stats, calls)}"
        if stats["unsealed_bytes"]:
            yield f"unsealed  {stats['unsealed_bytes']:,} bytes at the end were never sealed and are not shown"
        if stats["lost"]:
            yield f"lost      {stats['lost']:,} records, as declared"

    def _tree(self) -> Iterator[str]:
        return draw_tree(build_tree(self.recording.lines())[0])

    def _processes(self) -> Iterator[str]:
        for node in build_tree(self.recording.lines())[1]:
            yield _facts(
                {key: value for key, value in node.to_dict().items() if key != "argv"}
                | {"argv": shlex.join(node.argv)}
            )

    def _events(self) -> Iterator[str]:
        for line in self.recording.lines():
            if line.event.get("type") in ("event", "loss"):
                kind = line.event.get("event_type") or line.event.get("what") or line.event["type"]
                rest = line.event.get("data") or {
                    k: v for k, v in line.event.items() if k in ("count", "reason")
                }
                yield f"{line.record_id:>8} {safe(str(line.event.get('severity', 'loss'))):<8} {safe(str(kind))}  {_facts(rest)}"

    def _calls(self, *, after_others: bool) -> None:
        limit = self.args.limit if self.args.limit is not None else None if self.exact else _FIRST_CALLS
        if after_others:
            _print("")
        start_ns = self.recording.start.monotonic_ns
        printed, more = print_calls(self.recording.calls(self.query), start_ns, limit)
        if not printed and self.exact:
            talk("no call matches")
        if more and not self.exact:
            talk("more calls follow: --calls shows all, --failed, --class, --syscall, --path … choose")

    def _show_json(self) -> None:
        whole = not (self.exact or self.parts != {"facts", "tree", "events", "calls"})
        recording, parts = self.recording, self.parts
        if "facts" in parts:
            stats = recording.stats()
            print_json(_SCHEMA, "recording", self._header(stats))
        if parts & {"tree", "processes"}:
            for node in build_tree(recording.lines())[1]:
                print_json(_SCHEMA, "process", node.to_dict())
        if "events" in parts:
            for line in recording.lines():
                if line.event.get("type") in ("event", "loss"):
                    print_json(_SCHEMA, str(line.event["type"]), {"id": line.record_id, **line.event})
        if self.exact or whole:
            for place, call in enumerate(recording.calls(self.query)):
                if self.args.limit is not None and place >= self.args.limit:
                    break
                print_json(_SCHEMA, "signal" if "signal" in call else "call", call)

    def _header(self, stats: Mapping[str, Any]) -> dict[str, Any]:
        start, calls = self.recording.start, self.recording.call_count()
        return {
            "trace_id": str(start.trace_id),
            "path": str(self.recording.path),
            "status": str(self.recording.status(stats["end"])),
            "container_id": str(start.container_id) if start.container_id else None,
            "plugin_id": str(start.plugin_id) if start.plugin_id else None,
            "identity": start.identity.to_dict(),
            "command": None if start.command is None else list(start.command),
            "source": start.source,
            "wall_ns": start.wall_ns,
            "monotonic_ns": start.monotonic_ns,
            "boot_id": start.boot_id,
            "hostname": start.hostname,
            "kernel": start.kernel,
            "arch": start.arch,
            "calls": calls,
            "bytes_per_call": round(stats["stored_bytes"] / calls, 2) if calls else None,
            **{
                key: stats[key]
                for key in ("chunks", "segments", "raw_bytes", "stored_bytes", "unsealed_bytes", "lost")
            },
            "closed": stats["closed"],
        }


def _bytes_per_call(stats: Mapping[str, Any], calls: int) -> str:
    per_call = f": {stats['stored_bytes'] / calls:.1f} bytes per syscall" if calls else ""
    return f"{stats['stored_bytes']:,} bytes{per_call}"
