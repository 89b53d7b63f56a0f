# SPDX-License-Identifier: Apache-2.0
"""observer snapshot core, export, import: snapshots for debuggers and for others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, ClassVar

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe, talk
from observer.cli.snapshots.looking import add_name, open_named
from observer.cli.snapshots.words import FORMATS, SCHEMA, parse_format
from observer.model.snapshot import SnapshotFormat
from observer.snapshot.analysis import Analysis
from observer.snapshot.exchange import export_file, import_file
from observer.snapshot.store import SnapshotStore

__all__ = ["Core", "Export", "Import"]


class Core:
    """Write a process of a snapshot as an ELF core for gdb, lldb, drgn and readelf.

    Pages that the snapshot refers to are read from their files when those are still the same; --root looks for them under
    another directory first. What is not here is zeros in the core, and counted.

    Examples:
      observer snapshot core last -o web.core
      gdb /usr/sbin/nginx web.core
    """

    name: ClassVar[str] = "core"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to make")
        parser.add_argument(
            "--pid", type=int, metavar="PID", help="which process; needed when there are several"
        )
        parser.add_argument(
            "--root", type=Path, metavar="DIR", help="look for mapped files under this directory first"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Write it."""
        file = open_named(args)
        if args.root is not None:
            file.reader.add_root(str(args.root))
        report: dict[str, Any] = dict(Analysis(file).write_core(args.output, pid=args.pid))
        if args.json:
            print_json(SCHEMA, "core", {"path": str(args.output), **report})
            return exit_codes.OK
        sys.stdout.write(f"{safe(str(args.output))}: {report['segments']} segments\n")
        for name, what in (
            ("absent_pages", "of files that are not here"),
            ("unknown_pages", "that were not captured"),
            ("damaged_pages", "that do not hold"),
        ):
            if report[name]:
                talk(f"observer: {report[name]:,} pages {what} are zeros in the core")
        return exit_codes.OK


class Export:
    """Write a snapshot, whole in one file, for somebody else.

    Encrypted formats are sealed to the age recipients that OBSERVER_SNAPSHOT_RECIPIENTS_FILE names, or with the passphrase
    in OBSERVER_SNAPSHOT_PASSPHRASE_FILE; without either, to the store's own identity.

    Examples:
      observer snapshot export last -o evidence.osnap
      OBSERVER_SNAPSHOT_RECIPIENTS_FILE=court.txt observer snapshot export 8f0e -o evidence.osnap
    """

    name: ClassVar[str] = "export"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument(
            "-o", "--output", type=Path, required=True, metavar="FILE", help="file or directory to write to"
        )
        parser.add_argument(
            "--format",
            type=parse_format,
            default=SnapshotFormat.COMPRESSED_AND_ENCRYPTED,
            metavar="FORMAT",
            help=f"{', '.join(FORMATS)} (default the last)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Write it."""
        path = export_file(open_named(args), args.output, args.format, SnapshotStore())
        if args.json:
            print_json(
                SCHEMA,
                "export",
                {"path": str(path), "bytes": path.stat().st_size, "format": args.format.value},
            )
        else:
            sys.stdout.write(f"{safe(str(path))}\n")
        return exit_codes.OK


class Import:
    """Check a snapshot file from elsewhere page by page and take it into the store."""

    name: ClassVar[str] = "import"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        parser.add_argument("path", type=Path, metavar="FILE", help="the file, or a directory that holds one")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Take it in."""
        snapshot_id = import_file(args.path, SnapshotStore())
        if args.json:
            print_json(SCHEMA, "import", {"snapshot_id": str(snapshot_id)})
        else:
            sys.stdout.write(f"{snapshot_id}\n")
        return exit_codes.OK
