# SPDX-License-Identifier: Apache-2.0
"""observer report: the logs of host and guest as one proven timeline."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from observer import clock
from observer.cli.printing import safe, talk
from observer.errors import IntegrityError, UsageError
from observer.evidence import load_hmac_key
from observer.timeline import MasterReport, ReportOptions, make_report
from observer.timeline.page import render_page
from observer.timeline.text import render_report
from observer.timeline.view import read_view

__all__ = ["GUEST_LOG", "HOST_LOG", "Report"]

GUEST_LOG = "/var/log/wsl-monitor/guest-events.log"
HOST_LOG = (
    r"C:\ProgramData\WslMonitor\host-events.log"
    if sys.platform == "win32"
    else "/mnt/c/ProgramData/WslMonitor/host-events.log"
)
_TICK_NS = 200_000_000


class Report:
    """Merge the logs of host and guest into one report: verdict, integrity, clocks, and every event in order.

    Reads both logs with their rotated files, recomputes every hash (and every signature when WSLMON_LOG_HMAC_KEY or
    WSLMON_LOG_HMAC_KEY_FILE names a key), corrects clocks without changing raw times, merges what one side relayed
    to the other, and writes one JSON object (docs/spec/master-report.md). Logs may be larger than memory.

    Exit status: 0 written and every log holds, 14 written and a log does not hold, 17 neither log is there.

    Examples:
      observer report --output report.json                       this machine's logs, at their usual places
      observer report --host-log host.log --guest-log guest.log --output report.json
      observer report --guest-log guest.log --html report.html   one offline page for people
      observer report --guest-log guest.log --text               the same as text
    """

    name: ClassVar[str] = "report"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument("--host-log", metavar="FILE", help=f"the host's log (default: {HOST_LOG})")
        parser.add_argument("--guest-log", metavar="FILE", help=f"the guest's log (default: {GUEST_LOG})")
        parser.add_argument("-o", "--output", metavar="FILE", help="write the JSON here, not to stdout")
        parser.add_argument("--html", metavar="FILE", help="also write one offline page")
        parser.add_argument(
            "--text", action="store_true", help="print the rendering for people on stdout, no JSON"
        )
        parser.add_argument("--json", action="store_true", help="print the JSON on stdout (the default)")
        parser.add_argument(
            "--no-verdict", action="store_true", help="merge only; do not weigh what happened"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Merge, write, tell."""
        if args.text and args.json:
            raise UsageError(
                "--text and --json cannot both have stdout", hint="give --output FILE for the JSON"
            )
        named = args.host_log is not None or args.guest_log is not None
        host = Path(args.host_log) if args.host_log else None if named else Path(HOST_LOG)
        guest = Path(args.guest_log) if args.guest_log else None if named else Path(GUEST_LOG)
        with tempfile.TemporaryDirectory(prefix="observer-report-") as folder:
            output = Path(args.output) if args.output else Path(folder) / "report.json"
            options = ReportOptions(host, guest, output, load_hmac_key(), verdict=not args.no_verdict)
            progress = _Progress()
            report = make_report(options, progress.tell)
            progress.done()
            self._show(args, report)
        _tell(report, args.output)
        if not report.holds:
            state = report.head["integrity"]["state"]
            raise IntegrityError(
                f"{state}: {report.head['integrity']['note']}", hint="the report was written all the same"
            )
        return 0

    def _show(self, args: argparse.Namespace, report: MasterReport) -> None:
        if args.html or args.text:
            view = read_view(report.output)
            if args.html:
                Path(args.html).write_text(render_page(view), encoding="utf-8")
            if args.text:
                sys.stdout.write(render_report(view))
                return
        if args.json or not (args.output or args.html):
            sys.stdout.flush()
            with report.output.open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer, 1 << 18)


def _tell(report: MasterReport, output: str | None) -> None:
    for side in report.sides:
        events = f"{side.survey.get('events', 0):>10,} events"
        talk(f"{side.name:5}  {side.state:13}  {events}  {safe(str(side.path))}: {safe(side.note)}")
    counts = report.head["counts"]
    verdict = report.head["verdict"]
    named = f"{verdict['verdict']} ({verdict['confidence']:.2f}), " if verdict else ""
    place = f" in {safe(output)}" if output else ""
    talk(
        f"{named}{counts['events']:,} events{place}, {counts['merged']:,} copies merged, {counts['malformed']:,} malformed"
    )


class _Progress:
    """One line on a terminal, rewritten; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = False
        self._last = 0
        self._stage = ""
        self._terminal = sys.stderr.isatty()

    def tell(self, stage: str, done: int) -> None:
        now = clock.monotonic_ns()
        if self._terminal and (now - self._last > _TICK_NS or stage != self._stage):
            self._last, self._stage, self._shown = now, stage, True
            sys.stderr.write(f"\r\x1b[K{stage}: {done:,} lines")
            sys.stderr.flush()

    def done(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
