# SPDX-License-Identifier: Apache-2.0
"""observer witness: cosigns checkpoints of logs that only ever grow."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import ClassVar

from observer.agents.link.witness_server import serve
from observer.cli.printing import print_json, talk
from observer.errors import UsageError
from observer.evidence.keys import read_seed
from observer.evidence.witness import Witness

__all__ = ["WitnessCommand"]


class WitnessCommand:
    """Serve a witness: cosign a log's checkpoint only when it extends the one cosigned before.

    Speaks c2sp.org/tlog-witness: POST /add-checkpoint with the old size, a consistency proof and a signed checkpoint;
    200 with a cosignature, 409 when the old size is another one, 422 when the log was rewritten, 403 and 404 for
    strangers. What was cosigned is on disk before the answer goes out. A refused checkpoint is kept: it is proof.

    The seed file holds 32 bytes in hexadecimal, mode 0600; 'observer witness key FILE' makes one.

    Examples:
      observer witness key witness.seed --name witness.example
      observer witness serve --seed witness.seed --name witness.example --log KEY --socket /run/witness.sock
      observer witness serve --seed witness.seed --name witness.example --log KEY --listen 127.0.0.1:7380
    """

    name: ClassVar[str] = "witness"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument("action", choices=["serve", "key"], help="serve requests, or make and show a key")
        parser.add_argument("seed_file", nargs="?", metavar="FILE", help="key: the seed file to make or show")
        parser.add_argument("--seed", metavar="FILE", help="serve: the witness's seed file")
        parser.add_argument("--name", required=True, help="the name that cosigns, as in witness.example")
        parser.add_argument(
            "--log", action="append", default=[], metavar="KEY", help="verifier key of a log to serve; repeat"
        )
        parser.add_argument(
            "--state",
            metavar="DIR",
            default="witness-state",
            help="where the state lies (default: %(default)s)",
        )
        place = parser.add_mutually_exclusive_group()
        place.add_argument("--socket", metavar="PATH", help="serve on a Unix socket, mode 0600")
        place.add_argument("--listen", metavar="HOST:PORT", help="serve HTTP; port 0 takes a free one")
        parser.add_argument("--json", action="store_true", help="one JSON object per line on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Make a key, or serve until stopped."""
        if args.action == "key":
            return self._key(args)
        if not args.seed or not args.log:
            raise UsageError("serve needs --seed FILE and at least one --log KEY")
        if not args.socket and not args.listen:
            raise UsageError("serve needs --socket PATH or --listen HOST:PORT")
        witness = Witness(Path(args.state), args.name, read_seed(Path(args.seed)), args.log)
        talk(f"witness {args.name} serves {len(args.log)} log(s); key {witness.verifier_key}")
        return serve(
            witness, socket_path=args.socket, listen=args.listen, ready=lambda where: _ready(args.json, where)
        )

    def _key(self, args: argparse.Namespace) -> int:
        if not args.seed_file:
            raise UsageError("key needs the FILE to make or show")
        file = Path(args.seed_file)
        seed = read_seed(file, make=True)
        witness_key = Witness.key_of(args.name, seed)
        if args.json:
            print_json("observer.witness/1", "key", {"verifier_key": witness_key})
        else:
            sys.stdout.write(witness_key + "\n")
        return 0


def _ready(as_json: bool, where: str) -> None:
    if as_json:
        print_json("observer.witness/1", "ready", {"address": where})
    else:
        sys.stdout.write(where + "\n")
    sys.stdout.flush()
