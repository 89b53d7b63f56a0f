# SPDX-License-Identifier: Apache-2.0
"""Finishes the record of a call that the recorder could not: a trap or a limit ended the plugin inside it.

The host may have written before that, so a replay needs it: what the recorder would have read is read here.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Mapping

from observer.plugins.functions import HostFunction, Parameter
from observer.plugins.machine import Machine
from observer.plugins.ring import NO_RESULT, Call, read_calls

__all__ = ["finish_call"]

_OF_FAILED = 65_536  # bytes kept of each output of a failed call


def finish_call(machine: Machine, sizes: Mapping[str, int], entry: bytes) -> bytes:
    """Return the whole call, given its entry and the plugin's memory as the host left it.

    Args:
        machine: The plugin.
        sizes: Bytes of `sized` parameters.
        entry: The call as known at entry, with its result if it had returned.
    """
    call = next(read_calls(entry))
    function = machine.image.functions[call.function]
    size = int(machine.memory.data_len(machine.store))
    base = ctypes.cast(machine.memory.data_ptr(machine.store), ctypes.c_void_p).value or 0
    out, flags = bytearray(entry), call.flags
    for index, address, length in _outputs(function, call, sizes, (base, size)):
        kept = max(min(length, size - address), 0)
        flags |= 4 if kept < length else 0
        piece = ctypes.string_at(base + address, kept) if kept else b""
        out += struct.pack("<IIII", index, address if kept else 0, length, kept) + piece
        out += bytes(-len(out) % 8)
    out[0:4] = len(out).to_bytes(4, "little")
    out[6:8] = flags.to_bytes(2, "little")
    return bytes(out)


def _outputs(
    function: HostFunction, call: Call, sizes: Mapping[str, int], memory: tuple[int, int]
) -> Iterator[tuple[int, int, int]]:
    offsets, offset = [], 0
    for parameter in function.parameters:
        offsets.append(offset)
        offset += parameter.width
    arguments = [call.argument(at, p.width) for at, p in zip(offsets, function.parameters, strict=True)]
    for index, parameter in enumerate(function.parameters):
        address = arguments[index]
        if parameter.kind == "out":
            yield index, address, int(parameter.size)
        elif parameter.kind == "sized":
            yield index, address, sizes[parameter.size]
        elif parameter.kind == "fill":
            yield (
                index,
                address,
                _filled(parameter, arguments, -1 if call.flags & NO_RESULT else call.result, memory),
            )
        elif parameter.kind == "scatter" and (call.result == 0 or call.flags & NO_RESULT):
            told = _OF_FAILED if call.flags & NO_RESULT else _word(memory, arguments[parameter.used or 0])
            yield from _scattered(index, call, function.argument_bytes, told)


def _word(memory: tuple[int, int], address: int) -> int:
    base, size = memory
    return int(ctypes.c_uint32.from_address(base + address).value) if address + 4 <= size else 0


def _filled(parameter: Parameter, arguments: list[int], result: int, memory: tuple[int, int]) -> int:
    capacity = arguments[parameter.count or 0]
    if parameter.used == -1:
        used = max(result, 0)
    elif result != 0:
        used = min(capacity, _OF_FAILED)
    else:
        used = capacity if parameter.used is None else _word(memory, arguments[parameter.used])
    return min(used, capacity) * int(parameter.size or 1)


def _scattered(index: int, call: Call, arguments: int, left: int) -> Iterator[tuple[int, int, int]]:
    array = next((blob.content for blob in call.blobs(arguments) if blob.param == index), memoryview(b""))
    for at in range(0, len(array) - 7, 8):
        address, length = struct.unpack_from("<II", array, at)
        taken = min(length, left)
        left -= taken
        if taken:
            yield index, address, taken
