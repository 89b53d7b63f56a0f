# SPDX-License-Identifier: Apache-2.0
"""observer snapshot files: the writable layer of a container, as it was at the instant of its memory."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe
from observer.cli.snapshots.looking import add_name, open_named
from observer.cli.snapshots.words import SCHEMA, show_bytes
from observer.errors import NotFoundError
from observer.snapshot.layer import read_layer, write_layer

__all__ = ["Files"]


class Files:
    """List the files of a container's writable layer, or write them as a tar archive.

    They are there when the snapshot was taken with 'create --layer'. The archive has the form of an OCI layer: what the
    container removed is named .wh.NAME.

    Examples:
      observer snapshot files last
      observer snapshot files last -o layer.tar
    """

    name: ClassVar[str] = "files"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="archive to make")
        parser.add_argument("--json", action="store_true", help="print one JSON object for each")

    def run(self, args: argparse.Namespace) -> int:
        """List or write them."""
        file = open_named(args)
        if not any(item["type"] == "file" for item in file.manifest["components"]):
            raise NotFoundError(
                "the snapshot has no files", hint="take one with 'observer snapshot create --layer'"
            )
        if args.output is not None:
            count = write_layer(file, args.output)
            if args.json:
                print_json(SCHEMA, "layer", {"path": str(args.output), "files": count})
            else:
                sys.stdout.write(f"{safe(str(args.output))}: {count:,} files\n")
            return exit_codes.OK
        for entry in read_layer(file):
            if args.json:
                print_json(SCHEMA, "file", asdict(entry) | {"path": safe(entry.path)})
                continue
            facts = (
                f"{entry.kind:<9} {entry.mode:04o} {entry.uid}:{entry.gid} {show_bytes(entry.size_bytes):>10}"
            )
            sys.stdout.write(f"{facts} {safe(entry.path)}\n")
        return exit_codes.OK
