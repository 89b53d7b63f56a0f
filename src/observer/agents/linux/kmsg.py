# SPDX-License-Identifier: Apache-2.0
"""Kernel Message Tap: every record of /dev/kmsg, header parsed, as soon as the kernel has printed it.

Needs CAP_SYSLOG, or kernel.dmesg_restrict=0, and the device. Costs nothing while the kernel is silent. Severity is the record's
level, never a word of its text. What an earlier run of this boot has seen is not told again; what the kernel had overwritten
before it could be read is counted by the gap in its numbers. Sources: Documentation/ABI/testing/dev-kmsg, syslog(2).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from observer.agents.collector import SYSLOG_SEVERITIES, Collector, Context, Emission, FeedLoss, Observation
from observer.errors import CapabilityError
from observer.model.event_record import MAX_MESSAGE_CHARS, EventRecord, Observed

__all__ = ["KernelMessageTap", "KernelRecord", "parse_record"]

_SOURCE: Final = "kernel.kmsg"
_READ_BYTES: Final = (
    16384  # a read with less room than the record fails with EINVAL; records are at most about 8 KiB
)
_WAIT_S: Final = 5.0
_FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6"),
    "local7",
)
_ESCAPE: Final = re.compile(rb"\\x([0-9a-fA-F]{2})")


class KernelRecord(NamedTuple):
    """One record: syslog level 0 to 7, facility, the kernel's number, µs since boot, flags, caller, text, further fields."""

    level: int
    facility: str
    sequence: int
    time_us: int
    flags: str
    caller: str | None
    text: bytes
    fields: dict[str, str]


def parse_record(data: bytes) -> KernelRecord:
    """Parse one record as read from /dev/kmsg.

    Raises:
        ValueError: Its header is none.
    """
    header, separator, rest = data.partition(b";")
    parts = header.decode("ascii").split(",")
    if not separator or len(parts) < 3:
        raise ValueError(f"no kmsg header: {header[:60]!r}")
    priority, lines = int(parts[0]), rest.rstrip(b"\n").split(b"\n ")
    facility = priority >> 3
    caller = next((part[7:] for part in parts[4:] if part.startswith("caller=")), None)
    fields = (line.partition(b"=") for line in lines[1:])
    return KernelRecord(
        priority & 7,
        _FACILITIES[facility] if facility < len(_FACILITIES) else str(facility),
        int(parts[1]),
        int(parts[2]),
        parts[3] if len(parts) > 3 else "-",
        caller,
        _unescape(lines[0]),
        {
            name.decode("ascii", "replace"): _unescape(value).decode("utf-8", "replace")
            for name, _, value in fields
        },
    )


def _unescape(text: bytes) -> bytes:
    """Undo the kernel's escapes of bytes it does not print (0x5c among them)."""
    if b"\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text)


class KernelMessageTap(Collector):
    """Reads /dev/kmsg from where the last run of this boot stopped."""

    name: ClassVar[str] = "kernel"
    event_type: ClassVar[str] = "kernel.message"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._least = self.settings.count("least_priority")
        seen = context.positions.get(self.name)
        same_boot = isinstance(seen, list) and len(seen) == 2 and seen[0] == context.boot_id
        self._next = int(seen[1]) + 1 if same_boot else 0
        self._handle = -1

    def check_compatible(self) -> None:
        """Open the device, where that is permitted."""
        try:
            self._handle = os.open(self.path("/dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise CapabilityError(
                f"/dev/kmsg cannot be read: {error.strerror}",
                hint="give the agent CAP_SYSLOG and the device, and no ProtectKernelLogs=",
            ) from error

    def events(self) -> Iterator[Emission]:
        """Yield each record; wait in poll(2) while there is none."""
        while not self.context.halt.is_set():
            data = self._read()
            if data is None:
                yield None
                self.wait_for(self._handle, _WAIT_S)
            elif data:
                yield from self._take(data)

    def _read(self) -> bytes | None:
        """Return a record, nothing when one was overwritten, None when there is none now."""
        try:
            return os.read(self._handle, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EPIPE:
                return b""  # overwritten under us; the gap in the numbers says how many
            raise

    def _take(self, data: bytes) -> Iterator[Emission]:
        record = parse_record(data)
        if record.sequence < self._next:
            return
        if record.sequence > self._next and self._next:
            yield FeedLoss(_SOURCE, record.sequence - self._next)
        self._next = record.sequence + 1
        if record.level <= self._least:
            yield self._observe(record)

    def _observe(self, record: KernelRecord) -> Observation:
        clocks = self.context.clocks()
        time_ns = record.time_us * 1000
        text = record.text.decode("utf-8", "replace")
        return Observation(
            "kernel.message",
            _SOURCE,
            "Kernel",
            SYSLOG_SEVERITIES[record.level],
            text,
            {
                "level": str(record.level),
                "facility": record.facility,
                "kmsg_sequence": str(record.sequence),
                "caller": record.caller,
                "device": record.fields.get("DEVICE"),
                "subsystem": record.fields.get("SUBSYSTEM"),
                "continuation": record.flags if record.flags in {"c", "+"} else None,
                "truncated": str(len(text) - MAX_MESSAGE_CHARS) if len(text) > MAX_MESSAGE_CHARS else None,
            },
            Observed(max(0, clocks.wall_ns - clocks.monotonic_ns + time_ns), time_ns, "kmsg"),
            position=(self.name, [self.context.boot_id, record.sequence]),
        )

    @classmethod
    def position_of(cls, record: EventRecord) -> object:
        """Boot and number of the record."""
        return [record.get("boot_id"), int(record.get("kmsg_sequence", "0"))]

    def close(self) -> None:
        """Close the device."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
