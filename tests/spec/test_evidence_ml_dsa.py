# SPDX-License-Identifier: Apache-2.0
"""Second signatures of ML-DSA-44 on checkpoints, checked by another implementation (OpenSSL's, through `cryptography`)."""

from __future__ import annotations

import base64
import hashlib
import struct
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from observer import _native
from observer.errors import KeyUnusable, UsageError
from observer.evidence import SealedLog, audit_logs, check_proof, load_policy, prove_record
from tests.spec.evidence_forge import SEED, Forge

mldsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.mldsa")
SECOND_SEED = bytes([4]) * 32
NAME = "example.org/log"


def signed_twice(path: Path, count: int = 300) -> tuple[str, str]:
    """Write a log; return its two verifier keys."""
    with SealedLog.create(
        path, signing_seed=SEED, cosigning_seed=SECOND_SEED, origin=NAME, rotate_bytes=40_000
    ) as log:
        log.append_batch([b'{"n":%d}' % number for number in range(count)])
        identity = log.identity
    return identity["signer"], identity["cosigner"]


def message(note: str, seconds: int) -> bytes:
    """What c2sp.org/tlog-cosignature says is signed, written down from that page alone."""
    origin, size, root = note.split("\n")[:3]
    names = [bytes([len(name)]) + name.encode() for name in (NAME, origin)]
    tree = struct.pack(">QQ", 0, int(size)) + base64.b64decode(root)
    return b"subtree/v1\n\0" + names[0] + struct.pack(">Q", seconds) + names[1] + tree


def test_another_implementation_accepts_each_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    _, cosigner = signed_twice(path)
    blob = base64.b64decode(cosigner.split("+", 2)[2])
    assert blob[0] == 6
    key_id = hashlib.sha256(NAME.encode() + b"\n" + blob).digest()[:4]
    assert cosigner.split("+")[1] == key_id.hex()
    try:
        public = mldsa.MLDSA44PublicKey.from_public_bytes(blob[1:])
        assert mldsa.MLDSA44PrivateKey.from_seed_bytes(SECOND_SEED).public_key() == public
    except UnsupportedAlgorithm:
        pytest.skip("NOT CHECKED BY ANOTHER IMPLEMENTATION: this build of cryptography has no ML-DSA")
    note = Path(f"{path}.checkpoint").read_text()
    lines = [base64.b64decode(line.split(" ")[2]) for line in note.splitlines() if line.startswith("\u2014 ")]
    (signature,) = [line[4:] for line in lines if line[:4] == key_id]
    seconds = int.from_bytes(signature[:8])
    public.verify(signature[8:], message(note, seconds))
    with pytest.raises(InvalidSignature):
        public.verify(signature[8:], message(note, seconds + 1))


def test_our_verifier_accepts_what_another_implementation_signs(tmp_path: Path) -> None:
    plain, cosigner = signed_twice(tmp_path / "events.log")
    note = Path(f"{tmp_path / 'events.log'}.checkpoint").read_text()
    assert _native.note_verify(note, plain) is None
    assert _native.note_verify(note, cosigner) is not None
    try:
        private = mldsa.MLDSA44PrivateKey.from_seed_bytes(SECOND_SEED)
    except UnsupportedAlgorithm:
        pytest.skip("NOT CHECKED BY ANOTHER IMPLEMENTATION: this build of cryptography has no ML-DSA")
    body = note[: note.rindex("\n\n") + 2]
    made = bytes.fromhex(cosigner.split("+")[1]) + struct.pack(">Q", 1_800_000_000)
    made += private.sign(message(note, 1_800_000_000))
    assert (
        _native.note_verify(f"{body}\u2014 {NAME} {base64.b64encode(made).decode()}\n", cosigner)
        == 1_800_000_000
    )


def test_a_checkpoint_without_the_second_signature_is_forged(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    signed_twice(path)
    (audit,) = audit_logs(path)
    assert audit.verdict == "VERIFIED"
    beside = Path(f"{path}.checkpoint")
    beside.write_text("".join(beside.read_text().splitlines(keepends=True)[:-1]))
    (audit,) = audit_logs(path)
    assert (audit.verdict, audit.findings[0].code) == ("TAMPERED", "OBS402")


def test_a_policy_that_names_the_second_key_alone_accepts_no_log_without_it(tmp_path: Path) -> None:
    twice, once = tmp_path / "twice.log", tmp_path / "once.log"
    _, cosigner = signed_twice(twice)
    with SealedLog.create(once, signing_seed=SEED, origin=NAME) as log:
        log.append_batch([b"{}"] * 300)
    (tmp_path / "policy.toml").write_text(f'signers = ["{cosigner}"]\n')
    policy = load_policy(tmp_path / "policy.toml")
    assert audit_logs(twice, policy=policy)[0].verdict == "VERIFIED"
    assert audit_logs(once, policy=policy)[0].verdict == "POLICY_DOWNGRADE"


def test_a_proof_of_one_record_checks_with_either_key(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    keys = signed_twice(path)
    proof = prove_record(path, 42)
    for key in keys:
        assert check_proof(proof, key)[2] == 42


def test_a_second_key_needs_a_first_and_stays(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cosigning_seed needs signing_seed"):
        SealedLog.create(tmp_path / "none.log", cosigning_seed=SECOND_SEED)
    path = tmp_path / "events.log"
    signed_twice(path)
    with pytest.raises(KeyUnusable, match="another checkpoint key"):
        SealedLog.open(path, signing_seed=SEED)
    forged = Forge(origin=NAME)
    forged.begin(cosigner="example.org/log+00000000+AAAA").events(1)
    (tmp_path / "forged.log").write_bytes(forged.bytes())
    (audit,) = audit_logs(tmp_path / "forged.log")
    assert audit.verdict == "TAMPERED"
    assert "its signer" in audit.findings[0].text
