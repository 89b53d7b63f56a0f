# SPDX-License-Identifier: Apache-2.0
"""Seventy attacks against the Python API, the command (over the Rust core) and the reference verifier.

Each is detected and placed, or docs/THREAT_MODEL.md says why it cannot be. The threat model's table is checked against this.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from observer.errors import ObserverError
from observer.evidence import audit_logs, verify_log
from tests.spec import attacks
from tests.spec.attack_matrix import DETECTED, NOT_IN_THE_LINES
from tests.spec.attacks import Attack, Victim
from tests.spec.evidence_forge import KEY, SEED
from tests.spec.test_evidence_vectors import reference

THREAT_MODEL = Path(__file__).parents[2] / "docs" / "THREAT_MODEL.md"
from observer import _native  # noqa: E402 - the signer's public key, as an operator would have noted it down

SIGNER = _native.note_verifier_key(attacks.ORIGIN, SEED, witness=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    return attacks.victim(tmp_path_factory.mktemp("original"))


def copy_of(original: Victim, place: Path) -> Victim:
    assert original.older is not None
    shutil.copytree(original.directory, place / "log")
    shutil.copytree(original.older, place / "older")
    return Victim(place / "log", original.known, place / "older")


def by_reference(v: Victim) -> tuple[str, int] | None:
    try:
        reference.verify([str(file) for file in v.files], KEY)
    except reference.Finding as finding:
        return finding.args[0], finding.args[1]
    except OSError as error:
        return f"refused: {error.strerror}", 0
    return None


def policy(v: Victim) -> dict[str, object]:
    return {"origin": attacks.ORIGIN, "require_hmac": True, "signers": [SIGNER], "known": [v.known]}


def test_the_log_under_attack_is_good(original: Victim) -> None:
    assert len(original.rotated) >= 3
    (audit,) = audit_logs(original.directory, key=KEY, policy=policy(original))
    assert (audit.verdict, audit.findings) == ("VERIFIED", ())
    assert by_reference(original) is None
    assert len(DETECTED) >= 30


@pytest.mark.parametrize("attack", DETECTED, ids=lambda attack: attack.__name__)
def test_is_detected_and_placed(attack: Attack, original: Victim, tmp_path: Path) -> None:
    v = copy_of(original, tmp_path)
    attack(v)
    try:
        (audit,) = audit_logs(v.live, key=KEY, policy=policy(v), threads=2)
    except ObserverError as error:
        pytest.fail(f"could not judge: {error}")
    assert audit.verdict in DETECTED[attack], (audit.verdict, audit.findings)
    assert not audit.holds
    worst = audit.findings[0]
    assert worst.text and worst.path
    if attack not in NOT_IN_THE_LINES and audit.verdict in {"TAMPERED", "SEQ_GAP"} and worst.code != "OBS405":
        assert worst.first is not None and worst.line is not None and worst.offset is not None


@pytest.mark.parametrize("attack", DETECTED, ids=lambda attack: attack.__name__)
def test_reference_and_core_agree_line_by_line(attack: Attack, original: Victim, tmp_path: Path) -> None:
    v = copy_of(original, tmp_path)
    attack(v)
    found = by_reference(v)
    if attack in NOT_IN_THE_LINES:
        assert found is None, f"the reference does notice: {found}"
        return
    assert found is not None
    # The core alone, file by file, finds the same code at the same line in the first file that is at fault.
    for file in v.files:
        try:
            verify_log(file, key=KEY)
        except ObserverError as error:
            if found[0].startswith("refused"):
                assert error.code == "OBS500"
            elif error.code == "OBS401" or found[0] == "OBS401":
                assert {error.code, found[0]} <= {"OBS401", "OBS402", "OBS403", "OBS500"}
            else:
                assert error.code == found[0]
            return
    # Whole files in a wrong order or of two logs: only reading them as one log tells.
    assert found[0] in {"OBS401", "OBS403"}


def test_the_threat_model_lists_every_attack() -> None:
    text = THREAT_MODEL.read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    for attack in DETECTED:
        name = attack.__name__.replace("_", " ")
        assert name in rows, f"THREAT_MODEL.md lacks the row '{name}'"
        for verdict in DETECTED[attack]:
            assert verdict in rows[name], f"row '{name}' does not say {verdict}"
        assert (NOT_IN_THE_LINES.get(attack, "yes") in rows[name]) or attack in NOT_IN_THE_LINES, name
