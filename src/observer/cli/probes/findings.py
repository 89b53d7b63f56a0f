# SPDX-License-Identifier: Apache-2.0
"""The shape of a probe and of what it finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Capability", "Finding", "Probe", "examine"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one attempt showed.

    Attributes:
        ok: Whether it worked.
        detail: What was seen: a version, a setting, or the kernel's refusal.
        how: How to get it on this machine, when the attempt knows better than the table.
    """

    ok: bool
    detail: str
    how: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One capability and how to find out.

    Attributes:
        name: Stable name for `--json`.
        purpose: What Observer uses it for.
        attempt: Tries it; an OSError means no.
        how: How to get it, one clause.
    """

    name: str
    purpose: str
    attempt: Callable[[], Finding]
    how: str


@dataclass(frozen=True, slots=True)
class Capability:
    """A probe's answer.

    Attributes:
        name: The probe's name.
        ok: Whether this kernel and user permit it.
        detail: What was seen.
        purpose: What Observer uses it for.
        how: How to get it; None when it is there.
    """

    name: str
    ok: bool
    detail: str
    purpose: str
    how: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "name": self.name,
            "available": self.ok,
            "detail": self.detail,
            "purpose": self.purpose,
            "how": self.how,
        }


def examine(probes: Iterable[Probe]) -> Iterator[Capability]:
    """Try each probe in turn and yield its answer; a refusal by the kernel is an answer, not an error."""
    for probe in probes:
        try:
            finding = probe.attempt()
        except OSError as refusal:
            finding = Finding(False, _refusal(refusal))
        how = None if finding.ok else (finding.how or probe.how)
        yield Capability(probe.name, finding.ok, finding.detail, probe.purpose, how)


def _refusal(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{os.strerror(error.errno).lower() if error.errno else error}"
