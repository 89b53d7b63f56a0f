# SPDX-License-Identifier: Apache-2.0
"""What a collector is: one feed, read in a thread of its own, that yields observations and writes nothing.

A collector never touches files of the agent, never catches what it does not understand, and never ends on its own: the
supervisor restarts it. Three things can come out of `events`: an observation, a count of what its feed lost, or None, which
says that nothing happened and the collector is alive.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from observer.agents.host import read_clocks
from observer.agents.positions import Positions
from observer.agents.settings import Section
from observer.model.event import EventSeverity
from observer.model.event_record import Clocks, EventRecord, Observed

__all__ = [
    "Collector",
    "Context",
    "Emission",
    "FeedLoss",
    "Observation",
    "PeriodicCollector",
    "SYSLOG_SEVERITIES",
]

_CRITICAL, _INFO = EventSeverity.CRITICAL, EventSeverity.INFO
# Index: syslog priority, 0 emerg to 7 debug; source RFC 5424 section 6.2.1.
SYSLOG_SEVERITIES = (
    *(_CRITICAL, _CRITICAL, _CRITICAL, EventSeverity.ERROR),
    *(EventSeverity.WARNING, _INFO, _INFO, EventSeverity.DEBUG),
)


@dataclass(frozen=True, slots=True)
class Observation:
    """Something a collector saw; the pipeline makes an `EventRecord` of it.

    Attributes:
        event_type: A type of `model/event_types/`.
        source: Feed; sequences count within it.
        category: Family.
        severity: How much it matters.
        message: Sentence of ours, or the feed's text.
        attributes: Facts; None values are left out.
        observed: When it happened, of a feed that tells.
        boot_id: Boot in which it happened; empty means this one.
        position: Key and value for `Positions`, set once the event is sealed.
    """

    event_type: str
    source: str
    category: str
    severity: EventSeverity
    message: str
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    observed: Observed | None = None
    boot_id: str = ""
    position: tuple[str, object] | None = None


@dataclass(frozen=True, slots=True)
class FeedLoss:
    """A feed had overwritten `count` of its entries before they could be read, or a collector skipped them."""

    source: str
    count: int
    reason: str = "feed_overrun"


Emission = Observation | FeedLoss | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a collector is given.

    Attributes:
        settings: Its section of the configuration.
        positions: Where it got to.
        halt: Set when it is to end.
        root: Directory under which `proc`, `sys` and the like are found; another one in tests.
        clocks: Reads the clocks; another one in tests.
        boot_id: This boot.
    """

    settings: Section
    positions: Positions
    halt: threading.Event = field(default_factory=threading.Event)
    root: Path = Path("/")
    clocks: Callable[[], Clocks] = read_clocks
    boot_id: str = ""


class Collector(ABC):
    """Base of all collectors."""

    name: ClassVar[str]
    event_type: ClassVar[str] = ""  # of the records that `position_of` reads
    period_key: ClassVar[str] = ""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.settings = context.settings
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll: select.poll | None = None

    @property
    def period_s(self) -> float:
        """Seconds within which a healthy collector yields something."""
        return self.settings.number(self.period_key) if self.period_key else 5.0

    def check_compatible(self) -> None:  # noqa: B027  most feeds are always there
        """Raise CapabilityError when the feed is not there; it is asked again later."""

    @abstractmethod
    def events(self) -> Iterator[Emission]:
        """Yield what is seen until halted."""

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Release what is held; called once more than needed does no harm."""

    def wake(self) -> None:
        """End a `wait_for`; called from another thread, after `halt` was set."""
        waker = self._waker
        if waker >= 0:
            with contextlib.suppress(OSError):
                os.eventfd_write(waker, 1)

    def release(self) -> None:
        """Close everything; called by the thread that ran `events`, once it has ended."""
        waker, self._waker = self._waker, -1
        self.close()
        if waker >= 0:
            os.close(waker)

    @classmethod
    def position_of(cls, record: EventRecord) -> object:
        """Return the position that stands behind a record found in the ring file, or None when it tells none."""
        del record
        return None

    def wait_for(self, handle: int, seconds: float) -> bool:
        """Wait until a descriptor can be read; returns False when it cannot, or the collector is to end."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(handle, select.POLLIN)
            self._poll.register(self._waker, select.POLLIN)
        return any(ready == handle for ready, _ in self._poll.poll(seconds * 1000))

    def pause(self, seconds: float) -> bool:
        """Wait; returns False when the collector is to end."""
        return not self.context.halt.wait(seconds)

    def path(self, absolute: str) -> Path:
        """Return a path of the machine, below the root given."""
        return self.context.root / absolute.lstrip("/")

    def read(self, absolute: str, limit: int = 1 << 20) -> bytes:
        """Return the beginning of a file; raises OSError."""
        with self.path(absolute).open("rb", buffering=0) as stream:
            data = stream.read(limit)
            return data or b""


class PeriodicCollector(Collector):
    """A collector that looks at something again and again."""

    period_key: ClassVar[str] = "period"

    def events(self) -> Iterator[Emission]:
        """Look, then wait one period, until halted."""
        while not self.context.halt.is_set():
            yield from self.look()
            yield None
            if not self.pause(self.period_s):
                return

    @abstractmethod
    def look(self) -> Iterator[Emission]:
        """Yield what differs from the last look."""
