# SPDX-License-Identifier: Apache-2.0
"""Journal Watcher: follows the systemd journal from where the last run stopped.

A `journalctl --follow` of its own reads the journal's files and this collector reads its pipe: a journal file that is damaged, or
vanishes under a mapping, takes a child with it and not the agent. The export format costs a quarter of JSON to make and to read.
Needs membership of systemd-journal, or CAP_DAC_READ_SEARCH. Sources: journalctl(1), systemd.journal-fields(7).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import SYSLOG_SEVERITIES, Collector, Context, Emission, Observation
from observer.agents.host import read_host
from observer.agents.linux.journal_export import ExportParser
from observer.errors import CapabilityError, CaptureError
from observer.model.event_record import MAX_MESSAGE_CHARS, EventRecord, Observed

__all__ = ["JournalWatcher"]

_SOURCE: Final = "systemd.journal"
_PIECE: Final = 1 << 16
_WAIT_S: Final = 5.0
_PATIENCE_S: Final = 1.0
_FIRST_LINES: Final = 10  # at the first start ever: a little of what led up to it
_DEFAULT_PRIORITY: Final = 6  # what journald assumes of an entry without PRIORITY
_FIELDS: Final = (
    *("MESSAGE", "PRIORITY", "_TRANSPORT", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "UNIT", "_PID", "_UID"),
    *("_COMM", "MESSAGE_ID", "UNIT_RESULT", "EXIT_STATUS", "_KERNEL_DEVICE"),
)


class JournalWatcher(Collector):
    """Yields one observation for each entry of the journal."""

    name: ClassVar[str] = "journal"
    event_type: ClassVar[str] = "journal.entry"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._least = self.settings.count("least_priority")
        self._wanted = {name.encode() for name in self.settings.texts("identifiers")}
        self._kernel = self.settings.flag("kernel") or not os.access(self.path("/dev/kmsg"), os.R_OK)
        self._child: subprocess.Popen[bytes] | None = None

    def check_compatible(self) -> None:
        """Look for journalctl and a journal it may read."""
        if shutil.which("journalctl") is None:
            raise CapabilityError("there is no journalctl", hint="install systemd, or switch [journal] off")
        places = (self.path("/var/log/journal"), self.path("/run/log/journal"))
        if not any(place.is_dir() for place in places):
            raise CapabilityError("there is no journal", hint="systemd-journald must run")

    def events(self) -> Iterator[Emission]:
        """Yield the entries after the last one sealed, then those that come."""
        child = self._child = subprocess.Popen(
            self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if child.stdout is None:
            raise CaptureError("journalctl has no output")
        handle, parser = child.stdout.fileno(), ExportParser()
        while not self.context.halt.is_set():
            if not self.wait_for(handle, _WAIT_S):
                yield None
                continue
            piece = os.read(handle, _PIECE)
            if not piece:
                raise CaptureError(f"journalctl ended: {_last_words(child)}")
            for entry in parser.feed(piece):
                yield self._observe(entry) if self._takes(entry) else None

    def _command(self) -> list[str]:
        # Following without --merge means this boot alone (since v245; --boot=all does not undo it), so that the last words of the
        # boot before would be lost. Merged are journals of other machines too, which the match leaves out.
        command = ["journalctl", "--follow", "--merge", "--quiet", "--no-pager", "--output=export"]
        command.append(f"--output-fields={','.join(_FIELDS)}")
        machine = read_host(self.context.root).machine_id
        if machine != "unknown":
            command.append(f"_MACHINE_ID={machine}")
        cursor = self.context.positions.get(self.name)
        if isinstance(cursor, str) and cursor:
            return [*command, "--no-tail", f"--after-cursor={cursor}"]
        return [*command, f"--lines={_FIRST_LINES}"]

    def _takes(self, entry: dict[bytes, bytes]) -> bool:
        priority = _priority(entry)
        if priority > self._least:
            return False
        if not self._kernel and entry.get(b"_TRANSPORT") == b"kernel" and self._of_this_boot(entry):
            return False  # the kernel tap has it
        if not self._wanted or priority <= 4:
            return True
        names = (entry.get(key, b"") for key in (b"SYSLOG_IDENTIFIER", b"_SYSTEMD_UNIT", b"UNIT"))
        return any(name in self._wanted for name in names)

    def _of_this_boot(self, entry: dict[bytes, bytes]) -> bool:
        return entry.get(b"_BOOT_ID", b"").decode("ascii", "replace") == self.context.boot_id.replace("-", "")

    def _observe(self, entry: dict[bytes, bytes]) -> Observation:
        values = {
            name.decode("ascii", "replace"): value.decode("utf-8", "replace") for name, value in entry.items()
        }
        priority, message = _priority(entry), values.get("MESSAGE", "")
        cursor = values.get("__CURSOR", "")
        over = len(message) - MAX_MESSAGE_CHARS
        return Observation(
            "journal.entry",
            _SOURCE,
            "Journal",
            SYSLOG_SEVERITIES[priority],
            message,
            {
                "unit": values.get("_SYSTEMD_UNIT") if "UNIT" not in values else values["UNIT"],
                "transport": values.get("_TRANSPORT"),
                "priority": str(priority) if "PRIORITY" in values else None,
                "identifier": values.get("SYSLOG_IDENTIFIER"),
                "pid": _digits(values.get("_PID")),
                "uid": _digits(values.get("_UID")),
                "comm": values.get("_COMM"),
                "message_id": values.get("MESSAGE_ID"),
                "cursor": cursor,
                "unit_result": values.get("UNIT_RESULT"),
                "exit_status": values.get("EXIT_STATUS"),
                "kernel_device": values.get("_KERNEL_DEVICE"),
                "truncated": str(over) if over > 0 else None,
            },
            _when(values),
            boot_id=_uuid(values.get("_BOOT_ID", "")),
            position=(self.name, cursor) if cursor else None,
        )

    @classmethod
    def position_of(cls, record: EventRecord) -> object:
        """The entry's cursor."""
        return record.get("cursor") or None

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate()
            try:
                child.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()


def _priority(entry: dict[bytes, bytes]) -> int:
    text = entry.get(b"PRIORITY", b"")
    return int(text) if text in {b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"} else _DEFAULT_PRIORITY


def _digits(text: str | None) -> str | None:
    return text if text and text.isascii() and text.isdigit() else None


def _uuid(text: str) -> str:
    if len(text) != 32:
        return ""
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _when(values: dict[str, str]) -> Observed | None:
    wall, monotonic = (
        _digits(values.get("__REALTIME_TIMESTAMP")),
        _digits(values.get("__MONOTONIC_TIMESTAMP")),
    )
    if wall is None:
        return None
    return Observed(int(wall) * 1000, int(monotonic) * 1000 if monotonic else None, "journal")


def _last_words(child: subprocess.Popen[bytes]) -> str:
    words = b""
    if child.stderr is not None:
        os.set_blocking(child.stderr.fileno(), False)
        words = child.stderr.read(400) or b""
    return words.decode("utf-8", "replace").strip() or f"status {child.poll()}"
