# SPDX-License-Identifier: Apache-2.0
"""The machine forgets the first key; the operator's identity opens it again and proves all of the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from observer.errors import CaptureError, KeyUnusable
from observer.evidence import SealedLog, verify_log
from observer.evidence.sealing import open_sealed_key, seal_new_key

pyrage = pytest.importorskip("pyrage", reason="NOT TESTED: the extra 'seal' (pyrage) is not installed")


def test_only_the_operator_can_check_or_sign_the_past(tmp_path: Path) -> None:
    operator, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    log = tmp_path / "events.log"
    first = seal_new_key(log, str(operator.to_public()))
    with SealedLog.create(log, key=first, keep_key=True, epoch_lines=20) as opened:
        for number in range(70):
            opened.append(b'{"n":%d}' % number)
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert first not in on_disk and first.hex().encode() not in on_disk
    with SealedLog.open(log, keep_key=True, epoch_lines=20) as opened:  # the kept key is enough to go on
        opened.append(b'{"n":"later"}')
    kept = bytes.fromhex((tmp_path / "events.log.sealkey").read_text().split()[1])
    with pytest.raises(KeyUnusable):
        open_sealed_key(tmp_path / "events.log.sealkey.age", str(stranger))
    recovered = open_sealed_key(tmp_path / "events.log.sealkey.age", str(operator))
    assert recovered == first != kept
    assert verify_log(log, key=recovered).epoch >= 3
    with pytest.raises(CaptureError):
        seal_new_key(log, str(operator.to_public()))
    with pytest.raises(KeyUnusable):
        seal_new_key(tmp_path / "other", "age1nonsense")
