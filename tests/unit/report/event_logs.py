# SPDX-License-Identifier: Apache-2.0
"""Event logs to test with: EventRecords, sealed, in the original envelope, or bare."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from observer.evidence import SealedLog, Severity

BASE_NS = 1_795_776_000_000_000_000
SECOND = 10**9


def stamp(wall_ns: int) -> str:
    moment = datetime.fromtimestamp(wall_ns // SECOND, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{wall_ns // 1000 % 10**6:06d}Z"


def event(
    seconds: float,
    message: str = "something",
    *,
    source: str = "resource.monitor",
    category: str = "Resource",
    severity: str = "Info",
    kind: str = "resource.sample",
    boot: str = "b1",
    run: str = "9f2c51ab0d77e346",
    sequence: int = 1,
    wall_ns: int | None = None,
    clocks: bool = True,
    **attributes: Any,
) -> bytes:
    """One EventRecord; `clocks=False` gives the original form's seven keys."""
    boottime = round(seconds * SECOND)
    wall = BASE_NS + boottime if wall_ns is None else wall_ns
    pairs = {"boot_id": boot, "hostname": "h", "machine_id": "m"} | {
        key: str(value) for key, value in attributes.items()
    }
    values: dict[str, Any] = {
        "timestamp": stamp(wall),
        "sequence": sequence,
        "source": source,
        "category": category,
        "severity": severity,
        "message": message,
        "attributes": [{"key": key, "value": pairs[key]} for key in sorted(pairs)],
    }
    if clocks:
        values |= {"schema": "observer.event/1", "type": kind, "run": run}
        values["collector"] = {"wall_ns": wall, "monotonic_ns": boottime, "boottime_ns": boottime}
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()


def sealed(path: Path, events: Iterable[bytes], **choices: Any) -> Path:
    """A sealed log of these events, closed."""
    with SealedLog.create(path, origin=f"example.org/{path.stem}", **choices) as log:
        for one in events:
            log.append(one, Severity.INFO)
    return path


def original_lines(events: Iterable[bytes], key: bytes | None = None) -> list[bytes]:
    """Lines of the original envelope: SHA-256 over the hash before, as text, and the event's bytes."""
    chain, lines = "0" * 64, []
    for one in events:
        chain = hashlib.sha256(chain.encode() + one).hexdigest()
        line = b'{"event":' + one + b',"chainHash":"' + chain.encode() + b'"'
        if key is not None:
            line += b',"hmac":"' + hmac.new(key, one, "sha256").hexdigest().encode() + b'"'
        lines.append(line + b"}")
    return lines


def original(path: Path, events: Iterable[bytes], key: bytes | None = None) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in original_lines(events, key)))
    return path
