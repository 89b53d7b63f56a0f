# SPDX-License-Identifier: Apache-2.0
"""observer report: the logs of host and guest as one proven timeline."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import ClassVar

from observer.cli.printing import talk
from observer.errors import UsageError
from observer.evidence import load_hmac_key
from observer.timeline import GUEST_LOG, HOST_LOG, ReportOptions, chosen_logs, make_report
from observer.timeline.progress import ProgressLine
from observer.timeline.publish import publish
from observer.timeline.text import tell_report

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
        parser.add_argument("--text", action="store_true", help="print it as text for people, not as JSON")
        parser.add_argument("--json", action="store_true", help="print the JSON on stdout (the default)")
        parser.add_argument("--no-verdict", action="store_true", help="do not weigh what happened")

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
            wanted = args.json or not (args.output or args.html)
            publish(report, html=args.html, text=args.text, document=wanted)
        for line in tell_report(report, args.output):
            talk(line)
        report.insist()
        return 0
