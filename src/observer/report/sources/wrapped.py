# SPDX-License-Identifier: Apache-2.0
"""What others put around a line of a log: loggers of serial consoles, container engines, collectors of logs, `logcat`.

The words inside are worth what a bare console's are: a kernel stamp makes them the kernel's, and without one nobody vouches for
them. Where the wrapper itself says who wrote the line, that is the speaker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from observer.report.sources.stamps import parse_rfc3164, parse_rfc3339

__all__ = ["Wrapped", "unwrap"]


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The inside of a line.

    Attributes:
        text: What was wrapped; may hold line ends.
        wall_us: When, by the wrapper; microseconds since 1970 UTC, or None.
        tag: Who wrote it, where the wrapper says so; else empty.
        pid: The writer's process, where the wrapper says so.
        fields: Fields of a journal entry that was passed on as JSON; else empty.
    """

    text: str
    wall_us: int | None = None
    tag: str = ""
    pid: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


_TEXTS = (
    "log",
    "message",
    "MESSAGE",
    "msg",
    "textPayload",
    "line",
    "body",
    "text",
    "event",
    "Output",
    "contents",
)
_TIMES = ("time", "timestamp", "@timestamp", "ts", "receiveTimestamp", "__REALTIME_TIMESTAMP")
_JOURNAL = ("_TRANSPORT", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_COMM")
_MAX_JSON = 1 << 18
_CONSOLE = re.compile(
    r"(?:(?P<iso>\d{4}-\d\d-\d\d[T ][\d:.,]{8,20} ?(?:Z|[+-]\d\d:?\d\d)?)|"
    r"(?:\w{3} )?(?P<month>\w{3}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)|"
    r"\d\d:\d\d:\d\d)[\d.,]{0,12} (?:console|serial|uart|ttyS\d+|ttyAMA\d+|hvc\d+|com\d)(?:\d+)?: (?P<text>.*)",
    re.S | re.I,
)
"""A console server's line. It names no host, and no process: with either it would be a program's tag."""
_CRI = re.compile(
    r"(?P<iso>\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) [FP] (?P<text>.*)", re.S
)
_LOGCAT = re.compile(
    r"(?:\d{4}-)?(?P<month>\d\d)-(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d)\.\d{3,6} +(?:[a-z]\w* +)?(?P<pid>\d+) +\d+ [VDIWEFA] "
    r"(?P<tag>[^:]{0,64}?) *: (?P<text>.*)",
    re.S,
)
_CLOUD_CONSOLE = re.compile(r'\s*"(?:Output|contents)": (?P<said>"(?:[^"\\]|\\.)*"),?\s*', re.S)
"""A whole console in one string of a cloud's answer, spread over lines."""
_LOGCAT_BRIEF = re.compile(r"[VDIWEFA]/(?P<tag>[^(]{0,64}?) *\( *(?P<pid>\d+)\): (?P<text>.*)", re.S)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def unwrap(text: str) -> Wrapped | None:
    """Take a line out of what was put around it; None where nothing was."""
    if text.startswith("{"):
        return _from_json(text)
    if text.startswith("data: {"):
        return _from_json(text[6:])
    if text.lstrip().startswith(('"Output"', '"contents"')) and (found := _CLOUD_CONSOLE.fullmatch(text)):
        return Wrapped(str(json.loads(found["said"], strict=False)).rstrip("\r\n"))
    if found := _CONSOLE.fullmatch(text):
        return Wrapped(found["text"], _moment(found))
    if found := _CRI.fullmatch(text):
        return Wrapped(found["text"], parse_rfc3339(found["iso"]))
    if found := _LOGCAT.fullmatch(text):
        month = _MONTHS[min(max(int(found["month"]), 1), 12) - 1]
        wall = parse_rfc3164(month, found["day"], found["clock"])
        return Wrapped(found["text"], wall, found["tag"].strip() or "kernel", found["pid"])
    if found := _LOGCAT_BRIEF.fullmatch(text):
        return Wrapped(found["text"], None, found["tag"].strip() or "kernel", found["pid"])
    return None


def _moment(found: re.Match[str]) -> int | None:
    if found["iso"]:
        return parse_rfc3339(found["iso"])
    if found["month"]:
        return parse_rfc3164(found["month"], found["day"], found["clock"])
    return None


def _from_json(text: str) -> Wrapped | None:
    if len(text) > _MAX_JSON:
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    inner = entry.get("jsonPayload") or entry.get("fields") or entry.get("_source")
    if isinstance(inner, dict):
        entry = {**entry, **inner}
    said = next((entry[key] for key in _TEXTS if isinstance(entry.get(key), str)), None)
    if said is None:
        return None
    wall = next((_json_time(entry[key]) for key in _TIMES if key in entry), None)
    fields = {}
    if "MESSAGE" in entry and any(key in entry for key in _JOURNAL):
        fields = {
            key: str(value)
            for key, value in entry.items()
            if key.isupper() and not isinstance(value, dict | list)
        }
    return Wrapped(said.rstrip("\r\n"), wall, fields=fields)


def _json_time(value: Any) -> int | None:
    """A time as collectors write it: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds."""
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        return parse_rfc3339(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    for scale in (1e6, 1e3, 1.0, 1e-3):
        if 1e14 < number * scale < 1e16:
            return int(number * scale)
    return None
