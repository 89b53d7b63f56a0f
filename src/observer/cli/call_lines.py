# SPDX-License-Identifier: Apache-2.0
"""Writes calls one per line, as `strace` users know them, with the id by which summaries cite each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from rich.text import Text

from observer.cli.printing import stdout_console
from observer.model.safe_text import safe

__all__ = ["HEADING", "describe", "print_calls"]

HEADING: Final = f"{'ID':>8} {'SECONDS':>12} {'PID/TID':>13}  CALL = RESULT <SECONDS>"
_STYLES: Final = {"denied": "bold red", "failed": "red", "interrupted": "yellow"}


def describe(call: Mapping[str, Any], start_ns: int) -> str:
    """Return one call or delivered signal as a line, safe to print.

    Args:
        call: As the recording gives it.
        start_ns: CLOCK_MONOTONIC of the trace's start, ns; the line's time counts from it.
    """
    pid, tid = call.get("pid") or 0, call.get("tid") or 0
    thread = str(pid) if pid == tid else f"{pid}/{tid}"
    seconds = (int(call["start_ns"]) - start_ns) / 1e9
    return f"{call['id']:>8} {seconds:>12.6f} {thread:>13}  {safe(_action(call))}"


def _action(call: Mapping[str, Any]) -> str:
    if "signal" in call:
        sender = (
            f" from {call['sender_pid']} (uid {call.get('sender_uid')})" if call.get("sender_pid") else ""
        )
        return f"--- {call['signal']}{sender} ---"
    arguments = call.get("args") or ()
    texts = [
        item["text"] if isinstance(item, Mapping) else json.dumps(item, ensure_ascii=False)
        for item in arguments
    ]
    duration = call.get("duration_ns")
    taken = "" if duration is None else f" <{duration / 1e9:.6f}>"
    return f"{call['syscall']}({', '.join(texts)}) = {_result(call)}{taken}"


def _result(call: Mapping[str, Any]) -> str:
    if call.get("allowed") is False:
        return f"denied{': ' if call.get('reason') else ''}{call.get('reason') or ''}"
    if call.get("result_text") is not None:
        return str(call["result_text"])
    result = call.get("result")
    if call.get("errno"):
        return f"{'-1' if result is None else result} {call['errno']}"
    if call.get("outcome") == "no_result":
        return "?"
    return "ok" if result is None else str(result)


def print_calls(calls: Iterable[Mapping[str, Any]], start_ns: int, limit: int | None) -> tuple[int, bool]:
    """Print calls under a heading, at most `limit`; return how many, and whether there were more."""
    stream = iter(calls)
    console = stdout_console() if sys.stdout.isatty() else None
    printed = 0
    for call in islice(stream, limit):
        if printed == 0:
            sys.stdout.write(f"{HEADING}\n")
        line = describe(call, start_ns)
        if console is None:
            sys.stdout.write(f"{line}\n")
        else:
            console.print(Text(line, style=_STYLES.get(str(call.get("outcome")), "")), soft_wrap=True)
        printed += 1
    return printed, limit is not None and _any(stream)


def _any(stream: Iterator[object]) -> bool:
    return next(stream, None) is not None
