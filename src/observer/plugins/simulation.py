# SPDX-License-Identifier: Apache-2.0
"""Simulated inputs: other bytes in place of recorded ones, and answers that fit them."""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Mapping

from observer.errors import UsageError
from observer.plugins.functions import HostFunction
from observer.plugins.imports import write_guest
from observer.plugins.machine import Machine
from observer.plugins.ring import Call
from observer.plugins.telling import arguments_of

__all__ = ["Simulation"]

_NAMES = ("stdin", "clock", "random")
_READS = ("fd_read", "fd_pread")


class Simulation:
    """What the simulated inputs of one replay answer.

    Attributes:
        tolerant: Whether calls may have other arguments than the recorded ones by now.
        result: What a call without a recorded answer returns.
    """

    def __init__(self, inputs: Mapping[str, bytes]) -> None:
        """Take the inputs: `stdin`, `clock` (ns as text), `random`, or paths as the plugin sees them.

        Raises:
            UsageError: A name is none of these. [OBS100]
        """
        for name in inputs:
            if name not in _NAMES and not name.startswith(("/", ".")) and "/" not in name and "." not in name:
                raise UsageError(
                    f"no input is called {name!r}",
                    hint="stdin, clock, random, or the path of a file as the plugin sees it",
                )
        self._inputs = {posixpath.normpath(key): value for key, value in inputs.items()}
        self._paths: dict[int, str] = {0: "stdin"}
        self._offsets: dict[int, int] = {}
        self.tolerant = bool(inputs)
        self.result = 0

    def see(self, function: HostFunction, call: Call, expected: Call) -> None:
        """Follow which descriptor is which file."""
        if not self._inputs or expected.result != 0:
            return
        if function.name in ("path_open", "fd_prestat_dir_name"):
            values = arguments_of(function, call.raw[: call.entry_size])
            told = [bytes(blob.content) for blob in expected.blobs(function.argument_bytes, entered=False)]
            folder = int(values[0])
            if function.name == "fd_prestat_dir_name":
                self._paths[folder] = told[0].decode(errors="replace").rstrip("\0")
            elif told and isinstance(values[2], bytes):
                name = values[2].decode(errors="replace")
                opened = int.from_bytes(told[-1][:4], "little")
                self._paths[opened] = posixpath.normpath(posixpath.join(self._paths.get(folder, ""), name))
                self._offsets.pop(opened, None)

    def _source(self, function: HostFunction, call: Call) -> tuple[str, int] | None:
        if not self._inputs:
            return None
        if function.name in ("clock_time_get", "random_get"):
            name = "clock" if function.name == "clock_time_get" else "random"
            return (name, -1) if name in self._inputs else None
        if function.name in _READS:
            number = call.argument(0, 4)
            path = self._paths.get(number, "")
            return (path, number) if path in self._inputs else None
        return None

    def can_answer(self, function: HostFunction, call: Call) -> bool:
        """Whether a call that was never recorded can be answered."""
        return function.name in ("fd_write", "fd_pwrite") or self._source(function, call) is not None

    def applies(self, function: HostFunction, call: Call, expected: Call) -> bool:
        """Whether a simulated input answers this call; writes are answered too once arguments may differ."""
        differs = self.tolerant and function.name in ("fd_write", "fd_pwrite") and expected.result == 0
        return self._source(function, call) is not None or differs

    def answer(self, machine: Machine, function: HostFunction, call: Call) -> int:
        """Answer a call from its simulated input."""
        source = self._source(function, call)
        if source is None:
            values = arguments_of(function, call.raw[: call.entry_size])
            content = values[1] if isinstance(values[1], bytes) else b""
            write_guest(machine, int(values[-1]), struct.pack("<I", len(content)))
            return 0
        name, number = source
        data = self._inputs[name]
        if name == "clock":
            write_guest(machine, call.argument(16, 4), struct.pack("<Q", int(data or b"0") & (1 << 64) - 1))
            return 0
        at = self._offsets.get(number, 0)
        if name == "random":
            length = call.argument(4, 4)
            drawn = (data[at : at + length] + bytes(length))[:length]
            self._offsets[number] = at + length
            write_guest(machine, call.argument(0, 4), drawn)
            return 0
        at = call.argument(12, 8) if function.name == "fd_pread" else at
        taken = self._scatter(machine, function, call, data[at:])
        if function.name == "fd_read":
            self._offsets[number] = at + taken
        return 0

    def _scatter(self, machine: Machine, function: HostFunction, call: Call, data: bytes) -> int:
        """Write bytes through the call's iovecs and their number where it belongs; returns the number."""
        array = next((blob for blob in call.blobs(function.argument_bytes) if blob.param == 1), None)
        taken = 0
        for at in range(0, len(array.content) - 7 if array is not None else 0, 8):
            address, length = struct.unpack_from("<II", array.content, at) if array is not None else (0, 0)
            piece = data[taken : taken + length]
            if not write_guest(machine, address, piece):
                break
            taken += len(piece)
        place = 32 + function.argument_bytes - 4
        write_guest(machine, int.from_bytes(call.raw[place : place + 4], "little"), struct.pack("<I", taken))
        return taken

    def change(
        self, machine: Machine, function: HostFunction, calls: tuple[Call, Call], changes: Mapping[str, str]
    ) -> int:
        """Answer as a breakpoint wants: another result, other data, or both; the rest is as recorded."""
        expected, call = calls
        data = changes.get("data")
        if data is None:
            for blob in expected.blobs(function.argument_bytes, entered=False):
                write_guest(machine, blob.address, bytes(blob.content))
        elif any(parameter.kind == "scatter" for parameter in function.parameters):
            self._scatter(machine, function, call, data.encode())
        else:
            offset = 0
            for parameter in function.parameters:
                if parameter.kind in ("fill", "out"):
                    write_guest(machine, call.argument(offset, 4), data.encode())
                    break
                offset += parameter.width
        return int(changes["result"]) if "result" in changes else expected.result
