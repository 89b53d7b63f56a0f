# SPDX-License-Identifier: Apache-2.0
"""observer summary: what a recording shows, in counted facts and supported findings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import ClassVar

from observer.cli.printing import print_json, safe
from observer.cli.times import show_span
from observer.trace import KeyEvent, LlmSummary, Recording, TraceStore, summarise

__all__ = ["Summary"]

_IDS_SHOWN = 8


class Summary:
    """Say what a recording shows: counts, key events, integrity, and risks with the records that support them.

    Deterministic and made by no model. The recording is verified first; one whose evidence does not hold is not
    summed up (exit status 14). Ids such as s17 and e4 name records: 'observer show REC --id s17' shows one.

    Examples:
      observer summary last
      observer summary 5d69 --json      everything, for programs and language models
    """

    name: ClassVar[str] = "summary"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument(
            "recording", metavar="REC", help="a recording: path, first letters of its id, or 'last'"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Sum up and print."""
        summary = summarise(Recording(TraceStore().find(args.recording)))
        if args.json:
            print_json("observer.summary/1", "summary", summary.to_dict())
        else:
            sys.stdout.writelines(f"{line}\n" for line in _tell(summary))
        return 0


def _tell(summary: LlmSummary) -> Iterator[str]:
    outcomes = summary.outcomes
    others = [
        f"{outcomes[word]:,} {word.replace('_', ' ')}"
        for word in ("interrupted", "no_result")
        if outcomes.get(word)
    ]
    yield f"trace      {summary.trace_id}, {safe(summary.status)}"
    if summary.container_id:
        yield f"container  {summary.container_id}"
    if summary.plugin_id:
        yield f"plugin     {summary.plugin_id}"
    yield f"identity   {safe(summary.identity)}"
    yield f"duration   {show_span(summary.duration_ns)}"
    yield (
        f"syscalls   {summary.syscall_count:,}: {summary.allowed_syscalls:,} allowed, {summary.denied_syscalls:,} denied; "
        f"{summary.failed_syscalls:,} failed{''.join(f', {text}' for text in others)}"
    )
    if summary.top_syscalls:
        yield f"most       {', '.join(f'{safe(name)} {count:,}' for name, count in summary.top_syscalls[:6])}"
    yield f"integrity  {safe(summary.integrity_assessment)}"
    if summary.dna is not None:
        yield f"dna        {summary.dna.rolling}"
        yield (
            f"           entropy {summary.dna.syscall_entropy_bits:.3f} bits, of pairs "
            f"{summary.dna.bigram_entropy_bits:.3f} bits, {len(summary.dna.threads):,} threads"
        )
    yield ""
    yield "key events"
    yield from (f"  {_cited(event)}" for event in summary.key_events)
    yield ""
    yield "risk factors" if summary.risk_factors else "risk factors: none found"
    for risk in summary.risk_factors:
        yield f"  {risk.severity:<8} {_cited(risk)}"


def _cited(event: KeyEvent) -> str:
    shown = event.record_ids[:_IDS_SHOWN]
    more = event.support - len(shown)
    ids = " ".join(shown) + (f" and {more:,} more" if shown and more > 0 else "")
    return f"{safe(event.text)}{f'  [{ids}]' if ids else ''}"
