# SPDX-License-Identifier: Apache-2.0
"""Who sent SIGKILL to whom, from the kernel's tracepoint signal:signal_generate.

Needs CAP_PERFMON (or kernel.perf_event_paranoid of -1), and CAP_DAC_READ_SEARCH to read the tracepoint's id in tracefs. Costs
nothing between two signals. The tracepoint tells the sender's id and the receiver's name; the sender's own name is from /proc
just after or, when it is gone by then, from its exec, if that was seen.
Sources: include/trace/events/signal.h, perf_event_open(2).
"""

from __future__ import annotations

import re
import signal
from collections import OrderedDict
from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import Collector, Context, Emission, FeedLoss, Observation
from observer.agents.linux.perf import Name, Sample, Tracepoint
from observer.errors import CapabilityError, UsageError
from observer.model.event import EventSeverity
from observer.model.event_record import Observed

__all__ = ["KillWatcher"]

_SOURCE: Final = "signal.kill"
_EVENT: Final = "events/signal/signal_generate"
_WAIT_S: Final = 5.0
_NAMES: Final = 4096
_SI_USER, _SI_TKILL, _SI_KERNEL = 0, -6, 0x80
_DELIVERED: Final = {0, 1}  # TRACE_SIGNAL_DELIVERED, _IGNORED; what was already pending is no news


class KillWatcher(Collector):
    """Follows the tracepoint on every processor."""

    name: ClassVar[str] = "kills"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._numbers = {_number(name): name for name in self.settings.texts("signals")}
        self._tracepoint: Tracepoint | None = None
        self._fields: dict[str, tuple[int, int]] = {}
        self._names: OrderedDict[int, str] = OrderedDict()

    def check_compatible(self) -> None:
        """Read the tracepoint's format and open it."""
        for place in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
            try:
                number = int(self.read(f"{place}/{_EVENT}/id", 64))
                self._fields = _parse_format(self.read(f"{place}/{_EVENT}/format").decode("ascii"))
                break
            except (OSError, ValueError):
                continue
        else:
            raise CapabilityError(
                "tracefs cannot be read", hint="mount it at /sys/kernel/tracing; give CAP_DAC_READ_SEARCH"
            )
        condition = " || ".join(f"sig == {one}" for one in sorted(self._numbers))
        try:
            self._tracepoint = Tracepoint(number, condition)
        except OSError as error:
            raise CapabilityError(
                f"the tracepoint signal_generate cannot be opened: {error.strerror}", hint="give CAP_PERFMON"
            ) from error

    def events(self) -> Iterator[Emission]:
        """Yield each signal of the kinds asked for."""
        while not self.context.halt.is_set() and self._tracepoint is not None:
            self.wait_for(self._tracepoint.ready.fileno(), _WAIT_S)
            for record in self._tracepoint.read():
                if isinstance(record, Name):
                    self._learn(record)
                elif (seen := self._observe(record)) is not None:
                    yield seen
            lost, self._tracepoint.lost = self._tracepoint.lost, 0
            if lost:
                yield FeedLoss(_SOURCE, lost)
            yield None

    def _learn(self, record: Name) -> None:
        self._names[record.tid] = record.comm
        self._names.move_to_end(record.tid)
        if len(self._names) > _NAMES:
            self._names.popitem(last=False)

    def _field(self, raw: bytes, name: str) -> int:
        offset, size = self._fields[name]
        return int.from_bytes(raw[offset : offset + size], "little", signed=True)

    def _observe(self, sample: Sample) -> Observation | None:
        raw = sample.raw
        number, code = self._field(raw, "sig"), self._field(raw, "code")
        if number not in self._numbers or self._field(raw, "result") not in _DELIVERED:
            return None
        offset, size = self._fields["comm"]
        target = raw[offset : offset + size].split(b"\0", 1)[0].decode("utf-8", "replace")
        by = {_SI_USER: "user", _SI_TKILL: "tgkill"}.get(code, "kernel")
        clocks = self.context.clocks()
        wall = clocks.wall_ns - clocks.monotonic_ns + sample.monotonic_ns
        return Observation(
            "signal.sent",
            _SOURCE,
            "Signal",
            EventSeverity.WARNING,
            f"Process was sent {self._numbers[number]}",
            {
                "signal": self._numbers[number],
                **self._sender(sample.pid, sample.tid),
                "target_pid": str(self._field(raw, "pid")),
                "target_comm": target,
                "by": by,
                "group": "true" if self._field(raw, "group") else "false",
            },
            Observed(max(0, wall), sample.monotonic_ns, "perf"),
        )

    def _sender(self, pid: int, tid: int) -> dict[str, str | None]:
        status = self._text(f"/proc/{pid}/status")
        parent = _line(status, "PPid")
        parent_name = self._text(f"/proc/{parent}/comm").strip() if parent else ""
        cgroup = self._text(f"/proc/{pid}/cgroup").strip()
        return {
            "sender_pid": str(pid),
            "sender_tid": str(tid),
            "sender_comm": _line(status, "Name") or self._names.get(tid),
            "sender_uid": _line(status, "Uid").split("\t")[0] or None,
            "sender_cgroup": cgroup.splitlines()[-1].rpartition(":")[2] if cgroup else None,
            "sender_parent": f"{parent}:{parent_name}" if parent_name else None,
        }

    def _text(self, path: str) -> str:
        try:
            return self.read(path, 8192).decode("utf-8", "replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Close the tracepoint."""
        tracepoint, self._tracepoint = self._tracepoint, None
        if tracepoint is not None:
            tracepoint.close()


def _number(name: str) -> int:
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise UsageError(f"no signal is called {name!r}", hint="such as SIGKILL or SIGTERM") from None


def _line(status: str, key: str) -> str:
    return next((line[len(key) + 2 :] for line in status.splitlines() if line.startswith(f"{key}:\t")), "")


def _parse_format(text: str) -> dict[str, tuple[int, int]]:
    """Return offset and size of each field, as this kernel lays them out."""
    pattern = r"field:[^;]*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);"
    fields = {name: (int(offset), int(size)) for name, offset, size in re.findall(pattern, text)}
    if not {"sig", "code", "comm", "pid", "group", "result"} <= fields.keys():
        raise ValueError("signal_generate has other fields than expected")
    return fields
