# SPDX-License-Identifier: Apache-2.0
"""Lines of text logs: `/dev/kmsg` records, `dmesg`, serial consoles and syslog files, told apart line by line.

Consoles interleave: one physical line may hold a login prompt and then a kernel record, so one line can yield several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from observer.report.sources.journal import entry_line
from observer.report.sources.line import LogLine, Origin
from observer.report.sources.stamps import mono_us, parse_rfc3164, parse_rfc3339
from observer.report.sources.wrapped import Wrapped, unwrap

__all__ = ["TextDecoder", "read_text"]

_KMSG = re.compile(r"(\d{1,10}),(\d{1,20}),(\d{1,20}),([^;]{0,200});(.*)", re.S)
_KMSG_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_CALLERS = (
    r" ?\[ {0,6}([TC]\d{1,10})\]",  # mainline, CONFIG_PRINTK_CALLER
    r" {0,2}\[ ?\d{1,3}: {0,16}[^\]\[]{1,32}: {0,6}\d{1,8}\]",  # the kernels of phones: [3:  kworker/3:1:  881]
    r" {0,2}\(\d{1,3}\)\[\d{1,8}:[^\]\[]{1,32}\]",  # (3)[881:kworker/3:1]
    r" c\d{1,3} {1,8}\d{1,8}(?= )",  # c3   881
)
_STAMP = re.compile(
    r"\[ {0,6}(\d{1,10})\.(\d{6})(?:\d{3})?(?:@\d{1,3}| <[ \d.]{1,16}>)?\](?:" + "|".join(_CALLERS) + ")? ?"
)
"""Time since the start, as `printk` and `dmesg` set it, and who prints."""
_RELATIVE = re.compile(r"\[ {0,6}\+(\d{1,6})\.(\d{6})\] ?")
_MINUTE = re.compile(r"\[([A-Z][a-z]{2}) {0,2}(\d{1,2}) (\d\d:\d\d)\] ?")
"""`dmesg -H`: the minute where a new one begins, else the distance to the line before."""
_DECODED = re.compile(
    r"(kern|user|mail|daemon|auth|syslog|lpr|news|local\d|cron|authpriv|ftp|uucp) *:(\w+) *: (?=\[)"
)
_PRIORITY = re.compile(r"<(\d{1,3})>")
_HUMAN = re.compile(r"\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})\] ?")
_ISO_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.,]\d{6}[+-]\d\d:?\d\d) (?=\S)")
_DMESG_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}[+-]\d\d:\d\d ")
"""`dmesg --time-format iso` sets off the fraction with a comma; syslog and journald with a point."""
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")
_MOVES = r"(?:\x1b\[[0-9;?]{0,16}[A-Za-z]|\x1b[()][0-9A-B]|\r)"
_EDGES = re.compile(rf"\A{_MOVES}+|{_MOVES}+\Z")
"""Movements of the cursor that a captured terminal put around a line; inside a line they are what somebody wrote."""
_RFC5424 = re.compile(
    r"1 (\S{10,40}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (?:-|\[.*?\]) ?(.*)", re.S
)
_TAG = r"(?P<tag>[A-Za-z0-9_.@()/+-]{1,100}(?: [A-Z]+:)?)(?:\[(?P<pid>\d+)\]|\[n/a\])?: (?P<text>.*)"
_RFC3164 = re.compile(
    r"(?:(?:\d{4} )?(?P<month>[^\W\d_]{3,10}\.?) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)(?:\.\d{1,6})?|"
    r"(?:[A-Z][a-z]{2} )?(?P<iso>\d{4}-\d\d-\d\d[T ][\d:.,]{8,20}(?:Z|[+-]\d\d:?\d\d)?)(?: [A-Z]{3,4})?|"
    r"(?P<unix>\d{9,10}\.\d{6}))"
    r"(?: (?P<host>[^\s:]{1,255}))?(?: (?:kern|user|daemon|syslog)\.[a-z]{2,7})? " + _TAG,
    re.S,
)
_BARE_TAG = re.compile(
    r"(?P<tag>kernel|(?:systemd[\w-]*|earlyoom|dockerd|containerd|sshd|CRON|init)(?=\[))(?:\[(?P<pid>\d+)\])?: (?P<text>.*)",
    re.S,
)
_FORWARDED = re.compile(r"(?P<tag>[A-Za-z][\w.@-]{1,63})\[(?P<pid>\d+)\]: (?P<text>.*)", re.S)
_KERNEL_OF_TASK = re.compile(
    r"(?:segfault at|bad frame|unhandled (?:signal|level|page fault)|general protection|vsyscall|\w+ exploit)"
)
"""What the kernel itself says of a task, as `name[pid]: ...`; else a stamped line of that form was written by the task."""
_GUEST_LOG = re.compile(r'.*\bGuestLog\b.*?text: \t?"{0,2}(\[ *\d+\.\d+\] .*?)\s*"{0,2}\s*$')
_MONOTONIC_HOST = re.compile(r"([A-Za-z0-9][\w.-]{0,62}) kernel: ")
_AFTER_HOST = re.compile(_TAG, re.S)
_MANAGERS = frozenset(
    [
        "systemd",
        "systemd-logind",
        "systemd-journald",
        "systemd-oomd",
        "systemd-shutdown",
        "systemd-sleep",
        "systemd-udevd",
        "systemd-coredump",
        "systemd-timesyncd",
        "systemd-fsck",
        "systemd-networkd",
        "systemd-resolved",
        "systemd-modules-load",
        "systemd-remount-fs",
    ]
)

_CONTINUED = " " * 12
"""`dmesg` indents the further lines of one record to the width of its stamp."""
_INTERLEAVE_US = 5_000_000
"""Two records share a physical line only when they were printed together; a stamp that is further off is quoted text."""


class TextDecoder:
    """Turns raw text lines into `LogLine`s, remembering what kind of stream it has seen so far."""

    def __init__(self, source: str) -> None:
        """Start on a stream with the label `source`."""
        self._source = source
        self._stamped = False
        self._stamped_syslog = False
        self._monotonic_host = ""
        self._after_kernel = False
        self._last_mono: int | None = None
        self._wall: int | None = None

    def decode(self, number: int, raw: bytes) -> Iterator[LogLine]:
        """Yield the record or records that one physical line holds; never raises on any bytes."""
        text = raw.decode("utf-8", "replace")
        if "\x1b" in text or "\r" in text or "\xa0" in text:
            text = _EDGES.sub("", _COLOUR.sub("", text)).replace("\xa0", " ")
        found = _KMSG.fullmatch(text)
        if found:
            self._stamped = True
            yield self._kmsg(number, raw, found)
        elif _DMESG_ISO.match(text):
            yield from self._console(number, raw, text)
        elif (inside := unwrap(text)) is not None:
            yield from self._unwrapped(number, raw, inside)
        elif (found := _RFC3164.fullmatch(text)) or (
            text.startswith("<") and (found := _strip_priority(text, _RFC3164))
        ):
            self._stamped = True
            yield self._syslog(number, raw, found)
        elif (found := _RFC5424.fullmatch(text)) or (found := _strip_priority(text, _RFC5424)):
            self._stamped = True
            yield self._rfc5424(number, raw, found)
        elif found := _BARE_TAG.fullmatch(text):
            yield self._tagged(number, raw, found["tag"], found["pid"], text=found["text"], wall=None)
        elif found := _GUEST_LOG.match(text):
            yield from self._console(number, raw, found[1])
        else:
            yield from self._console(number, raw, text)

    def _unwrapped(self, number: int, raw: bytes, inside: Wrapped) -> Iterator[LogLine]:
        if inside.fields:
            yield replace(entry_line(number, raw, inside.fields, self._source), wall_us=inside.wall_us)
        elif inside.tag:
            pid = None if inside.pid == "0" else inside.pid
            yield self._tagged(number, raw, inside.tag, pid, text=inside.text, wall=inside.wall_us)
        else:
            self._stamped = True  # of what has no stamp of its own, nobody says that the kernel wrote it
            for text in inside.text.splitlines() or [""]:
                for line in self._console(number, raw, text):
                    yield line if line.wall_us is not None else replace(line, wall_us=inside.wall_us)

    def _kmsg(self, number: int, raw: bytes, found: re.Match[str]) -> LogLine:
        level = int(found[1])
        text = _KMSG_ESCAPE.sub(lambda hit: chr(int(hit[1], 16)), found[5])
        caller = re.search(r"caller=([TC]\d+)", found[4])
        return LogLine(
            number=number,
            raw=raw,
            text=text,
            origin=Origin.KERNEL if level >> 3 == 0 else Origin.USER,
            source=self._source,
            mono_us=int(found[3]),
            context=caller[1] if caller else "",
            priority=level & 7,
            fields={"kmsg_seq": found[2]},
        )

    def _syslog(self, number: int, raw: bytes, found: re.Match[str]) -> LogLine:
        if found["unix"]:
            wall: int | None = mono_us(*found["unix"].split("."))
        elif found["iso"]:
            wall = parse_rfc3339(found["iso"])
        else:
            wall = parse_rfc3164(found["month"], found["day"], found["clock"])
        return self._tagged(number, raw, found["tag"], found["pid"], text=found["text"], wall=wall)

    def _rfc5424(self, number: int, raw: bytes, found: re.Match[str]) -> LogLine:
        pid = None if found[4] == "-" else found[4]
        return self._tagged(
            number, raw, found[3], pid, text=found[6].lstrip("\ufeff"), wall=parse_rfc3339(found[1])
        )

    def _tagged(
        self, number: int, raw: bytes, tag: str, pid: str | None, *, text: str, wall: int | None
    ) -> LogLine:
        ident = tag.rsplit(" ", 1)[-1].rstrip(":")
        stamp = _STAMP.match(text) if ident == "kernel" and not pid else None
        mono = mono_us(stamp[1], stamp[2]) if stamp else None
        return LogLine(
            number=number,
            raw=raw,
            text=text[stamp.end() :] if stamp else text,
            origin=self._tag_origin(ident, pid, stamped=stamp is not None),
            source=self._source,
            ident=ident,
            mono_us=mono,
            wall_us=wall,
            context=(stamp[3] or "") if stamp else "",
        )

    def _tag_origin(self, ident: str, pid: str | None, *, stamped: bool) -> Origin:
        """A syslog tag is a claim: the kernel has no pid, and stamps either all of its lines or none of them."""
        if ident == "kernel" and not pid:
            self._stamped_syslog = self._stamped_syslog or stamped
            return Origin.KERNEL if stamped or not self._stamped_syslog else Origin.USER
        if ident in _MANAGERS and not (ident == "systemd" and pid not in (None, "1")):
            return Origin.SYSTEMD  # a service manager with another pid is a user's own
        return Origin.USER

    def _console(self, number: int, raw: bytes, text: str) -> Iterator[LogLine]:
        level, text = _leading_priority(text)
        origin = Origin.KERNEL if level is None or level >> 3 == 0 else Origin.USER
        start, stamp = 0, _first_stamp(text)
        if stamp is None or stamp.start() > 0:
            head = text if stamp is None else text[: stamp.start()]
            yield from self._unstamped(number, raw, head, level, origin)
        while stamp is not None:
            self._stamped = True
            mono = mono_us(stamp[1], stamp[2])
            start, following = stamp.end(), _first_stamp(text, stamp.end())
            if following and not mono <= mono_us(following[1], following[2]) <= mono + _INTERLEAVE_US:
                following = None
            body = text[start:] if following is None else text[start : following.start()]
            line = LogLine(
                number,
                raw,
                body,
                origin,
                self._source,
                mono_us=mono,
                context=stamp[3] or "",
                priority=_severity(level),
            )
            line = self._from_host(line)
            self._after_kernel, self._last_mono = line.origin is Origin.KERNEL, mono
            yield line
            stamp = following

    def _from_host(self, line: LogLine) -> LogLine:
        """`journalctl -o short-monotonic` prints `[stamp] host tag: text`; its first kernel line gives the host away."""
        if not self._monotonic_host and (found := _MONOTONIC_HOST.match(line.text)):
            self._monotonic_host = found[1]
        if not self._monotonic_host or not line.text.startswith(f"{self._monotonic_host} "):
            return self._forwarded(line)
        tagged = _AFTER_HOST.fullmatch(line.text, len(self._monotonic_host) + 1)
        if tagged is None:
            return replace(line, origin=Origin.USER)
        ident = tagged["tag"].rstrip(":")
        origin = self._tag_origin(ident, tagged["pid"], stamped=True)
        return replace(line, text=tagged["text"], origin=origin, ident=ident, context="")

    def _forwarded(self, line: LogLine) -> LogLine:
        """A stamped line that a process wrote to the kernel's log: `[stamp] systemd[1]: text`."""
        found = _FORWARDED.fullmatch(line.text) if "]: " in line.text else None
        if found is None or _KERNEL_OF_TASK.match(found["text"]):
            return line
        origin = self._tag_origin(found["tag"], found["pid"], stamped=True)
        return replace(line, text=found["text"], origin=origin, ident=found["tag"], context="")

    def _unstamped(
        self, number: int, raw: bytes, text: str, level: int | None, origin: Origin
    ) -> Iterator[LogLine]:
        human = _HUMAN.match(text) or _ISO_STAMP.match(text)
        if (stamp := _RELATIVE.match(text) or _MINUTE.match(text)) and level is None:
            self._stamped, self._wall = True, _from_minute(stamp, self._wall)
            yield LogLine(number, raw, text[stamp.end() :], Origin.KERNEL, self._source, wall_us=self._wall)
        elif human:
            wall = (
                parse_rfc3164(human[1], human[2], human[3]) if human.re is _HUMAN else parse_rfc3339(human[1])
            )
            self._stamped = True
            yield LogLine(
                number,
                raw,
                text[human.end() :],
                origin,
                self._source,
                wall_us=wall,
                priority=_severity(level),
            )
        elif text.startswith(_CONTINUED) and self._after_kernel:
            yield LogLine(number, raw, text.strip(), Origin.KERNEL, self._source, mono_us=self._last_mono)
        elif text.strip():
            self._after_kernel = False
            said = origin if level is not None or not self._stamped else Origin.CONSOLE
            yield LogLine(number, raw, text, said, self._source, priority=_severity(level))


def read_text(lines: Iterable[bytes], source: str) -> Iterator[LogLine]:
    """Decode the raw lines of a text log; `source` labels every line that comes out."""
    decoder = TextDecoder(source)
    for number, raw in enumerate(lines, 1):
        yield from decoder.decode(number, raw)


def _strip_priority(text: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    found = _PRIORITY.match(text)
    return pattern.fullmatch(text, found.end()) if found else None


def _leading_priority(text: str) -> tuple[int | None, str]:
    """Split off `<3>` or `kern  :err   : ` as `dmesg -r` and `dmesg -x` print them."""
    found = _PRIORITY.match(text)
    if found:
        return int(found[1]), text[found.end() :]
    found = _DECODED.match(text)
    if found:
        return (0 if found[1] == "kern" else 8), text[found.end() :]
    return None, text


def _from_minute(stamp: re.Match[str], last: int | None) -> int | None:
    """The wall clock of a line of `dmesg -H`."""
    if stamp.re is _MINUTE:
        return parse_rfc3164(stamp[1], stamp[2], f"{stamp[3]}:00")
    return None if last is None else last + mono_us(stamp[1], stamp[2])


def _severity(level: int | None) -> int | None:
    return None if level is None else level & 7


def _first_stamp(text: str, start: int = 0) -> re.Match[str] | None:
    """The next kernel stamp at or after `start` that is not inside a quoted string."""
    for found in _STAMP.finditer(text, start):
        if text.count('"', start, found.start()) % 2 == 0:
            return found
    return None
