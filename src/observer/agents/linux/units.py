# SPDX-License-Identifier: Apache-2.0
"""Systemd Failure Watcher: units that fail, and units that come back, each by name.

Runs `systemctl` once a period (about 6 ms), and `systemctl show` only for units that changed. Needs no privilege.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import ClassVar, Final

from observer.agents.collector import Context, Emission, Observation, PeriodicCollector
from observer.errors import CapabilityError, CaptureError
from observer.model.event import EventSeverity

__all__ = ["SystemdFailureWatcher"]

_SOURCE: Final = "systemd.failures"
_PATIENCE_S: Final = 20.0
_MOST_NAMED: Final = 2000  # characters
_MOST_SHOWN: Final = 64  # units asked about in one look; the rest are told without details


class SystemdFailureWatcher(PeriodicCollector):
    """Compares the set of failed units with that of the last look."""

    name: ClassVar[str] = "units"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._needed = set(self.settings.texts("needed"))
        self._failed: dict[str, int] | None = None  # unit to CLOCK_BOOTTIME at which it was first seen failed

    def check_compatible(self) -> None:
        """Look for a running systemd."""
        if shutil.which("systemctl") is None or not self.path("/run/systemd/system").is_dir():
            raise CapabilityError("systemd does not run here", hint="switch [units] off")

    def look(self) -> Iterator[Emission]:
        """Tell which units entered or left the failed state."""
        now = self.context.clocks().boottime_ns
        names = set(self.list_failed())
        before = self._failed or {}
        found = "startup" if self._failed is None else "change"
        self._failed = {name: before.get(name, now) for name in names}
        entered, left = sorted(names - before.keys()), sorted(before.keys() - names)
        facts = self.show_units([*entered, *left][:_MOST_SHOWN])
        for name in entered:
            yield self._failure(name, facts.get(name, {}), found)
        for name in left:
            yield self._recovery(name, facts.get(name, {}), (now - before[name]) / 1e9)

    def list_failed(self) -> list[str]:
        """Return the names of the failed units."""
        text = _systemctl(
            "list-units", "--state=failed", "--all", "--plain", "--no-legend", "--no-pager", "--full"
        )
        lines = (line.lstrip("\u25cf*\u00d7 ").split() for line in text.splitlines())
        return [words[0] for words in lines if words]

    def show_units(self, names: list[str]) -> dict[str, dict[str, str]]:
        """Return properties of units, by name."""
        if not names:
            return {}
        wanted = "Id,LoadState,ActiveState,Result,ExecMainCode,ExecMainStatus,NRestarts"
        text = _systemctl("show", f"--property={wanted}", "--", *names)
        units = {}
        for block in text.split("\n\n"):
            facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            units[facts.get("Id", "")] = facts
        return units

    def _failure(self, name: str, facts: dict[str, str], found: str) -> Observation:
        code = {"1": "exited", "2": "killed", "3": "dumped"}.get(facts.get("ExecMainCode", ""))
        return Observation(
            "systemd.unit_failed",
            _SOURCE,
            "Systemd",
            EventSeverity.ERROR if name in self._needed else EventSeverity.WARNING,
            "Systemd units failing",
            {
                "unit": name,
                "result": facts.get("Result") or None,
                "exit_code": code,
                "exit_status": facts.get("ExecMainStatus") or None,
                "restarts": facts.get("NRestarts") or None,
                "found": found,
                "failed": str(len(self._failed or ())),
                "units": " ".join(sorted(self._failed or ()))[:_MOST_NAMED],
            },
        )

    def _recovery(self, name: str, facts: dict[str, str], seconds: float) -> Observation:
        gone = facts.get("LoadState", "not-found") == "not-found"
        return Observation(
            "systemd.unit_recovered",
            _SOURCE,
            "Systemd",
            EventSeverity.INFO,
            "Systemd unit recovered",
            {
                "unit": name,
                "state": "gone" if gone else facts.get("ActiveState", "unknown"),
                "seconds": f"{seconds:.0f}",
                "failed": str(len(self._failed or ())),
            },
        )


def _systemctl(*words: str) -> str:
    result = subprocess.run(
        ["systemctl", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_PATIENCE_S,
    )
    if result.returncode and not result.stdout:
        raise CaptureError(f"systemctl {words[0]}: {result.stderr.strip()[:300]}")
    return result.stdout
