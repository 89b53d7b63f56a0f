# SPDX-License-Identifier: Apache-2.0
"""observer snapshot diff: what differs between two snapshots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe
from observer.cli.snapshots.words import SCHEMA, show_bytes
from observer.snapshot.difference import Difference, calls_between_snapshots, compare_snapshots
from observer.snapshot.file import SnapshotFile
from observer.snapshot.store import SnapshotStore

__all__ = ["Diff"]

_PAGES_SHOWN: Final = 4
_STRINGS_SHOWN: Final = 40
_CALLS_SHOWN: Final = 100


class Diff:
    """Show what differs between two snapshots: regions, pages, new strings, descriptors, threads.

    Only windows of 4 MiB whose digests differ are read. Between two moments of one recording the calls that its processes made
    in between are named too.

    Examples:
      observer snapshot diff 8f0e 91c2
      observer snapshot diff 8f0e last --json
    """

    name: ClassVar[str] = "diff"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        parser.add_argument("first", metavar="A", help="a path, the first letters of an id, or 'last'")
        parser.add_argument("second", metavar="B", help="the other one")
        parser.add_argument("--json", action="store_true", help="one JSON object on a line")

    def run(self, args: argparse.Namespace) -> int:
        """Compare them."""
        store = SnapshotStore()
        first, second = (SnapshotFile(store.find(name), store.keys()) for name in (args.first, args.second))
        difference = compare_snapshots(first, second)
        if args.json:
            _print_objects(difference)
        else:
            _print_text(difference)
        calls = calls_between_snapshots(first, second)
        if calls is not None:
            _print_calls(calls, as_json=args.json)
        return exit_codes.OK


def _print_objects(found: Difference) -> None:
    for kind, items in (
        ("region", found.regions),
        ("string", found.strings),
        ("descriptor", found.descriptors),
        ("thread", found.threads),
    ):
        for item in items:
            print_json(SCHEMA, kind, item)
    counts = {
        "processes_gone": found.processes_gone,
        "processes_new": found.processes_new,
        "pages_changed": found.pages_changed,
        "pages_compared": found.pages_compared,
    }
    print_json(SCHEMA, "difference", counts)


def _print_calls(calls: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    count = 0
    for count, call in enumerate(calls, 1):
        if as_json:
            print_json(SCHEMA, "call", call)
        elif count <= _CALLS_SHOWN:
            arguments = ", ".join(argument["text"] for argument in call["args"])
            line = f"{call['pid']} s{call['record']} {call['syscall']}({arguments}) = {call['result_text']}"
            sys.stdout.write(safe(line) + "\n")
    if not as_json:
        more = f"; the first {_CALLS_SHOWN} are shown, --json lists all" if count > _CALLS_SHOWN else ""
        sys.stdout.write(f"{count:,} calls in between{more}\n")


def _print_text(found: Difference) -> None:
    lines = [f"process {pid} is gone" for pid in found.processes_gone]
    lines += [f"process {pid} is new" for pid in found.processes_new]
    for region in found.regions:
        pages = region.get("pages", [])
        told = f"{len(pages)} pages changed" if pages else region["what"]
        first = ", ".join(f"{page:#x}" for page in pages[:_PAGES_SHOWN])
        more = ", …" if len(pages) > _PAGES_SHOWN else ""
        where = f" ({first}{more})" if pages else ""
        lines.append(
            f"{region['pid']} {region['start']:012x} {show_bytes(region['size']):>10} {region['name']}: {told}{where}"
        )
    lines += [
        f"{item['pid']} fd {item['number']}: {item['before']} -> {item['after']}"
        for item in found.descriptors
    ]
    lines += [f"{item['pid']} thread {item['tid']}: {item['what']}" for item in found.threads]
    lines += [
        f"{item['pid']} {item['address']:012x} new string: {item['text']}"
        for item in found.strings[:_STRINGS_SHOWN]
    ]
    if len(found.strings) > _STRINGS_SHOWN:
        lines.append(f"and {len(found.strings) - _STRINGS_SHOWN} more strings; --json lists them")
    lines.append(f"{found.pages_changed:,} pages differ")
    sys.stdout.write("".join(safe(line) + "\n" for line in lines))
