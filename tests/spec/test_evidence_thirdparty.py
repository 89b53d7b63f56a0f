# SPDX-License-Identifier: Apache-2.0
"""Strangers agree: a Go program of golang.org/x/mod alone checks our proofs, and C2SP's published notes verify with ours."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from observer import _native
from observer.errors import FormatError, MacMismatch, ObserverError
from observer.evidence import RecordProof, SealedLog, check_proof, prove_record

GO = Path(__file__).parents[1] / "thirdparty" / "go"
SEED = bytes([3]) * 32
# The example of https://c2sp.org/signed-note, and that of Go's sumdb/note.
PUBLISHED = [
    (
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        (
            "This is an example message.\n\n\u2014 example.com/foo "
            "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
        ),
    ),
    (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        (
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
            "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        ),
    ),
]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("go") is None:
        pytest.skip("NOT CHECKED BY A STRANGER: no 'go' on PATH; install golang 1.19 or newer")
    program = tmp_path_factory.mktemp("go") / "stranger"
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=GO,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOFLAGS": "-mod=mod"},
    )
    if built.returncode:
        pytest.skip(f"NOT CHECKED BY A STRANGER: golang.org/x/mod cannot be had: {built.stderr[-300:]}")
    return program


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[RecordProof]]:
    log = tmp_path_factory.mktemp("log") / "events.log"
    with SealedLog.create(log, signing_seed=SEED, origin="example.org/log", rotate_bytes=20_000) as opened:
        for number in range(300):
            opened.append(b'{"n":%d}' % number)
        key = str(opened.identity["signer"])
    return key, [prove_record(log, sequence) for sequence in (0, 1, 2, 63, 64, 150, 255, 256, 299, 301)]


def ask(program: Path, place: Path, key: str, proof: bytes, line: bytes) -> subprocess.CompletedProcess[str]:
    (place / "p").write_bytes(proof)
    (place / "l").write_bytes(line)
    return subprocess.run(
        [str(program), key, str(place / "p"), str(place / "l")], capture_output=True, text=True, check=False
    )


def test_go_accepts_every_proof(
    stranger: Path, proofs: tuple[str, list[RecordProof]], tmp_path: Path
) -> None:
    key, made = proofs
    for proof in made:
        answer = ask(stranger, tmp_path, key, proof.text.encode(), proof.line)
        assert answer.returncode == 0, answer.stderr
        assert f"record {check_proof(proof, key)[2]} is in example.org/log" in answer.stdout


def test_go_and_observer_refuse_every_mutant(
    stranger: Path, proofs: tuple[str, list[RecordProof]], tmp_path: Path
) -> None:
    key, made = proofs
    dice = random.Random(20261123)
    for _ in range(150):
        proof = dice.choice(made)
        parts = [bytearray(proof.text.encode()), bytearray(proof.line)]
        part = parts[dice.random() < 0.25]
        at = dice.randrange(len(part))
        part[at] ^= 1 << dice.randrange(7)
        text, line = bytes(parts[0]), bytes(parts[1])
        if b"\n\xe2\x80\x94 " not in text or b"\r" in text:
            continue  # no signature line left, or a line end that Go's Cut and Split read otherwise
        answer = ask(stranger, tmp_path, key, text, line)
        assert answer.returncode != 0, (at, text)
        with pytest.raises((ObserverError, UnicodeDecodeError)):
            check_proof(RecordProof(text.decode(), line), key)


def test_the_program_stays_short_and_strange() -> None:
    source = (GO / "main.go").read_text()
    assert len(source.splitlines()) < 40
    imports = source.split("import (")[1].split(")")[0].split()
    assert {name.strip('"') for name in imports} == {
        "fmt",
        "os",
        "strings",
        "golang.org/x/mod/sumdb/note",
        "golang.org/x/mod/sumdb/tlog",
    }


@pytest.mark.parametrize(("key", "note"), PUBLISHED, ids=["c2sp", "go"])
def test_published_notes_verify_and_their_mutants_do_not(key: str, note: str) -> None:
    assert _native.note_verify(note, key) is None
    for at in range(0, len(note), 3):
        mutant = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises((FormatError, MacMismatch)):
            _native.note_verify(mutant, key)
