# SPDX-License-Identifier: Apache-2.0
"""observer verify: proves a recording or a sealed log, or says where it does not hold."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from observer.cli.printing import print_json, safe
from observer.errors import FormatError, IntegrityError
from observer.evidence import load_hmac_key, verify_log
from observer.trace import TraceStore, verify_recording

__all__ = ["Verify"]

_SCHEMA = "observer.verify/1"


class Verify:
    """Prove that a recording or sealed log is whole, in order and unchanged, or say where it is not.

    Walks the log from its first byte and checks every link and number, the signature of every line when
    WSLMON_LOG_HMAC_KEY or WSLMON_LOG_HMAC_KEY_FILE names a key, and every chunk of a recording against its sealed
    digest. Exit status 14 means that the evidence does not hold; 15, that this is no evidence of ours.

    Examples:
      observer verify last                  the newest recording
      observer verify build.rec             a recording by its path
      observer verify host-events.log       a sealed log
    """

    name: ClassVar[str] = "verify"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "path", metavar="PATH", help="a recording (path, first letters of its id, 'last') or a sealed log"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object per line on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Verify and print what was proved."""
        path = Path(args.path)
        is_log = path.is_file()
        if not is_log:
            path = TraceStore().find(args.path)
        try:
            proof = _prove_log(path) if is_log else verify_recording(path)
        except (IntegrityError, FormatError) as error:
            if args.json:
                facts = {"path": str(path), "verdict": "FAILED", "code": error.code, "message": str(error)}
                print_json(
                    _SCHEMA,
                    "failure",
                    {**facts, "where": {key: str(value) for key, value in error.where.items()}},
                )
            raise
        if args.json:
            print_json(_SCHEMA, "proof", {"path": str(path), "verdict": "VERIFIED", **proof})
        else:
            sys.stdout.writelines(f"{line}\n" for line in _tell(path, proof))
        return 0


def _prove_log(path: Path) -> dict[str, Any]:
    return {"log": dataclasses.asdict(verify_log(path, key=load_hmac_key()))}


def _tell(path: Path, proof: Mapping[str, Any]) -> list[str]:
    log = proof["log"]
    told = [
        f"VERIFIED  {safe(str(path))}",
        f"  sealed log  {log['lines']:,} lines, sequence {log['first_sequence']:,} to {log['last_sequence']:,}",
        f"  chain head  {log['head']}",
    ]
    if "chunks" in proof:
        told.append(
            f"  chunks      {proof['chunks']:,} with {proof['records']:,} records, each as its digest was sealed"
        )
    told.append(f"  signature   {_signature(log)}")
    closed = proof.get("closed", log["closed"])
    told.append(
        f"  end         {'closed by its writer' if closed else 'never closed: its writer was killed, or is at work'}"
    )
    if log["tail"]["state"] != "whole":
        tail = log["tail"]
        told.append(
            f"  damage      {tail['bytes']:,} {tail['state']} bytes at the end, as a crash leaves them; not proved"
        )
    if log["damage"]:
        told.append(f"  damage      {len(log['damage'])} earlier place(s) that the log itself declares")
    if proof.get("unsealed_bytes"):
        told.append(f"  not proved  {proof['unsealed_bytes']:,} bytes of calls that were never sealed")
    lost = int(proof.get("lost") or 0) + int(log["dropped"])
    if lost:
        told.append(f"  lost        {lost:,} records, as declared")
    return told


def _signature(log: Mapping[str, Any]) -> str:
    if log["key_checked"]:
        return "holds on every line with the given key"
    if log["signed"]:
        return "present but not checked: set WSLMON_LOG_HMAC_KEY or WSLMON_LOG_HMAC_KEY_FILE"
    return "none: changes are found, but who can write here can seal another history"
