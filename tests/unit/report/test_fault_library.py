# SPDX-License-Identifier: Apache-2.0
"""Our own faults, one small log each, written after what real machines print; the expected verdict stands in its head."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from observer.report.diagnosis import Diagnosis
from observer.report.sources import SourceKind
from observer.report.why import SourceSpec, explain
from tests.unit.report.labelled import OWN

FAULTS = sorted((OWN / "faults").glob("*.log"))


def load(path: Path, tmp_path: Path) -> tuple[list[str], Diagnosis]:
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    log = tmp_path / "log"
    log.write_text(body, encoding="utf-8")
    return fields["verdict"].split("|"), explain([SourceSpec(SourceKind(fields["kind"]), log)])


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_verdict_of_the_fault(path: Path, tmp_path: Path) -> None:
    wanted, answer = load(path, tmp_path)
    assert any(fnmatch.fnmatchcase(answer.verdict, pattern) for pattern in wanted), (
        answer.verdict,
        [(incident.verdict, [step.says for step in incident.chain]) for incident in answer.incidents],
    )


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_every_claim_is_cited_and_no_claim_stands_without_its_records(path: Path, tmp_path: Path) -> None:
    _, answer = load(path, tmp_path)
    lines = (tmp_path / "log").read_text(encoding="utf-8").split("\n")
    for incident in answer.incidents:
        assert incident.chain
        assert 0.5 <= incident.confidence <= 1.0
        for step in incident.chain:
            assert len(step.evidence.sha256) == 64
            assert step.says
    if answer.primary is not None and answer.primary.chain[0].evidence.origin != "host":
        cited = {step.evidence.sequence for step in answer.primary.chain}
        (tmp_path / "log").write_text("\n".join(line for n, line in enumerate(lines, 1) if n not in cited))
        rest = explain([SourceSpec(SourceKind.PLAIN, tmp_path / "log")])
        assert rest.verdict != answer.verdict or (rest.primary and rest.primary.chain != answer.primary.chain)


def test_the_library_covers_every_family() -> None:
    text = "\n".join(path.read_text(encoding="utf-8").partition("\n")[0] for path in FAULTS)
    families = (
        "GUEST_KERNEL_PANIC GUEST_OOM CGROUP_OOM HOST_OOM_KILLED_VM USERSPACE_OOMD_KILL HUNG STORAGE IDLE_SHUTDOWN "
        "PLANNED_SHUTDOWN UPDATE_TERMINATED SLE ZOMBIE_SERVICE HOST_SERVICE HOST_BUGCHECK CLOCK NETWORK SECURITY_SOFTWARE "
        "THERMAL GPU_BUS_LOSS SIGKILL_UNKNOWN_SENDER NOT_A_CRASH INSUFFICIENT_EVIDENCE ABRUPT_STOP POWER_LOSS HARDWARE"
    )
    assert not [family for family in families.split() if family not in text]
