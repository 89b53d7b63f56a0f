# SPDX-License-Identifier: Apache-2.0
"""observer verify: proves a recording or a sealed log, or says where it does not hold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from observer.cli.log_verdicts import audit_facts, failure_of, tell_audit
from observer.cli.printing import print_json, safe
from observer.errors import CaptureError, FormatError, IntegrityError, UsageError
from observer.evidence import audit_logs, load_hmac_key, load_policy, prove_record
from observer.trace import TraceStore, verify_recording

__all__ = ["Verify"]

_SCHEMA = "observer.verify/1"
_RECORDING_LOG = "sealed.log"


class Verify:
    """Prove that a recording or sealed log is whole, in order and unchanged, or say where it is not.

    Walks the log from its first byte and checks every link and number, the signature of every line when
    WSLMON_LOG_HMAC_KEY or WSLMON_LOG_HMAC_KEY_FILE names a key, and every chunk of a recording against its sealed
    digest. A log is judged with all its rotated files, manifests and checkpoints; a directory, log by log. A policy
    file (TOML) says which signatures must be there. Exit status 14 means that the evidence does not hold; 15, that
    this is no evidence of ours.

    Verdicts on logs: VERIFIED, DECLARED_LOSS, VERIFIED_TO, TORN_TAIL, ZEROED_TAIL (exit 0); CLOCK_ANOMALY, SEQ_GAP,
    SEGMENT_MISSING, WRONG_KEY, POLICY_DOWNGRADE, ROLLBACK, FORK, TAMPERED (exit 14).

    Examples:
      observer verify last                                  the newest recording
      observer verify build.rec                             a recording by its path
      observer verify host-events.log                       a sealed log with its rotated files
      observer verify /var/log/wsl-monitor --policy p.toml  every log there, against a policy
      observer verify host-events.log --prove 812 -o 812    812.tlog-proof and 812.line: a proof of one record
    """

    name: ClassVar[str] = "verify"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "path", metavar="PATH", help="a recording (path, first letters of its id, 'last') or a sealed log"
        )
        parser.add_argument(
            "--policy", metavar="FILE", help="what must be there: signers, witnesses, HMAC, size (TOML)"
        )
        parser.add_argument(
            "--prove", metavar="SEQ", type=int, help="write a proof that the log holds this sequence"
        )
        parser.add_argument(
            "-o", "--output", metavar="NAME", help="--prove: write NAME.tlog-proof and NAME.line"
        )
        parser.add_argument("--force", action="store_true", help="--prove: overwrite what is there")
        parser.add_argument("--threads", metavar="N", type=int, help="threads for logs (default: all cores)")
        parser.add_argument("--json", action="store_true", help="one JSON object per line on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Verify and print what was proved."""
        path = Path(args.path)
        if path.is_file() or (path.is_dir() and not _is_recording(path)):
            return _prove(path, args) if args.prove is not None else _verify_logs(path, args)
        if args.policy or args.prove is not None:
            raise UsageError("--policy and --prove are for sealed logs, not for recordings")
        path = TraceStore().find(args.path)
        try:
            proof = verify_recording(path)
        except (IntegrityError, FormatError) as error:
            if args.json:
                _print_failure(path, error)
            raise
        if args.json:
            print_json(_SCHEMA, "proof", {"path": str(path), "verdict": "VERIFIED", **proof})
        else:
            sys.stdout.writelines(f"{line}\n" for line in _tell(path, proof))
        return 0


def _is_recording(directory: Path) -> bool:
    return (directory / _RECORDING_LOG).exists()


def _print_failure(path: Path, error: IntegrityError | FormatError) -> None:
    facts = {"path": str(path), "verdict": "FAILED", "code": error.code, "message": str(error)}
    where = {key: str(value) for key, value in error.where.items()}
    print_json(_SCHEMA, "failure", {**facts, "where": where})


def _verify_logs(path: Path, args: argparse.Namespace) -> int:
    policy = load_policy(args.policy) if args.policy else None
    try:
        audits = audit_logs(path, key=load_hmac_key(), policy=policy, threads=args.threads)
    except FormatError as error:
        if args.json:
            _print_failure(path, error)
        raise
    for audit in audits:
        if args.json:
            print_json(_SCHEMA, "audit", audit_facts(audit))
        else:
            sys.stdout.writelines(f"{line}\n" for line in tell_audit(audit))
    failures = [failure for failure in map(failure_of, audits) if failure is not None]
    if failures:
        sys.stdout.flush()
        raise failures[0]
    return 0


def _prove(path: Path, args: argparse.Namespace) -> int:
    if args.prove < 0:
        raise UsageError("--prove wants a sequence, 0 or more")
    proof = prove_record(path, args.prove, key=load_hmac_key())
    name = args.output or f"{path.name}-{args.prove}"
    files = {Path(f"{name}.tlog-proof"): proof.text.encode(), Path(f"{name}.line"): proof.line}
    for file, data in files.items():
        try:
            with file.open("wb" if args.force else "xb") as opened:
                opened.write(data)
        except FileExistsError as error:
            raise UsageError(f"{file} exists", hint="give another -o, or --force") from error
        except OSError as error:
            raise CaptureError(f"cannot write {file}: {error.strerror}") from error
    names = [str(file) for file in files]
    if args.json:
        print_json(_SCHEMA, "record_proof", {"path": str(path), "sequence": args.prove, "files": names})
    else:
        sys.stdout.writelines(f"{safe(file)}\n" for file in names)
    return 0


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
    if "stored_files" in proof:
        told.append(
            f"  files       {proof['stored_files']:,} stored with {proof['stored_bytes']:,} bytes, each as its digest was sealed"
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
