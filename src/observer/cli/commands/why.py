# SPDX-License-Identifier: Apache-2.0
"""observer why: what ended a machine, with the records that say so."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import ClassVar

from observer.cli.printing import print_json
from observer.errors import UsageError
from observer.evidence import load_hmac_key
from observer.report.render import render_text
from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain, own_logs, with_rule_files
from observer.timeline.page import render_verdict_page
from observer.timeline.progress import ProgressLine
from observer.timeline.publish import write_page

__all__ = ["Why"]

UNDECIDED = 3
"""Exit status when the evidence does not decide; docs/spec/verdicts.md §4."""

_OPTIONS = {
    SourceKind.KMSG: "records of /dev/kmsg, or a serial console",
    SourceKind.DMESG: "output of dmesg, in any of its forms",
    SourceKind.JOURNAL: "journal: export, JSON, .journal file or directory",
    SourceKind.SYSLOG: "syslog, messages or kern.log",
    SourceKind.EVTX: "Windows event log: .evtx, XML or JSON lines",
    SourceKind.LOG: "an agent's sealed log, with its rotated files; it is verified first",
}


class Why:
    """Say what ended a machine, with every record that says so, or that the evidence does not decide.

    Give the logs of the machine, of its host, or both; each option may be given more than once, and - is standard
    input. Of several boots the one that died is judged. Without any, the agent's log and the journal of this machine
    are read and the boot before this one is judged. The answer is a documented name (docs/spec/verdicts.md),
    the causal chain in order, what was considered and why it lost, and what evidence is missing.

    Exit status: 0 with a verdict, 3 when the evidence does not decide.

    Examples:
      observer why                                the previous boot of this machine
      observer why --kmsg console.log             one log of one machine
      observer why --journal DIR                  a journal saved from another machine
      observer why --syslog syslog --evtx System.evtx --json
      observer why --log guest-events.log --log host-events.log
      journalctl -b -1 -o export | observer why --journal -
      dmesg | observer why -                      a log on standard input
    """

    name: ClassVar[str] = "why"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        for kind, text in _OPTIONS.items():
            parser.add_argument(f"--{kind.value}", action="append", default=[], metavar="FILE", help=text)
        parser.add_argument("files", nargs="*", metavar="FILE", help="a log whose kind is found out, or -")
        parser.add_argument(
            "--boot", type=int, metavar="N", help="judge boot N: 0 the last, -1 the one before"
        )
        parser.add_argument(
            "--rules", action="append", default=[], type=Path, metavar="FILE", help="a further rule file"
        )
        parser.add_argument("--html", metavar="FILE", help="also write one offline page for people")
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Read, weigh, print; 0 with a verdict, 3 without."""
        sources = [SourceSpec(kind, path) for kind in _OPTIONS for path in getattr(args, kind.value)]
        sources += [SourceSpec(SourceKind.PLAIN, path) for path in args.files]
        if sum(str(spec.path) == "-" for spec in sources) > 1:
            raise UsageError("standard input can be given once", hint="write one of the logs to a file")
        if (args.boot or 0) > 0:
            raise UsageError(f"there is no boot {args.boot}", hint="0 is the last, -1 the one before")
        if not sources:
            sources, args.boot = own_logs(), -1 if args.boot is None else args.boot
        book = with_rule_files(args.rules) if args.rules else None
        line = ProgressLine()
        try:
            diagnosis = explain(sources, book=book, boot=args.boot, key=load_hmac_key(), progress=line.tell)
        finally:
            line.done()
        if args.html:
            write_page(Path(args.html), render_verdict_page(diagnosis))
        if args.json:
            print_json("observer.why/1", "diagnosis", diagnosis.to_dict())
        else:
            sys.stdout.write(render_text(diagnosis))
        return 0 if diagnosis.decided else UNDECIDED
