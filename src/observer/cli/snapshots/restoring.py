# SPDX-License-Identifier: Apache-2.0
"""observer snapshot restore: a process of a snapshot as a stopped process again, for debuggers that attach."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe, talk
from observer.cli.snapshots.looking import add_name, open_named
from observer.cli.snapshots.words import SCHEMA
from observer.errors import NotFoundError
from observer.snapshot.analysis import Analysis
from observer.snapshot.image import ProcessImage

__all__ = ["Restore"]


class Restore:
    """Re-create a process of a snapshot, stopped and cut off, for debuggers that attach.

    It has namespaces of its own, an empty root, no network and no descriptors, and every system call is trapped; nothing of it
    runs. It ends with this command: with Ctrl-C, or when the command behind -- has ended, in which {} is its process id.

    Examples:
      observer snapshot restore last
      observer snapshot restore last --pid 4242 -- gdb -p {}
    """

    name: ClassVar[str] = "restore"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the action's options."""
        add_name(parser)
        parser.add_argument(
            "--pid", type=int, metavar="PID", help="which process; needed when there are several"
        )
        parser.add_argument(
            "--root", type=Path, metavar="DIR", help="look for mapped files under this directory first"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "command",
            nargs="*",
            metavar="COMMAND",
            help="what to run meanwhile, after --; {} is the process id",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Re-create it, and keep it until it is no longer wanted."""
        file = open_named(args)
        if args.root is not None:
            file.reader.add_root(str(args.root))
        with Analysis(file).recreate(pid=args.pid) as image:
            _tell(image, as_json=args.json)
            if args.command:
                return _run([word.replace("{}", str(image.pid)) for word in args.command])
            with contextlib.suppress(KeyboardInterrupt):
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
        return exit_codes.OK


def _run(command: list[str]) -> int:
    try:
        return subprocess.run(command, check=False).returncode
    except OSError as error:
        raise NotFoundError(
            f"cannot run {command[0]!r}: {error.strerror}", hint="name a program on PATH"
        ) from error


def _tell(image: ProcessImage, *, as_json: bool) -> None:
    if as_json:
        print_json(SCHEMA, "image", image.to_dict())
        sys.stdout.flush()
        return
    threads = ", ".join(f"{now} was {tid}" for tid, now in image.threads.items())
    sys.stdout.write(safe(f"process {image.pid} stands: gdb -p {image.pid}") + f"\n  threads: {threads}\n")
    sys.stdout.flush()
    if image.absent_pages:
        talk(f"observer: {image.absent_pages:,} pages are zeros there: the snapshot does not have them")
