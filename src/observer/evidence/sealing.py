# SPDX-License-Identifier: Apache-2.0
"""A log's first key, made at random and left readable to the operator alone.

The machine keeps only the current epoch's key (`<log>.sealkey`); the first is encrypted to an age X25519 recipient
(`<log>.sealkey.age`) and then forgotten. Who takes the machine later cannot re-sign what was signed before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from observer.errors import CapabilityError, CaptureError, KeyUnusable

__all__ = ["open_sealed_key", "seal_new_key"]

_KEY_BYTES = 32
_MAX_SEALED_BYTES = 64 * 1024


def seal_new_key(log: str | os.PathLike[str], recipient: str) -> bytes:
    """Make a log's first key and leave it beside the log, encrypted to the operator.

    Args:
        log: The log about to be made; `<log>.sealkey.age` must not exist.
        recipient: The operator's age X25519 recipient, `age1…`.

    Returns:
        The key, 32 bytes: give it to `SealedLog.create(key=..., keep_key=True)` and keep no copy.

    Raises:
        CapabilityError: The extra `seal` is not installed. [OBS200]
        KeyUnusable: Not an age recipient. [OBS101]
        CaptureError: The file exists or cannot be written. [OBS300]

    Source: https://age-encryption.org/v1
    """
    age = _age()
    key = os.urandom(_KEY_BYTES)
    try:
        sealed = age.encrypt(key.hex().encode(), [age.x25519.Recipient.from_str(recipient)])
    except age.RecipientError as error:
        raise KeyUnusable(f"not an age recipient: {error}", hint="give the operator's 'age1…'") from error
    file = Path(f"{os.fspath(log)}.sealkey.age")
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as opened:
            opened.write(sealed)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise CaptureError(f"cannot write {file}: {error.strerror}") from error
    return key


def open_sealed_key(file: str | os.PathLike[str], identity: str) -> bytes:
    """Return a log's first key from `<log>.sealkey.age` with the operator's identity (`AGE-SECRET-KEY-1…`).

    Raises:
        CapabilityError: The extra `seal` is not installed. [OBS200]
        KeyUnusable: The file cannot be read, or not with this identity. [OBS101]
    """
    age = _age()
    try:
        with Path(file).open("rb") as opened:
            sealed = opened.read(_MAX_SEALED_BYTES)
        return bytes.fromhex(
            age.decrypt(sealed, [age.x25519.Identity.from_str(identity.strip())]).decode("ascii")
        )
    except OSError as error:
        raise KeyUnusable(f"cannot read {os.fspath(file)}: {error.strerror}") from error
    except (age.DecryptError, age.IdentityError, ValueError) as error:
        raise KeyUnusable(f"{os.fspath(file)} does not open with this identity: {error}") from error


def _age() -> Any:
    try:
        import pyrage  # type: ignore[import-untyped]
    except ImportError as error:
        raise CapabilityError(
            "sealing keys to an operator needs pyrage", hint="pip install 'forgeone-observer[seal]'"
        ) from error
    return pyrage
