# SPDX-License-Identifier: Apache-2.0
"""Measures the kernel report parser on a labelled set of kernel logs: type and title accuracy, false alarms, speed.

Run: `python benchmarks/diagnosis_corpus.py [DIRECTORY] [--misses] [--half train|holdout]`. The directory holds `N.txt` files with
`TITLE:`, `TYPE:` header lines, an empty line, a log, and perhaps a `REPORT:` section. Default: `OBSERVER_KERNEL_LOGS` or
`../shared/data/kernel-logs`. A peer, a list of 15 regular expressions of which the earliest match wins, scores 84.7 % on the
coarse type of the whole set and raises 5 false alarms on its 35 files without a report.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from observer.report.kernel import KernelReport, ReportCollector
from observer.report.sources.text import read_text

DEFAULT = Path(
    os.environ.get(
        "OBSERVER_KERNEL_LOGS", Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "kernel-logs"
    )
)


@dataclass(frozen=True)
class Case:
    """One labelled log."""

    name: str
    title: str
    type: str | None
    body: bytes
    alternatives: tuple[str, ...] = ()


def load_case(path: Path) -> Case:
    """Split a labelled file into its labels and its log."""
    lines = path.read_bytes().split(b"\n")
    index = next((i for i, line in enumerate(lines) if line and not line.startswith(b"#")), 0)
    header: dict[str, list[str]] = {}
    while index < len(lines) and (found := re.fullmatch(rb"(?:([A-Z_]+): ?|#)(.*)", lines[index])):
        index += 1
        if found[1] is None:
            continue
        header.setdefault(found[1].decode(), []).append(found[2].decode("utf-8", "replace").strip())
    body = b"\n".join(lines[index:])
    body = re.split(rb"^REPORT:\n", body, maxsplit=1, flags=re.M)[0]
    return Case(
        path.stem,
        header.get("TITLE", [""])[0],
        header.get("TYPE", [None])[0],
        body,
        tuple(header.get("ALT", ())),
    )


def coarse(kind: str | None) -> str:
    """The type up to the first dash for the sanitizers, else the whole type."""
    kind = kind or ""
    return kind.split("-")[0] if kind.split("-")[0] in ("KASAN", "KMSAN", "KFENCE", "KCSAN") else kind


def reports(body: bytes) -> list[KernelReport]:
    """Every report in a log, in the order of their heads."""
    collector = ReportCollector()
    found = [report for line in read_text(body.split(b"\n"), "log") for report in collector.feed(line)]
    found.extend(collector.close())
    return sorted(found, key=lambda report: report.head.number)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--misses", action="store_true", help="print each miss")
    parser.add_argument(
        "--half", choices=["train", "holdout"], help="only files whose number is, or is not, a multiple of 4"
    )
    arguments = parser.parse_args(argv)
    cases = [
        load_case(path) for path in sorted(arguments.directory.glob("*.txt"), key=lambda path: int(path.stem))
    ]
    if arguments.half:
        cases = [case for case in cases if (int(case.name) % 4 == 0) == (arguments.half == "train")]
    if not cases:
        print(f"no labelled logs in {arguments.directory}", file=sys.stderr)
        return 1
    return _measure(cases, misses=arguments.misses)


def _measure(cases: list[Case], *, misses: bool) -> int:
    titled = typed = exact = alarms = silent = 0
    lines = sum(case.body.count(b"\n") for case in cases)
    begun = time.perf_counter()
    for case in cases:
        found = reports(case.body)
        first = found[0] if found else None
        if not case.title:
            silent += 1
            alarms += first is not None
            if first and misses:
                print(f"{case.name:>5} ALARM {first.title}")
            continue
        titled += 1
        type_ok = first is not None and coarse(first.type) == coarse(case.type)
        title_ok = first is not None and first.title == case.title
        typed += type_ok
        exact += title_ok
        if misses and not (type_ok and title_ok):
            got = f"{first.type} | {first.title}" if first else "nothing"
            print(
                f"{case.name:>5} {'type ' if not type_ok else 'title'} want {case.type} | {case.title}\n{'':12}got  {got}"
            )
    seconds = time.perf_counter() - begun
    print(
        f"logs {len(cases)}  with a report {titled}  without {silent}  "
        f"lines {lines}  {seconds:.1f} s  {lines / seconds:,.0f} lines/s"
    )
    print(
        f"coarse type   {typed}/{titled}  {100 * typed / max(titled, 1):.1f} %   "
        "(a list of 15 expressions: 84.7 % of the whole set)"
    )
    print(f"exact title   {exact}/{titled}  {100 * exact / max(titled, 1):.1f} %")
    print(f"false alarms  {alarms}/{silent}   (a list of 15 expressions: 5/35 of the whole set)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
