# SPDX-License-Identifier: Apache-2.0
"""Three attacks that `journalctl --verify` lets pass, live, and the same three on a sealed log."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from observer.evidence import audit_logs
from tests.spec import attacks
from tests.spec.evidence_forge import KEY
from tests.spec.test_evidence_attacks import SIGNER

REMOTE = Path("/lib/systemd/systemd-journal-remote")
BOOT = "4fe05be0f9184c91865f3ffa1450bd07"


def export(first: int, count: int, word: str = "benign") -> str:
    return "".join(
        f"__REALTIME_TIMESTAMP={1_700_000_000_000_000 + n}\n__MONOTONIC_TIMESTAMP={1000 + n}\n_BOOT_ID={BOOT}\n"
        f"PRIORITY=4\nMESSAGE={word} {n}\n\n"
        for n in range(first, first + count)
    )


def journal(place: Path, name: str, text: str) -> Path:
    if not REMOTE.exists() or shutil.which("journalctl") is None:
        pytest.skip("NOT COMPARED WITH JOURNALD: install systemd-journal-remote")
    source = place / f"{name}.export"
    source.write_text(text)
    target = place / f"{name}.journal"
    subprocess.run([str(REMOTE), "-o", str(target), str(source)], check=True, capture_output=True)
    return target


def passes(*files: Path) -> bool:
    arguments = [argument for file in files for argument in ("--file", str(file))]
    done = subprocess.run(["journalctl", "--verify", *arguments], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "FAIL" not in done.stderr


def judged(place: Path, attack: attacks.Attack) -> str:
    v = attacks.victim(place)
    attack(v)
    policy = {"require_hmac": True, "signers": [SIGNER], "known": [v.known]}
    return audit_logs(v.live, key=KEY, policy=policy)[0].verdict


def test_an_unsealed_file_in_place_of_the_sealed_one(tmp_path: Path) -> None:
    assert passes(journal(tmp_path, "unsealed", export(0, 50)))
    assert judged(tmp_path, attacks.replace_by_unsigned_log) == "POLICY_DOWNGRADE"


def test_the_newest_file_deleted(tmp_path: Path) -> None:
    old, new = journal(tmp_path, "old", export(0, 50)), journal(tmp_path, "new", export(50, 50))
    new.unlink()
    assert passes(old)
    assert judged(tmp_path, attacks.delete_live_file) in {"ROLLBACK", "SEGMENT_MISSING"}


def test_exported_changed_and_imported_again(tmp_path: Path) -> None:
    first = journal(tmp_path, "first", export(0, 50))
    text = subprocess.run(
        ["journalctl", "-o", "export", "--file", str(first)], check=True, capture_output=True, text=True
    ).stdout
    forged = journal(tmp_path, "forged", text.replace("benign 7\n", "forged 7\n"))
    assert passes(forged)
    shown = subprocess.run(
        ["journalctl", "--file", str(forged)], check=True, capture_output=True, text=True
    ).stdout
    assert "forged 7" in shown
    assert judged(tmp_path, attacks.edit_event_and_reseal_file_with_another_key) == "TAMPERED"
