# SPDX-License-Identifier: Apache-2.0
"""A witness cosigns only what extends what it cosigned before, over a socket as in memory, and after being killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from observer import _native
from observer.agents.link.witness_server import ask
from observer.errors import DeliveryError, FormatError, UsageError
from observer.evidence import SealedLog, Witness, audit_logs, prove_consistency
from observer.evidence.witness import request_body

SEED, OTHER = bytes([3]) * 32, bytes([4]) * 32
ORIGIN = "example.org/log"
LOG_KEY = _native.note_verifier_key(ORIGIN, SEED, witness=False)


def grow(path: Path, events: int, seed: bytes = SEED) -> str:
    options = {"signing_seed": seed, "origin": ORIGIN, "rotate_bytes": 20_000}
    opened = SealedLog.open(path, **options) if path.exists() else SealedLog.create(path, **options)
    with opened as log:
        for number in range(events):
            log.append(b'{"n":%d}' % number)
        return log.checkpoint() or ""


def size_of(note: str) -> int:
    return int(note.split("\n")[1])


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "state", "witness.example", OTHER, [LOG_KEY])


def test_cosigns_a_log_that_grows(witness: Witness, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    old = 0
    for _ in range(4):
        note = grow(log, 120)
        proof = prove_consistency(log, old, size_of(note))
        answer = witness.add_checkpoint(request_body(old, proof, note).encode())
        assert answer.status == 200
        assert _native.note_verify(note + answer.body, witness.verifier_key) is not None
        old = size_of(note)
    again = witness.add_checkpoint(request_body(old, [], note).encode())
    assert again.status == 200


def test_refuses_what_is_not_an_extension(witness: Witness, tmp_path: Path) -> None:
    first = grow(tmp_path / "a.log", 50)
    assert witness.add_checkpoint(request_body(0, [], first).encode()).status == 200
    size = size_of(first)
    later = grow(tmp_path / "a.log", 50)
    proof = prove_consistency(tmp_path / "a.log", size, size_of(later))
    stale = witness.add_checkpoint(request_body(size - 1, proof, later).encode())
    assert (stale.status, stale.body, stale.content_type) == (409, f"{size}\n", "text/x.tlog.size")
    assert witness.add_checkpoint(request_body(size, proof[:-1], later).encode()).status == 422
    other = grow(tmp_path / "b.log", 200)
    forked = prove_consistency(tmp_path / "b.log", size, size_of(other))
    assert witness.add_checkpoint(request_body(size, forked, other).encode()).status == 422
    kept = list((tmp_path / "state").glob("*.conflict-*"))
    assert len(kept) >= 1 and other in {file.read_text() for file in kept}
    assert witness.add_checkpoint(request_body(size_of(later) + 1, [], later).encode()).status == 400
    assert witness.add_checkpoint(request_body(size, proof, later).encode()).status == 200


def test_refuses_strangers_and_nonsense(witness: Witness, tmp_path: Path) -> None:
    strange = grow(tmp_path / "c.log", 5, seed=OTHER)
    assert witness.add_checkpoint(request_body(0, [], strange).encode()).status == 403
    unknown = _native.note_sign("example.org/unknown\n1\n" + "A" * 43 + "=\n", "example.org/unknown", SEED)
    assert witness.add_checkpoint(request_body(0, [], unknown).encode()).status == 404
    for body in (
        b"",
        b"old 0\n\n",
        b"old -1\n\nx",
        b"old 00\n\nx\n",
        b"\xff",
        b"old 0\nAAAA\n\nx\n",
        b"x" * 100_000,
    ):
        assert witness.add_checkpoint(body).status == 400


def test_a_second_history_is_never_cosigned_after_a_restart(tmp_path: Path) -> None:
    first = grow(tmp_path / "a.log", 50)
    one = Witness(tmp_path / "state", "witness.example", OTHER, [LOG_KEY])
    assert one.add_checkpoint(request_body(0, [], first).encode()).status == 200
    with pytest.raises(UsageError):
        Witness(tmp_path / "state", "witness.example", OTHER, [LOG_KEY])
    one.close()
    two = Witness(tmp_path / "state", "witness.example", OTHER, [LOG_KEY])
    other = grow(tmp_path / "b.log", 80)
    assert two.add_checkpoint(request_body(0, [], other).encode()).status == 409
    two.close()
    for file in (tmp_path / "state").glob("*.json"):
        file.write_text("{")
    three = Witness(tmp_path / "state", "witness.example", OTHER, [LOG_KEY])
    with pytest.raises(FormatError):
        three.add_checkpoint(request_body(0, [], other).encode())


@pytest.mark.parametrize("where", ["socket", "listen"])
def test_served_by_the_command(where: str, tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    command = [sys.executable, "-m", "observer", "witness"]
    key = subprocess.run(
        [*command, "key", str(seed), "--name", "witness.example"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert seed.stat().st_mode & 0o777 == 0o600
    address = str(tmp_path / "w.sock") if where == "socket" else "127.0.0.1:0"
    arguments = [
        "--seed",
        str(seed),
        "--name",
        "witness.example",
        "--log",
        LOG_KEY,
        "--state",
        str(tmp_path / "s"),
    ]
    server = subprocess.Popen(
        [*command, "serve", *arguments, f"--{where}", address, "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        log = tmp_path / "a.log"
        note = grow(log, 300)
        answer = ask(address, request_body(0, [], note))
        assert answer.status == 200
        with SealedLog.open(log, signing_seed=SEED, origin=ORIGIN) as opened:
            opened.record_witness(note + answer.body)
        policy = {"signers": [LOG_KEY], "witnesses": [key]}
        (audit,) = audit_logs(log, policy=policy)
        assert (audit.verdict, audit.witnessed_size) == ("VERIFIED", size_of(note))
        grow(log, 10)
        (audit,) = audit_logs(log, policy=policy)
        assert audit.verdict == "VERIFIED_TO" and (audit.tail_lines or 0) > 10
        assert ask(address, "nonsense").status == 400
        if where == "socket":
            assert Path(address).stat().st_mode & 0o777 == 0o600
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
    with pytest.raises(DeliveryError):
        ask(address, "nonsense", timeout_s=2)
