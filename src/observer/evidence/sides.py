# SPDX-License-Identifier: Apache-2.0
"""One side of the report: its files, what they hold, and whether they hold."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observer.errors import FormatError
from observer.evidence import Audit, LogFile, audit_logs, log_files, plain_files, survey_side
from observer.evidence.auditing import FAILURES
from observer.evidence.merging import Progress

__all__ = ["BAD_STATES", "ORIGINS", "SideLog", "judge_log", "open_side", "worst_state"]

ORIGINS = ("host", "guest")
_GOOD = ("VERIFIED", "DECLARED_LOSS", "VERIFIED_TO")
_MANIFEST_BYTES = 1 << 20
_ORDER = ("VERIFIED", "DECLARED_LOSS", "VERIFIED_TO", "UNSEALED", "ABSENT", "EMPTY", "DAMAGED_TAIL")
BAD_STATES = FAILURES | {"MISSING_FILE", "NOT_A_LOG"}
"""States in which what a log says may not be what was sealed."""


@dataclass(slots=True)
class SideLog:
    """A log with all its files.

    Attributes:
        origin: 0 host, 1 guest.
        path: The live file, as it was named.
        files: Every file found, oldest first.
        plain: Where their lines can be read.
        survey: What one pass told; see `survey_side`.
        state: One word of docs/spec/master-report.md §2.
        note: One sentence for people.
        findings: What does not hold, worst first.
    """

    origin: int
    path: Path
    files: list[LogFile] = field(default_factory=list)
    plain: list[Path] = field(default_factory=list)
    survey: dict[str, Any] = field(default_factory=dict)
    state: str = "ABSENT"
    note: str = "no such log"
    findings: list[dict[str, Any]] = field(default_factory=list)
    final_chain: str | None = None
    key_checked: bool = False
    bytes: int = 0

    @property
    def name(self) -> str:
        """`host` or `guest`."""
        return ORIGINS[self.origin]

    def to_dict(self) -> dict[str, Any]:
        """As in docs/spec/master-report.md: the original report's keys, then ours."""
        survey = self.survey
        return {
            "logPath": str(self.path),
            "finalChainHash": self.final_chain,
            "eventCount": survey.get("events", 0),
            "form": survey.get("form"),
            "integrity": {
                "state": self.state,
                "note": self.note,
                "keyChecked": self.key_checked,
                "findings": self.findings,
            },
            "files": [
                {"path": str(file.path), "rotated": file.rotated, "lines": told["lines"]}
                | {"events": told["events"], "finalChainHash": told["final_chain"]}
                for file, told in zip(self.files, survey.get("files", ()), strict=False)
            ],
            "ownRecords": survey.get("own_records", 0),
            "declaredLost": survey.get("declared_lost", 0),
            "malformed": survey.get("malformed", 0),
        }


def worst_state(sides: list[SideLog]) -> str:
    """The state of the report as a whole: the worst of its logs."""
    bad = [side.state for side in sides if side.state in BAD_STATES]
    if bad:
        return bad[0]
    known = [side.state for side in sides if side.state != "ABSENT"] or ["ABSENT"]
    return max(known, key=lambda state: _ORDER.index(state) if state in _ORDER else len(_ORDER))


def open_side(
    origin: int, path: Path, scratch: Path, *, key: bytes | None, progress: Progress | None
) -> SideLog:
    """Find a side's files, read them once, and judge them.

    Raises:
        CapabilityError: A file may not be read.
        StorageFull: There is no room to unpack rotated files.
    """
    side = SideLog(origin, path)
    side.files = log_files(path)
    if not side.files:
        return side
    side.plain, damage = plain_files(side.files, scratch)
    side.bytes = sum(path.stat().st_size for path in side.plain)
    side.survey = survey_side(side.plain, origin, key=key, progress=progress)
    told = side.survey["files"]
    side.final_chain = next((one["final_chain"] for one in reversed(told) if one["final_chain"]), None)
    form = side.survey["form"]
    if form == "sealed":
        _judge_sealed(side, key)
    elif form == "original":
        _judge_original(side, key)
    elif form is None:
        empty = side.survey["lines"] == 0
        side.state, side.note = (
            ("EMPTY", "the log holds no line")
            if empty
            else ("NOT_A_LOG", "no line of it is an event of any known form")
        )
    else:
        side.state, side.note = "UNSEALED", "these lines carry no proof that they are whole"
    side.findings += [{"verdict": "DAMAGED_FILE", "cause": text} for text in damage]
    side.findings += [_finding(one, side) for one in side.survey["findings"] if one["verdict"] == "MALFORMED"]
    if damage and side.state in _GOOD:
        side.state, side.note = "DAMAGED_TAIL", damage[0]
    return side


def judge_log(path: Path, key: bytes | None) -> dict[str, Any]:
    """What is known of a log's integrity: `state`, `note`, `finalChainHash`, `findings`."""
    with tempfile.TemporaryDirectory(prefix="observer-why-") as scratch:
        side = open_side(1, path, Path(scratch), key=key, progress=None)
    told: dict[str, Any] = side.to_dict()["integrity"]
    facts = {"finalChainHash": side.final_chain, "form": side.survey.get("form"), "bytes": side.bytes}
    return told | facts


def _finding(one: dict[str, Any], side: SideLog) -> dict[str, Any]:
    """A finding of the survey, the file named as the user knows it."""
    named = {str(plain): str(file.path) for plain, file in zip(side.plain, side.files, strict=True)}
    return {**one, "file": named.get(one["file"], one["file"])}


def _judge_sealed(side: SideLog, key: bytes | None) -> None:
    try:
        (audit,) = audit_logs(side.path, key=key) if side.path.is_file() else (None,)
    except FormatError as error:
        side.state, side.note = "NOT_A_LOG", str(error)
        return
    if audit is None:
        side.state, side.note = "MISSING_FILE", "the live file is gone; only rotated files are there"
        return
    side.key_checked = bool(audit.proof and audit.proof.key_checked)
    side.findings = [_audit_finding(one) for one in audit.findings]
    torn = audit.verdict in ("TORN_TAIL", "ZEROED_TAIL")
    side.state = "DAMAGED_TAIL" if torn else audit.verdict
    side.note = _sentence(audit, side)


def _sentence(audit: Audit, side: SideLog) -> str:
    if side.state in BAD_STATES:
        return f"the log does not hold: {audit.findings[0].text}"
    if side.state == "DAMAGED_TAIL":
        return f"all whole lines are proven; {audit.findings[0].text}"
    lines = audit.proof.lines if audit.proof else 0
    signed = (
        "signatures checked" if side.key_checked else "hash chain checked; no key was given for signatures"
    )
    return f"{lines:,} lines proven whole and in order ({signed})"


def _audit_finding(finding: Any) -> dict[str, Any]:
    facts = {
        "verdict": finding.verdict,
        "code": finding.code,
        "file": str(finding.path),
        "cause": finding.text,
    }
    places = {name: getattr(finding, name) for name in ("line", "offset", "first", "last")}
    return facts | {name: value for name, value in places.items() if value is not None}


def _judge_original(side: SideLog, key: bytes | None) -> None:
    """The original envelope: the chain was recomputed by the survey; manifests are held against it here."""
    survey = side.survey
    side.findings = [_finding(one, side) for one in survey["findings"] if one["verdict"] != "MALFORMED"]
    for file, told in zip(side.files, survey["files"], strict=True):
        side.findings += _manifest(file, told) if file.rotated else []
    side.key_checked = key is not None and survey["signed"]
    if key is not None and not survey["signed"]:
        cause = "a key was given and not every line is signed"
        side.findings.append({"verdict": "WRONG_KEY", "file": str(side.path), "cause": cause})
    if side.findings:
        side.state = str(side.findings[0]["verdict"])
        more = survey["broken"]
        side.note = f"the log does not hold: {side.findings[0]['cause']}" + (
            f" ({more} lines)" if more > 1 else ""
        )
    elif survey["files"][-1]["torn"]:
        side.state, side.note = "DAMAGED_TAIL", "the chain holds; the last line has no end"
    else:
        side.state = "VERIFIED"
        keyed = "signatures checked" if side.key_checked else "signatures not checked"
        side.note = (
            f"the hash chain of {survey['lines']:,} lines was recomputed and holds ({keyed}); this form cannot show "
            "that lines were cut off its end or that rotated files are missing"
        )


def _manifest(file: LogFile, told: dict[str, Any]) -> list[dict[str, Any]]:
    path = Path(str(file.path).removesuffix(file.packed) + ".manifest")
    if not path.is_file():
        return []
    try:
        stated = json.loads(path.read_bytes()[:_MANIFEST_BYTES])
        right = (stated["finalChainHash"], int(stated["entries"])) == (told["final_chain"], told["lines"])
    except (ValueError, KeyError, TypeError):
        right = False
    if right:
        return []
    cause = "the manifest does not state the file's last chain value and number of lines"
    return [{"verdict": "TAMPERED", "file": str(path), "cause": cause}]
