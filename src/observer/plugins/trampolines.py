# SPDX-License-Identifier: Apache-2.0
"""Writes the two modules that stand between a plugin and its host and record every call of an unmodified plugin.

    plugin ──imports──▶ front: calls through a table ──▶ recorder: notes entry, calls the host, notes return
                                                          └─ its second memory is the ring, emptied by the host

The front exists because WASI looks for a memory on the *calling* instance: the recorder, which is instantiated after the
plugin, imports the plugin's memory and exports it again. The recorder is plain WebAssembly, so whatever a hostile plugin
hands it stays inside bounds that it checks. The same recorder runs in a replay, with other functions in place of the
host's: equal calls therefore cost equal fuel. Layout of the ring: docs/spec/plugin-recording.md §3 and §4.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

from observer.plugins.functions import ENV, WASI, HostFunction, Parameter, errno_number

__all__ = ["RING_START", "Wiring", "front_text", "recorder_text"]

RING_START: Final = 4096  # the first page of the ring holds its positions and the text of a decision
_REASON_TAG: Final = 0xFFFF
_GUARDED: Final = ("poll_oneoff", "fd_read")  # calls that may wait longer than the plugin may run
_OPENS: Final = ("path_open", "sock_accept")
_CLOSES: Final = ("fd_close", "fd_renumber")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How the recorder is to be made for one plugin.

    Attributes:
        functions: What the plugin imports, in order; the position is the function's number in the recording.
        sizes: Bytes that `sized` parameters name: `argv`, `argv_buf`, `environ`, `environ_buf`.
        denied: Labels of functions that the policy refuses always.
        open_files: Descriptors that are open at the start.
        max_open_files: Descriptors that may be open at once.
        ring_bytes: Size of the ring at the start; a multiple of 64 KiB.
    """

    functions: Sequence[HostFunction]
    sizes: Mapping[str, int]
    denied: frozenset[str] = field(default_factory=frozenset)
    open_files: int = 3
    max_open_files: int = 64
    ring_bytes: int = 512 << 10


def _signature(function: HostFunction) -> str:
    params = " ".join(parameter.wasm_type for parameter in function.parameters)
    result = "" if function.result == "none" else " (result i32)"
    return (f" (param {params})" if params else "") + result


def front_text(functions: Sequence[HostFunction]) -> str:
    """Return the text of the module that the plugin imports from."""
    lines = ["(module", f'  (table (export "table") {len(functions)} funcref)']
    for number, function in enumerate(functions):
        arguments = " ".join(f"(local.get {index})" for index in range(len(function.parameters)))
        lines += [
            f"  (type $t{number} (func{_signature(function)}))",
            f'  (func (export "{function.module}/{function.name}") (type $t{number})',
            f"    (call_indirect (type $t{number}) {arguments} (i32.const {number})))",
        ]
    return "\n".join([*lines, ")"])


def recorder_text(wiring: Wiring) -> str:
    """Return the text of the module that records calls and passes them on."""
    count = len(wiring.functions)
    lines = ["(module", '  (import "front" "table" (table $front ' + f"{count} funcref))"]
    for function in wiring.functions:
        if function.label not in wiring.denied:
            name = f"$real/{function.label}"
            lines.append(
                f'  (import "{function.module}" "{function.name}" (func {name}{_signature(function)}))'
            )
    base = resources.files(__package__).joinpath("recorder.wat").read_text(encoding="utf-8")
    lines.append(
        base.replace("@RING_BYTES@", str(wiring.ring_bytes)).replace("@OPEN@", str(wiring.open_files))
    )
    for number, function in enumerate(wiring.functions):
        lines += _wrapper(number, function, wiring)
    names = " ".join(f"$wrap/{function.label}" for function in wiring.functions)
    lines.append(f"  (elem (table $front) (i32.const 0) func {names})" if count else "")
    return "\n".join([*lines, ")"])


def _wrapper(number: int, function: HostFunction, wiring: Wiring) -> list[str]:
    padded = -(-function.argument_bytes // 8) * 8
    lines = [
        f"  (func $wrap/{function.label}{_signature(function)} (local $r i32) (local $iovs i32) (local $at i32)"
    ]
    lines += _template("begin", FUNCTION=number, HEAD=32 + padded)
    if padded:
        lines.append(f"    (i64.store $ring offset={24 + padded} (local.get $at) (i64.const 0))")
    offset = 32
    for index, parameter in enumerate(function.parameters):
        lines.append(
            f"    ({parameter.wasm_type}.store $ring offset={offset} (local.get $at) (local.get {index}))"
        )
        offset += parameter.width
    for index, parameter in enumerate(function.parameters):
        lines += _entry(index, parameter)
    lines += _template("enter")
    lines += _call(function, wiring)
    lines += _template("leave")
    for index, parameter in enumerate(function.parameters):
        lines += _exit(index, parameter, wiring)
    if function.module == ENV:
        lines.append(f"    (call $decision (i32.const {_REASON_TAG}))")
    lines += _template("commit")
    lines.append("    (local.get $r))" if function.result != "none" else "  )")
    return lines


@functools.cache
def _templates() -> dict[str, str]:
    text = resources.files(__package__).joinpath("wrapper.wat").read_text(encoding="utf-8")
    parts = [part.split("\n", 1) for part in text.split(";;; ")[1:]]
    return {name.strip(): body.rstrip("\n") for name, body in parts}


def _template(name: str, **values: int) -> list[str]:
    """Return a piece of `wrapper.wat`; pieces are laid out in place because a call costs as much as they do."""
    text = _templates()[name]
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return [text]


def _entry(index: int, parameter: Parameter) -> list[str]:
    pointer, count = f"(local.get {index})", f"(local.get {parameter.count})"
    match parameter.kind:
        case "path" | "text":
            return [f"    (call $copy_in (i32.const {index}) {pointer} {count})"]
        case "array":
            size = f"(call $times {count} (i32.const {parameter.size}))"
            return [f"    (call $copy_in (i32.const {index}) {pointer} {size})"]
        case "gather":
            return [f"    (call $gather (i32.const {index}) {pointer} {count})"]
        case "scatter":
            size = f"(call $times {count} (i32.const 8))"
            return [
                "    (local.set $iovs (i32.sub (global.get $cur) (global.get $rec)))",
                f"    (call $copy_in (i32.const {index}) {pointer} {size})",
            ]
    return []


def _call(function: HostFunction, wiring: Wiring) -> list[str]:
    if function.label in wiring.denied:
        return ["    (global.set $flags (i32.or (global.get $flags) (i32.const 2)))"] + (
            [f"    (local.set $r (i32.const {errno_number('ENOTCAPABLE')}))"]
            if function.result != "none"
            else []
        )
    arguments = " ".join(f"(local.get {index})" for index in range(len(function.parameters)))
    call = f"(call $real/{function.label} {arguments})"
    if function.result == "none":
        return [f"    {call}"]
    lines = [f"    (local.set $r {call})"]
    if function.module != WASI:
        return lines
    if function.name in _GUARDED:
        is_poll = int(function.name == "poll_oneoff")
        wanted = "(i32.const 1)" if is_poll else "(i32.eqz (local.get 0))"
        guard = f"(call $guard (i32.const {is_poll}) (local.get 0) (local.get 2))"
        lines.insert(0, f"    (if {wanted} (then {guard}))")
    if function.name in _OPENS:
        limit = f"(i32.ge_s (global.get $open) (i32.const {wiring.max_open_files}))"
        refuse = f"(local.set $r (i32.const {errno_number('EMFILE')}))"
        flag = "(global.set $flags (i32.or (global.get $flags) (i32.const 18)))"
        took = "(if (i32.eqz (local.get $r)) (then (call $opened (i32.const 1))))"
        return [f"    (if {limit} (then {refuse} {flag}) (else {lines[-1].strip()} {took}))"]
    if function.name in _CLOSES:
        lines.append("    (if (i32.eqz (local.get $r)) (then (call $opened (i32.const -1))))")
    return lines


def _exit(index: int, parameter: Parameter, wiring: Wiring) -> list[str]:
    pointer = f"(local.get {index})"
    match parameter.kind:
        case "out" if parameter.size in ("4", "8"):
            return _template(f"out{parameter.size}", INDEX=index)
        case "out":
            size = f"(i32.const {parameter.size})"
        case "sized":
            size = f"(i32.const {wiring.sizes[parameter.size]})"
        case "fill":
            unit = f"(i32.const {parameter.size or 1})"
            size = f"(call $used {_used(parameter)} (local.get {parameter.count}) {unit})"
        case "scatter":
            used = f"(call $written (local.get {parameter.used}) (local.get $r))"
            return [f"    (call $scatter (i32.const {index}) (local.get $iovs) {used})"]
        case _:
            return []
    return [f"    (call $copy_out (i32.const {index}) {pointer} {size})"]


def _used(parameter: Parameter) -> str:
    capacity = f"(local.get {parameter.count})"
    if parameter.used is None:
        return f"(call $asked (local.get $r) {capacity})"
    if parameter.used < 0:
        return "(select (local.get $r) (i32.const 0) (i32.gt_s (local.get $r) (i32.const 0)))"
    return f"(call $told (local.get {parameter.used}) (local.get $r) {capacity})"
