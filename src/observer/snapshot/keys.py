# SPDX-License-Identifier: Apache-2.0
"""Keys of encrypted snapshots: a fresh file key for each, wrapped in age format to recipients or to a passphrase.

Secrets come from files that the environment names, or from the store's own identity (0600); never from an argument.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer.errors import CapabilityError, KeyUnusable

__all__ = [
    "IDENTITY_VARIABLE",
    "KeySource",
    "PASSPHRASE_VARIABLE",
    "RECIPIENTS_VARIABLE",
    "unwrap_file_key",
    "wrap_file_key",
]

RECIPIENTS_VARIABLE: Final = "OBSERVER_SNAPSHOT_RECIPIENTS_FILE"
IDENTITY_VARIABLE: Final = "OBSERVER_SNAPSHOT_IDENTITY_FILE"
PASSPHRASE_VARIABLE: Final = "OBSERVER_SNAPSHOT_PASSPHRASE_FILE"  # noqa: S105  the name of a variable
_FILE_KEY_BYTES: Final = 32
_LARGEST: Final = 64 * 1024  # of a file that holds keys; more is surely a wrong file
_PASSPHRASE_STANZA: Final = b"\n-> scrypt "


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where keys are taken from.

    Attributes:
        recipients: Age recipients (`age1…`) that a new snapshot is encrypted to.
        identity_file: File with age identities (`AGE-SECRET-KEY-1…`) that open one.
        passphrase_file: File whose first line encrypts or opens.
        store_identity: The store's own identity, made when it is needed and nothing else is given.
    """

    recipients: tuple[str, ...] = ()
    identity_file: Path | None = None
    passphrase_file: Path | None = None
    store_identity: Path | None = None

    @classmethod
    def from_environment(cls, store_identity: Path | None = None) -> KeySource:
        """Return what the environment names; the store's identity is the last resort.

        Raises:
            KeyUnusable: A file that it names cannot be read. [OBS101]
        """
        names = {
            name: os.environ.get(name)
            for name in (RECIPIENTS_VARIABLE, IDENTITY_VARIABLE, PASSPHRASE_VARIABLE)
        }
        recipients = names[RECIPIENTS_VARIABLE]
        return cls(
            _lines(Path(recipients)) if recipients else (),
            Path(value) if (value := names[IDENTITY_VARIABLE]) else None,
            Path(value) if (value := names[PASSPHRASE_VARIABLE]) else None,
            store_identity,
        )


def _age() -> Any:
    try:
        import pyrage  # type: ignore[import-untyped]
    except ImportError as error:
        raise CapabilityError(
            "encrypted snapshots need pyrage", hint="pip install 'forgeone-observer[seal]'"
        ) from error
    return pyrage


def _lines(file: Path) -> tuple[str, ...]:
    """Return the lines of a file of keys, without comments."""
    try:
        if not file.is_file():
            raise KeyUnusable(f"no plain file of keys at {file}", hint="make one with 'age-keygen -o FILE'")
        with file.open("rb") as opened:
            text = opened.read(_LARGEST).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise KeyUnusable(f"cannot read keys from {file}: {reason}", hint="check the file") from error
    found = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    if not found:
        raise KeyUnusable(f"{file} holds no key", hint="one key or recipient on a line")
    return found


def _identity(file: Path) -> Any:
    """Return the store's identity, made at the first use."""
    age = _age()
    if not file.exists():
        made = age.x25519.Identity.generate()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(f"# public key: {made.to_public()}\n{made}\n")
            opened.flush()
            os.fsync(opened.fileno())
    return age.x25519.Identity.from_str(_lines(file)[0])


def wrap_file_key(source: KeySource) -> tuple[bytes, bytes]:
    """Return a fresh file key (32 bytes) and the age file that holds it.

    Raises:
        CapabilityError: The extra `seal` is not installed. [OBS200]
        KeyUnusable: A recipient is none, or there is nobody to encrypt to. [OBS101]
    """
    age, key = _age(), secrets.token_bytes(_FILE_KEY_BYTES)
    if source.passphrase_file is not None and not source.recipients:
        return key, age.passphrase.encrypt(key, _lines(source.passphrase_file)[0])
    try:
        recipients = [age.x25519.Recipient.from_str(text) for text in source.recipients]
        if not recipients and source.store_identity is not None:
            recipients = [_identity(source.store_identity).to_public()]
    except (age.RecipientError, age.IdentityError) as error:
        raise KeyUnusable(f"not an age recipient: {error}", hint="give 'age1…' of the reader") from error
    if not recipients:
        raise KeyUnusable("nobody to encrypt to", hint=f"name recipients with {RECIPIENTS_VARIABLE}")
    return key, age.encrypt(key, recipients)


def unwrap_file_key(block: bytes, source: KeySource, place: Path) -> bytes:
    """Return the file key that an age file holds.

    Args:
        block: The age file.
        source: Where identities and passphrases come from.
        place: The snapshot, for the error's sentence.

    Raises:
        CapabilityError: The extra `seal` is not installed. [OBS200]
        KeyUnusable: None of the keys opens it. [OBS101]
    """
    age = _age()
    hint = f"name the reader's key with {IDENTITY_VARIABLE} or {PASSPHRASE_VARIABLE}"
    try:
        if _PASSPHRASE_STANZA in block[:200]:
            if source.passphrase_file is None:
                raise KeyUnusable(f"{place} is encrypted with a passphrase and none was given", hint=hint)
            key = age.passphrase.decrypt(block, _lines(source.passphrase_file)[0])
        else:
            key = age.decrypt(block, _identities(source, place, hint))
    except (age.DecryptError, age.IdentityError, ValueError) as error:
        raise KeyUnusable(f"{place} does not open with this key: {error}", hint=hint) from error
    if len(key) != _FILE_KEY_BYTES:
        raise KeyUnusable(f"{place} holds a file key of {len(key)} bytes", hint="the file is damaged")
    return bytes(key)


def _identities(source: KeySource, place: Path, hint: str) -> list[Any]:
    age = _age()
    files = [source.identity_file] if source.identity_file is not None else []
    if source.store_identity is not None and source.store_identity.exists():
        files.append(source.store_identity)
    found = [age.x25519.Identity.from_str(line) for file in files for line in _lines(file)]
    if not found:
        raise KeyUnusable(f"{place} is encrypted and no identity was given", hint=hint)
    return found
