#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check a C2SP signed note with the standard library only: verify_note.py VERIFIER-KEY NOTE-FILE."""

import base64
import hashlib
import sys

# Ed25519 (RFC 8032), verification only; slow and plain.
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    """Sum of two points in extended coordinates."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return (f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P


def times(n, point):
    """A point added to itself n times."""
    out = (0, 1, 1, 0)
    while n:
        out, point, n = add(out, point) if n & 1 else out, add(point, point), n >> 1
    return out


def decode_point(data):
    """The point that 32 bytes stand for; ValueError when they stand for none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x * pow(2, (P - 1) // 4, P) % P if (x * x - xx) % P else x
    if y >= P or (x * x - xx) % P or (x == 0 and sign) or len(data) != 32:
        raise ValueError("not a point")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decode_point(bytes.fromhex("58" + "66" * 31))


def ed25519_ok(public, message, signature):
    """True when signature (64 bytes) over message is by public (32 bytes)."""
    try:
        a, r = decode_point(public), decode_point(signature[:32])
    except ValueError:
        return False
    s = int.from_bytes(signature[32:], "little")
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left, right = times(s, BASE), add(r, times(int.from_bytes(digest, "little") % ORDER, a))
    same = [(left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1)]
    return s < ORDER and len(signature) == 64 and all(same)


def note_signed(note, verifier_key):
    """True when the note carries a right signature of the C2SP verifier key (name+hash+base64)."""
    name, key_hash, blob = verifier_key.split("+", 2)
    text, _, signatures = note.rpartition("\n\n")
    public = base64.b64decode(blob, validate=True)
    if len(public) != 33 or public[0] != 1:
        raise ValueError("not an Ed25519 verifier key")
    if hashlib.sha256(name.encode() + b"\n" + public).digest()[:4].hex() != key_hash:
        raise ValueError("the verifier key's hash does not fit")
    lines = [line[2:].rpartition(" ") for line in signatures.splitlines() if line.startswith("\u2014 ")]
    found = [base64.b64decode(value, validate=True) for who, _, value in lines if who == name]
    message = text.encode() + b"\n"
    return any(s[:4].hex() == key_hash and ed25519_ok(public[1:], message, s[4:]) for s in found)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8", newline="") as file:
        good = note_signed(file.read(), sys.argv[1])
    print("signature holds" if good else "signature does not hold")
    sys.exit(0 if good else 14)
