# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/evidence-log/: logs with one fault each, for every verifier. Same bytes at every run."""

from __future__ import annotations

import base64
from pathlib import Path

from observer import _native
from tests.spec.evidence_forge import KEY, ORIGIN, SEED, Forge, compact, reseal, sample

PLACE = Path(__file__).parent.parent / "tests" / "vectors" / "evidence-log"


def joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def with_checkpoint(change: bytes = b"", by: bytes = b"", *, forged: bool = False) -> bytes:
    """Return a log with a signed checkpoint; `change` is replaced by `by` in the note; `forged` signs with another key."""
    signer = _native.note_verifier_key(ORIGIN, SEED, witness=False)
    forge = Forge(signer=signer).begin().events(3)
    text = f"{ORIGIN}\n{len(forge.lines)}\n{base64.b64encode(forge.root()).decode()}\n"
    note = _native.note_sign(text, ORIGIN, SEED).encode().replace(change, by, 1)
    if forged:
        name, tag, signature = note.rstrip(b"\n").rpartition(b" ")
        raw = bytearray(base64.b64decode(signature))
        raw[-1] ^= 1
        note = name + tag + base64.b64encode(bytes(raw)) + b"\n"
    return forge.add({"note": note.decode()}, "checkpoint").events(1).end().bytes()


def middle(event: bytes) -> bytes:
    """Return a log whose line 3 holds `event`, rightly sealed."""
    return Forge().begin().events(1).add(event).events(1).end().bytes()


def vectors() -> dict[str, tuple[str, int, bytes | None, str, bytes]]:
    """Return name -> (expected code, line, key to verify with, note, bytes)."""
    plain, signed = sample().lines, sample(KEY).lines
    edited = plain[3].replace(b'"n":2', b'"n":3')
    epochs = Forge(key=KEY).begin().events(2).epoch(1).events(2).epoch(2).events(1).end()
    old_key = Forge(key=KEY).begin().events(2).epoch(1)
    old_key.key = KEY
    cut, deep = joined(plain[:4]), b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"
    bad_root = (
        Forge()
        .begin()
        .events(2)
        .add({"size": 3, "root": "0" * 64, "wall_ns": 1, "boot_ns": 1, "boot": ""}, "end")
    )
    return {
        "plain": ("proven", 0, None, "a whole log without key", joined(plain)),
        "signed": ("proven", 0, KEY, "a whole log with a key", joined(signed)),
        "signed_without_key": ("proven", 0, None, "chain only: the key is not at hand", joined(signed)),
        "epochs": ("proven", 0, KEY, "the key moves on twice", epochs.bytes()),
        "checkpoint": ("proven", 0, None, "a signed checkpoint inside", with_checkpoint()),
        "torn_tail": ("torn", 0, None, "cut inside a line by a crash", cut + plain[4][:20]),
        "zeroed_tail": ("zeroed", 0, None, "length reached the disk, data did not", cut + bytes(512)),
        "no_newline_at_end": (
            "torn",
            0,
            None,
            "a whole line without its newline is not whole",
            cut + plain[4],
        ),
        "truncated_at_line": ("proven", 0, None, "undetectable without something known from elsewhere", cut),
        "empty": ("OBS500", 1, None, "nothing", b""),
        "not_a_log": ("OBS500", 1, None, "somebody's notes", b"my notes\n"),
        "original_format": ("OBS500", 1, None, "no seq", b'{"event":{},"chainHash":"' + b"0" * 64 + b'"}\n'),
        "begins_in_the_middle": ("OBS500", 1, None, "first file is missing", joined(plain[2:])),
        "newer_version": ("OBS501", 1, None, "version 2", Forge().begin(version=2).bytes()),
        "other_format": ("OBS500", 1, None, "another format's name", Forge().begin(format="x").bytes()),
        "event_edited": (
            "OBS401",
            4,
            None,
            "one digit of an event",
            joined([*plain[:3], edited, *plain[4:]]),
        ),
        "event_edited_resealed": (
            "OBS401",
            5,
            None,
            "the edited line's own chain value made to fit",
            joined([*reseal([*plain[:3], edited], None, 3), *plain[4:]]),
        ),
        "rewritten_without_key": (
            "OBS402",
            4,
            KEY,
            "edited and all resealed with another key",
            joined(reseal([*signed[:3], signed[3].replace(b'"n":2', b'"n":3'), *signed[4:]], b"x" * 32, 3)),
        ),
        "line_deleted": ("OBS403", 4, None, "one line gone", joined([*plain[:3], *plain[4:]])),
        "line_deleted_resealed": (
            "OBS401",
            6,
            None,
            "the rest resealed; the end record still tells the old size",
            joined(reseal([*plain[:3], *plain[4:]], None, 3)),
        ),
        "line_repeated": ("OBS403", 5, None, "one line twice", joined([*plain[:4], *plain[3:]])),
        "lines_swapped": (
            "OBS403",
            3,
            None,
            "order changed",
            joined([*plain[:2], plain[3], plain[2], *plain[4:]]),
        ),
        "line_from_other_log": (
            "OBS401",
            4,
            None,
            "same place, another log",
            joined([*plain[:3], sample(log="f" * 32).lines[3], *plain[4:]]),
        ),
        "line_inserted": (
            "OBS401",
            4,
            None,
            "a made-up line",
            joined([*plain[:3], plain[3][:-5] + b'00"}', *plain[3:]]),
        ),
        "malformed_line": ("OBS401", 3, None, "not a line", joined([*plain[:2], b"{}", *plain[2:]])),
        "empty_line": ("OBS401", 3, None, "an empty line", joined([*plain[:2], b"", *plain[2:]])),
        "space_in_envelope": (
            "OBS401",
            2,
            None,
            "valid JSON, other bytes",
            joined([plain[0], plain[1].replace(b'"seq":', b'"seq": ')]),
        ),
        "carriage_return": ("OBS500", 1, None, "CRLF line ends", joined(plain).replace(b"\n", b"\r\n")),
        "upper_case_hex": (
            "OBS401",
            2,
            None,
            "one spelling only",
            joined([plain[0], plain[1][:-70] + plain[1][-70:].upper()]),
        ),
        "leading_zero_seq": (
            "OBS401",
            2,
            None,
            "one spelling only",
            joined([plain[0], plain[1].replace(b'"seq":1', b'"seq":01')]),
        ),
        "huge_seq": (
            "OBS401",
            2,
            None,
            "2^64",
            joined([plain[0], plain[1].replace(b'"seq":1', b'"seq":18446744073709551616')]),
        ),
        "second_begin": (
            "OBS401",
            3,
            None,
            "a first line in the middle",
            Forge().begin().events(1).begin().bytes(),
        ),
        "end_root_wrong": ("OBS401", 4, None, "end states another root", bad_root.bytes()),
        "wrong_key": ("OBS402", 1, b"\x08" * 32, "verified with another key", joined(signed)),
        "unsigned_with_key": ("OBS402", 1, KEY, "replaced by an unsigned log", joined(plain)),
        "hmac_missing": (
            "OBS402",
            3,
            KEY,
            "one line without",
            joined([*signed[:2], *reseal(_unsigned(signed), None, 2)[2:]]),
        ),
        "hmac_in_unsigned_log": ("OBS402", 3, None, "one line with", joined(_resealed_with_key(plain, 2))),
        "old_epoch_key": (
            "OBS402",
            5,
            KEY,
            "signed on with the key of the epoch before",
            old_key.events(1).bytes(),
        ),
        "epoch_skipped": (
            "OBS401",
            3,
            None,
            "epochs count by one",
            Forge(key=KEY).begin().events(1).epoch(2).bytes(),
        ),
        "checkpoint_root_wrong": ("OBS401", 5, None, "another root", with_checkpoint(b"\n4\n", b"\n4\nAAAA")),
        "checkpoint_size_wrong": ("OBS401", 5, None, "another size", with_checkpoint(b"\n4\n", b"\n5\n")),
        "checkpoint_origin_wrong": (
            "OBS401",
            5,
            None,
            "another log's name",
            with_checkpoint(b"host-events\n4", b"host-eventz\n4"),
        ),
        "checkpoint_signature_wrong": ("OBS402", 5, None, "another signature", with_checkpoint(forged=True)),
        "duplicate_key": ("OBS500", 3, None, "two parsers read two things", middle(b'{"a":1,"a":2}')),
        "duplicate_key_nested": ("OBS500", 3, None, "deeper", middle(b'{"x":[{"a":1,"b":{},"a":2}]}')),
        "duplicate_key_escaped": (
            "OBS500",
            3,
            None,
            "the same after undoing escapes",
            middle(b'{"a":1,"\\u0061":2}'),
        ),
        "invalid_utf8": ("OBS500", 3, None, "a lone byte 0xFF", middle(b'{"a":"\xff"}')),
        "overlong_utf8": ("OBS500", 3, None, "an overlong slash", middle(b'{"a":"\xc0\xaf"}')),
        "utf8_surrogate": ("OBS500", 3, None, "a surrogate in UTF-8", middle(b'{"a":"\xed\xa0\x80"}')),
        "lone_surrogate": ("OBS500", 3, None, "half a pair", middle(b'{"a":"\\ud800"}')),
        "control_byte": ("OBS500", 3, None, "a raw tab", middle(b'{"a":"\t"}')),
        "nan": ("OBS500", 3, None, "not JSON", middle(b'{"a":NaN}')),
        "leading_zero_number": ("OBS500", 3, None, "not JSON", middle(b'{"a":012}')),
        "trailing_comma": ("OBS500", 3, None, "not JSON", middle(b'{"a":1,}')),
        "two_objects": ("OBS500", 3, None, "bytes after the object", middle(b'{"a":1}{"b":2}')),
        "too_deep": ("OBS500", 3, None, "65 levels", middle(deep)),
        "long_number": ("OBS500", 3, None, "129 digits", middle(b'{"a":' + b"1" * 129 + b"}")),
        "huge_number": (
            "OBS500",
            3,
            None,
            "infinity to some parsers, an error to others",
            middle(b'{"a":-42e5619}'),
        ),
        "large_number": ("proven", 0, None, "below 10^308", middle(b'{"a":[9.9e307,1e-999,-0.0e0]}')),
        "envelope_inside_event": (
            "proven",
            0,
            None,
            "text that looks like an envelope",
            middle(compact({"x": '","chainHash":"' + "0" * 64})),
        ),
    }


def _unsigned(lines: list[bytes]) -> list[bytes]:
    return [
        *lines[:2],
        *(line[: line.rindex(b',"hmac":')] + line[line.rindex(b',"chainHash":') :] for line in lines[2:3]),
    ]


def _resealed_with_key(lines: list[bytes], at: int) -> list[bytes]:
    return reseal(lines[: at + 1], KEY, at)


def main() -> None:
    """Write every vector."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for old in PLACE.iterdir():
        old.unlink()
    for name, (expect, line, key, note, data) in vectors().items():
        place = f"line: {line}\n" if line else ""
        secret = f"key: {key.hex()}\n" if key else ""
        head = f"expect: {expect}\n{place}{secret}note: {note}\n\n"
        (PLACE / name).write_bytes(head.encode() + data)


if __name__ == "__main__":
    main()
