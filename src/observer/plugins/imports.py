# SPDX-License-Identifier: Apache-2.0
"""Defines `env.log`, `env.get_env` and `env.syscall` for the recorder: memory in, decision, answer, memory out."""

from __future__ import annotations

import ctypes
from typing import Any

from observer.plugins.machine import Machine
from observer.plugins.policy import Decision, HostCalls
from observer.plugins.sandbox import wasmtime

__all__ = ["define_env", "read_guest", "write_guest"]

_FAULT = -3  # the plugin named memory that it does not have
_MOST_BYTES = 1 << 20  # of one argument


def read_guest(machine: Machine, address: int, length: int) -> bytes | None:
    """Return bytes of the plugin's memory, or None when some of them do not exist."""
    address, length = address & 0xFFFFFFFF, length & 0xFFFFFFFF
    memory = machine.memory
    if length > _MOST_BYTES or address + length > memory.data_len(machine.store):
        return None
    base = ctypes.cast(memory.data_ptr(machine.store), ctypes.c_void_p).value or 0
    return ctypes.string_at(base + address, length)


def write_guest(machine: Machine, address: int, content: bytes) -> bool:
    """Write to the plugin's memory; returns False, having written nothing, when some of it does not exist."""
    address &= 0xFFFFFFFF
    memory = machine.memory
    if address + len(content) > memory.data_len(machine.store):
        return False
    base = ctypes.cast(memory.data_ptr(machine.store), ctypes.c_void_p).value or 0
    ctypes.memmove(base + address, content, len(content))
    return True


def define_env(machine: Machine, linker: Any, calls: HostCalls) -> None:
    """Define the three imports in the linker of a machine that is being put together."""
    i32 = wasmtime.ValType.i32()

    def fault() -> int:
        machine.ring.decide(False, "an argument lies outside the plugin's memory")
        return _FAULT

    def log(level: int, address: int, length: int) -> None:
        message = read_guest(machine, address, length)
        if message is None:
            fault()
            return
        _decide(machine, calls.log(level, message.decode(errors="replace")))

    def get_env(key: int, key_len: int, out: int, out_len: int) -> int:
        name = read_guest(machine, key, key_len)
        if name is None:
            return fault()
        decision, answer = calls.get_env(name.decode(errors="replace"))
        return _answer(machine, decision, answer, (out, out_len))

    def syscall(*values: int) -> int:
        name, args = read_guest(machine, values[0], values[1]), read_guest(machine, values[2], values[3])
        if name is None or args is None:
            return fault()
        decision, answer = calls.syscall(name.decode(errors="replace"), args)
        return _answer(machine, decision, answer, (values[4], values[5]))

    linker.define_func("env", "log", wasmtime.FuncType([i32] * 3, []), log)
    linker.define_func("env", "get_env", wasmtime.FuncType([i32] * 4, [i32]), get_env)
    linker.define_func("env", "syscall", wasmtime.FuncType([i32] * 6, [i32]), syscall)


def _decide(machine: Machine, decision: Decision) -> None:
    machine.ring.decide(decision.allowed, decision.reason)


def _answer(machine: Machine, decision: Decision, answer: bytes | int, place: tuple[int, int]) -> int:
    """Write as much of an answer as fits and return its whole length, or return the answer when it is a number."""
    _decide(machine, decision)
    if isinstance(answer, int):
        return answer
    return len(answer) if write_guest(machine, place[0], answer[: place[1] & 0xFFFFFFFF]) else _FAULT
