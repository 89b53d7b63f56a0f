# SPDX-License-Identifier: Apache-2.0
"""Where the secret that signs log lines comes from: the environment or a file, never an argument.

A key that is asked for and cannot be used is an error. A log is never left unsigned because its key is bad.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from observer.errors import KeyUnusable

__all__ = [
    "KEY_FILE_VARIABLE",
    "KEY_VARIABLE",
    "MAX_KEY_BYTES",
    "MIN_KEY_BYTES",
    "load_hmac_key",
    "parse_hex_key",
]

KEY_VARIABLE = "WSLMON_LOG_HMAC_KEY"
KEY_FILE_VARIABLE = "WSLMON_LOG_HMAC_KEY_FILE"
MIN_KEY_BYTES = 32  # the strength of SHA-256 itself
MAX_KEY_BYTES = 4096  # more is surely a wrong file
_SEED_BYTES = 32  # RFC 8032 section 5.1.5
_MAX_TEXT_BYTES = 4 * MAX_KEY_BYTES  # two digits a byte, and as much again for separators


def load_hmac_key(environ: Mapping[str, str] | None = None) -> bytes | None:
    """Return the HMAC key that the environment asks for, or None when it asks for none.

    Args:
        environ: Variables to look in; None means those of this process.

    Returns:
        32 to 4,096 bytes, or None when neither variable is set.

    Raises:
        KeyUnusable: A variable is set and no key follows from it, or both are set and differ. [OBS101]

    Source: docs/spec/evidence-log.md, "Keys".
    """
    variables = os.environ if environ is None else environ
    text, file = variables.get(KEY_VARIABLE), variables.get(KEY_FILE_VARIABLE)
    direct = None if text is None else parse_hex_key(text, KEY_VARIABLE)
    from_file = None if file is None else _read_key_file(file)
    if direct is not None and from_file is not None and direct != from_file:
        raise KeyUnusable(
            f"{KEY_VARIABLE} and {KEY_FILE_VARIABLE} give different keys", hint="unset one of them"
        )
    return from_file if direct is None else direct


def parse_hex_key(text: str, source: str) -> bytes:
    """Return the bytes of a key in hexadecimal; white space, `:` and `-` between digits are ignored.

    Args:
        text: The digits, either case.
        source: Where they come from, for the error's sentence; the key itself is never shown.

    Raises:
        KeyUnusable: Not hexadecimal, an odd number of digits, or not 32 to 4,096 bytes. [OBS101]
    """
    digits = re.sub(r"[\s:\-]", "", text)
    if not digits:
        raise KeyUnusable(f"{source} is empty")
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        raise KeyUnusable(f"{source} is not hexadecimal")
    if len(digits) % 2:
        raise KeyUnusable(f"{source} has an odd number of digits ({len(digits)})")
    key = bytes.fromhex(digits)
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise KeyUnusable(f"{source} holds {len(key)} bytes; {MIN_KEY_BYTES} to {MAX_KEY_BYTES} are needed")
    return key


def _read_key_file(name: str) -> bytes:
    source = f"the file that {KEY_FILE_VARIABLE} names"
    if not name:
        raise KeyUnusable(f"{KEY_FILE_VARIABLE} is empty")
    try:
        # Not a FIFO, not a device: reading one could hang or never end.
        if Path(name).exists() and not Path(name).is_file():
            raise KeyUnusable(f"{source} is not a plain file: {name}")
        with Path(name).open("rb") as file:
            raw = file.read(_MAX_TEXT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise KeyUnusable(f"cannot read {source}: {name}: {reason}") from error
    if len(raw) > _MAX_TEXT_BYTES:
        raise KeyUnusable(f"{source} is too long to be a key: {name}")
    try:
        return parse_hex_key(raw.decode("ascii"), f"{source} ({name})")
    except UnicodeDecodeError as error:
        raise KeyUnusable(f"{source} is not hexadecimal: {name}") from error


def read_seed(file: Path, *, make: bool = False) -> bytes:
    """Return the 32 bytes of an Ed25519 private key from a file of 64 hexadecimal digits.

    Args:
        file: The file; a new one is made with mode 0600.
        make: Make the file, from the kernel's random bytes, when there is none.

    Raises:
        KeyUnusable: It cannot be read or made, or does not hold such a key. [OBS101]
    """
    try:
        if make and not file.exists():
            seed = os.urandom(_SEED_BYTES)
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as opened:
                opened.write(seed.hex() + "\n")
        with file.open("rb") as opened_bytes:
            text = opened_bytes.read(_MAX_TEXT_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not text"
        raise KeyUnusable(
            f"cannot use seed file {file}: {reason}", hint="'observer witness key FILE' makes one"
        ) from error
    seed = parse_hex_key(text, f"seed file {file}")
    if len(seed) != _SEED_BYTES:
        raise KeyUnusable(f"seed file {file} holds {len(seed)} bytes; {_SEED_BYTES} are needed")
    return seed
