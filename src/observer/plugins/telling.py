# SPDX-License-Identifier: Apache-2.0
"""A call in words, and its arguments as values."""

from __future__ import annotations

from observer.plugins.functions import HostFunction, Parameter
from observer.plugins.ring import Call, read_calls

__all__ = ["arguments_of", "first_change", "short", "tell", "whole_call"]

_SHOWN = 64
_SIGNED = {"i32": 32, "i64": 64}


def _value(parameter: Parameter, number: int, content: list[bytes]) -> bytes | int:
    if parameter.kind in ("path", "text", "array"):
        return b"".join(content)
    if parameter.kind == "gather":
        return b"".join(content[1:])  # the first piece is the array of iovecs
    bits = _SIGNED.get(parameter.kind)
    return number - (1 << bits) if bits and number >> (bits - 1) else number


def arguments_of(function: HostFunction, entry: bytes | memoryview) -> list[bytes | int]:
    """Return the arguments of a call: numbers, and the bytes that pointers handed over."""
    call: Call = next(read_calls(len(entry).to_bytes(4, "little") + bytes(entry[4:])))
    pieces: dict[int, list[bytes]] = {}
    for blob in call.blobs(function.argument_bytes):
        pieces.setdefault(blob.param, []).append(bytes(blob.content))
    values: list[bytes | int] = []
    offset = 0
    for index, parameter in enumerate(function.parameters):
        number = call.argument(offset, parameter.width)
        values.append(_value(parameter, number, pieces.get(index, [])))
        offset += parameter.width
    return values


def tell(function: HostFunction, entry: bytes | memoryview) -> str:
    """Return a call as one line, its arguments quoted and cut."""
    texts = [
        str(value)
        if isinstance(value, int)
        else repr(value[:_SHOWN])[1:] + ("…" if len(value) > _SHOWN else "")
        for value in arguments_of(function, entry)
    ]
    return f"{function.label}({', '.join(texts)})"


def whole_call(entry: bytes) -> Call:
    """Return an entry as a call that can be read."""
    return next(read_calls(len(entry).to_bytes(4, "little") + entry[4:]))


def first_change(function: HostFunction, expected: Call, entry: bytes) -> str:
    """Return which argument of a call differs from the recorded one, and how."""
    recorded = arguments_of(function, expected.raw[: expected.entry_size])
    replayed = arguments_of(function, entry)
    for parameter, old, new in zip(function.parameters, recorded, replayed, strict=False):
        if old != new:
            return f"{function.label}: argument {parameter.name} is {_text(new)}, was {_text(old)}"
    return f"{function.label}: what its arguments point to differs"


def _text(value: bytes | int) -> str:
    return str(value) if isinstance(value, int) else repr(value[:64])[1:]


def short(value: object) -> str:
    """Return a value as text of at most 200 letters."""
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
