# SPDX-License-Identifier: Apache-2.0
"""observer report: the logs of host and guest as one proven timeline."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from observer.cli.printing import talk
from observer.errors import IntegrityError, UsageError
from observer.evidence import load_hmac_key
from observer.timeline import GUEST_LOG, HOST_LOG, MasterReport, ReportOptions, chosen_logs, make_report
from observer.timeline.page import render_page
from observer.timeline.progress import ProgressLine
from observer.timeline.text import render_report, tell_report
from observer.timeline.view import read_view

__all__ = ["Report"]


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
            raise UsageError("--text and --json cannot both have stdout", hint="give --output for the JSON")
        host, guest = chosen_logs(args.host_log, args.guest_log)
        with tempfile.TemporaryDirectory(prefix="observer-report-") as folder:
            output = Path(args.output) if args.output else Path(folder) / "report.json"
            options = ReportOptions(host, guest, output, load_hmac_key(), verdict=not args.no_verdict)
            progress = ProgressLine()
            report = make_report(options, progress.tell)
            progress.done()
            self._show(args, report)
        for line in tell_report(report, args.output):
            talk(line)
        if not report.holds:
            state = report.head["integrity"]["state"]
            note = report.head["integrity"]["note"]
            raise IntegrityError(f"{state}: {note}", hint="the report was written all the same")
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
