# SPDX-License-Identifier: Apache-2.0
"""The line that every reader yields, and the words for who may have written it."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["EMPTY", "LogLine", "Origin"]

EMPTY: Mapping[str, str] = {}


class Origin(enum.StrEnum):
    """Who wrote a line, as far as the transport vouches for it."""

    KERNEL = "kernel"
    """The kernel itself: ring buffer facility 0, journald transport `kernel`, a stamped console line."""
    SYSTEMD = "systemd"
    """The service manager or one of its own daemons, vouched for by journald or by tag."""
    USER = "user"
    """Any other process; such text proves only that the process wrote it."""
    CONSOLE = "console"
    """A console line without a kernel stamp: a kernel continuation or a user-space print, undecided."""
    HOST = "host"
    """A Windows event record of the host."""
    AGENT = "agent"
    """What an agent of ours saw itself and sealed: counters, senders of signals, how its last run ended."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record of a log.

    Attributes:
        number: Position in the source: line number (1-based) for text, entry or record number otherwise.
        raw: The bytes as they stood in the source, without the line end.
        text: The message alone, decoded as UTF-8 with replacement.
        origin: Who wrote it.
        source: Label of the source, such as `kmsg:dmesg.txt`.
        ident: Syslog identifier, unit or event provider; empty where there is none.
        mono_us: Microseconds of the boot clock, or None.
        wall_us: Microseconds since 1970 UTC, or None. Year and zone are guessed for RFC 3164 times.
        boot: Boot id where the source names it, else empty.
        context: Kernel printing context such as `T123` or `C0`, else empty.
        priority: Syslog severity 0 (emerg) to 7 (debug), or None.
        fields: Further named values (journal fields, event data).
        paired: Both clocks were read at one moment, so that a step of one shows against the other.
    """

    number: int
    raw: bytes
    text: str
    origin: Origin
    source: str
    ident: str = ""
    mono_us: int | None = None
    wall_us: int | None = None
    boot: str = ""
    context: str = ""
    priority: int | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    paired: bool = False

    @property
    def sha256(self) -> str:
        """SHA-256 of `raw`, 64 lower-case hexadecimal digits; computed when asked for."""
        return hashlib.sha256(self.raw).hexdigest()
