# SPDX-License-Identifier: Apache-2.0
"""observer export: a recording in forms that other programs read."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import ClassVar, Final

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe, talk
from observer.errors import DeliveryError, UsageError
from observer.export import (
    CALLS,
    FORMATS,
    PROTOCOLS,
    SIGNALS,
    Content,
    Delivery,
    Written,
    deliver,
    endpoints,
    write_file,
)
from observer.trace import Recording, TraceStore, verify_recording

__all__ = ["Export"]

_FROM_ENVIRONMENT: Final = "-"
_STEP: Final = 100_000  # records between two lines of progress


class Export:
    """Write or send a recording in a form that other programs read.

    To a file, as OpenTelemetry (OTLP/JSON lines), plain JSON lines, a Parquet table or a Perfetto trace; or to an
    OpenTelemetry receiver, over HTTP or gRPC.
    The trace id is the recording's own. Spans are the recording and its processes, log records the notable syscalls (those
    denied, executions, connections, changes of rights, what findings cite; all of them with --calls full), events, losses and
    findings; metrics count all calls. The recording is verified first; one whose evidence does not hold is not
    exported (exit status 14) unless you add --unproven. Passwords, tokens and keys that are named as such or have the form of one
    are taken out of what leaves, and counted; the recording keeps them.

    The variables OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS, _TIMEOUT, _CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY,
    _COMPRESSION and _INSECURE are honoured, also per signal. Tokens go into _HEADERS, never into an argument.

    Examples:
      observer export last --format otlp-jsonl -o last.jsonl
      observer export last --format jsonl -o - | jq .message_type
      observer export last --format parquet -o last.parquet       for DuckDB and its like
      observer export last --otlp http://localhost:4318
      observer export last --otlp https://collector:4317 --protocol grpc --otlp=full
      observer export last --otlp                     where the environment says
    """

    name: ClassVar[str] = "export"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "recording", metavar="REC", help="a recording: path, first letters of its id, or 'last'"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout about how it went")
        to_file = parser.add_argument_group("to a file")
        to_file.add_argument("--format", choices=FORMATS, help="the file's form")
        to_file.add_argument(
            "-o", "--output", metavar="FILE", help="the file, a directory, or '-' for stdout"
        )
        to_file.add_argument("--force", action="store_true", help="replace a file that is there")
        send = parser.add_argument_group("to an OpenTelemetry receiver")
        send.add_argument(
            "--otlp",
            metavar="ENDPOINT",
            nargs="?",
            const=_FROM_ENVIRONMENT,
            action="append",
            help="send it there; without ENDPOINT where OTEL_EXPORTER_OTLP_ENDPOINT says; --otlp=full: all calls",
        )
        send.add_argument("--protocol", choices=PROTOCOLS, help="how to send it (http/protobuf)")
        send.add_argument(
            "--retry-for",
            metavar="SECONDS",
            type=_seconds,
            default=60.0,
            help="how long to try one request (60)",
        )
        send.add_argument(
            "--batch", metavar="N", type=_positive, default=8192, help="records in one request (8192)"
        )
        what = parser.add_argument_group("what of it")
        what.add_argument("--calls", choices=CALLS, help="which syscalls become log records (notable)")
        what.add_argument(
            "--signal", choices=SIGNALS, action="append", help="only this kind; may be repeated"
        )
        what.add_argument(
            "--no-redaction", action="store_true", help="let passwords and tokens leave as they are"
        )
        what.add_argument("--no-findings", action="store_true", help="do not apply the risk rules")
        what.add_argument(
            "--unproven", action="store_true", help="export it even though its evidence does not hold"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Write it or send it."""
        given = [word for word in args.otlp or () if word not in CALLS]
        levels = {word for word in args.otlp or () if word in CALLS} | ({args.calls} if args.calls else set())
        if len(levels) > 1 or len([word for word in given if word != _FROM_ENVIRONMENT]) > 1:
            raise UsageError("--otlp takes one endpoint, and one of full and notable")
        if (args.format is None) == (args.otlp is None):
            raise UsageError("say where to: --format FORMAT -o FILE, or --otlp ENDPOINT")
        recording = Recording(TraceStore().find(args.recording))
        if not args.unproven:
            verify_recording(recording.path)
        content = Content(
            calls=levels.pop() if levels else "notable",
            signals=tuple(args.signal) if args.signal else SIGNALS,
            findings=not args.no_findings,
            verified=not args.unproven,
            redact=not args.no_redaction,
        )
        if args.format is not None:
            return _to_file(args, recording, content)
        return _to_receiver(
            args, recording, content, next((w for w in given if w != _FROM_ENVIRONMENT), None)
        )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _to_file(args: argparse.Namespace, recording: Recording, content: Content) -> int:
    if args.output is None:
        raise UsageError("--format needs -o FILE", hint="'-o -' writes to stdout")
    target = None if args.output == "-" else Path(args.output)
    if target is not None and args.output.endswith("/"):
        target.mkdir(mode=0o700, exist_ok=True)
    if args.json and target is None:
        raise UsageError("--json and '-o -' both want stdout")
    progress = _Progress()
    done = write_file(
        recording,
        args.format,
        target,
        content,
        force=args.force,
        report=lambda done: progress.at(done.records),
    )
    _tell_file(args, done)
    return exit_codes.OK if done.whole else exit_codes.INTERRUPTED


def _tell_file(args: argparse.Namespace, done: Written) -> None:
    if args.json:
        facts = {
            "paths": [str(path) for path in done.paths], "records": done.records, "bytes": done.bytes, "whole": done.whole,
            "redacted": done.redacted,
        }  # fmt: skip
        print_json("observer.export/1", "export", facts)
        return
    names = ", ".join(safe(str(path)) for path in done.paths) or "stdout"
    cut = "" if done.whole else "interrupted: only the beginning is there; "
    talk(
        f"observer: {cut}{done.records:,} records, {done.bytes:,} bytes to {names}{_taken_out(done.redacted)}"
    )


def _to_receiver(
    args: argparse.Namespace, recording: Recording, content: Content, endpoint: str | None
) -> int:
    targets = endpoints(endpoint, args.protocol, content.signals, os.environ)
    progress, held = _Progress(), Delivery()

    def report(delivery: Delivery) -> None:
        nonlocal held
        held = delivery
        progress.at(sum(delivery.sent.values()))

    try:
        held = deliver(
            recording, targets, content, retry_for_s=args.retry_for, most=args.batch, report=report
        )
    except KeyboardInterrupt:
        talk(f"observer: interrupted; accepted so far: {_counts(held.sent)}")
        return exit_codes.INTERRUPTED
    if args.json:
        facts = {
            "endpoints": {signal: target.shown for signal, target in targets.items()},
            "sent": held.sent, "rejected": held.rejected, "reasons": held.reasons,
            "requests": held.requests, "retries": held.retries, "bytes": held.bytes,
            "redacted": held.redacted,
        }  # fmt: skip
        print_json("observer.export/1", "delivery", facts)
    else:
        shown = ", ".join(dict.fromkeys(safe(target.shown) for target in targets.values()))
        again = f", {held.retries:,} of them again" if held.retries else ""
        talk(
            f"observer: {_counts(held.sent)} accepted by {shown} in {held.requests:,} requests{again}{_taken_out(held.redacted)}"
        )
    if any(held.rejected.values()):
        why = "; ".join(dict.fromkeys(filter(None, held.reasons.values()))) or "no reason given"
        raise DeliveryError(
            f"the receiver rejected {_counts(held.rejected)}: {why}",
            hint="the rest was accepted; the recording itself is complete",
            where={**held.rejected},
        )
    return exit_codes.OK


def _counts(by_signal: dict[str, int]) -> str:
    words = {"traces": "spans", "logs": "log records", "metrics": "metrics"}
    return (
        ", ".join(f"{count:,} {words[signal]}" for signal, count in by_signal.items() if count) or "nothing"
    )


def _taken_out(redacted: dict[str, int]) -> str:
    return f"; {sum(redacted.values()):,} secrets taken out" if redacted else ""


class _Progress:
    """A line on stderr now and then, when somebody looks."""

    def __init__(self) -> None:
        self._next = _STEP
        self._seen = sys.stderr.isatty()

    def at(self, records: int) -> None:
        if self._seen and records >= self._next:
            talk(f"observer: {records:,} records")
            self._next = records + _STEP
