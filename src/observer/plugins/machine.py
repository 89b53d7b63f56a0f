# SPDX-License-Identifier: Apache-2.0
"""A plugin put together with its recorder, ready to be called: the same for recording and for replay.

What differs is handed in: `define` gives the linker the functions that the recorder passes calls on to.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from observer.errors import FormatError
from observer.plugins.binary import Exposed, expose, refuse_foreign
from observer.plugins.functions import WASI, HostFunction, host_functions
from observer.plugins.options import PluginLimits, PluginOutcome
from observer.plugins.ring import Ring
from observer.plugins.sandbox import NO_LIMIT, first_line, sandbox, wasmtime
from observer.plugins.ticker import Ticker
from observer.plugins.trampolines import Wiring, front_text, recorder_text

__all__ = ["Halt", "Machine", "PluginImage", "state_digest"]

_MOST_RING_PAGES: Final = 0x3100000 >> 16
_LIMIT_WORDS: Final = (
    "memory minimum size",
    "exceeds memory limits",
    "table minimum size",
    "exceeds table limits",
)


class Halt(Exception):
    """Raised by a host function to end the call into the plugin with this outcome."""

    def __init__(self, outcome: PluginOutcome) -> None:
        """Carry the outcome."""
        super().__init__(outcome.message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class PluginImage:
    """A plugin's code, checked and compiled.

    Attributes:
        name: What it is called in messages, and its own name in its arguments.
        code: The binary as it was given.
        exposed: The binary that runs.
        functions: What it imports, in order; the number of a function in a recording.
        exports: Names of the functions it exports itself.
        has_memory: Whether it exports `memory`, which WASI needs.
        module: The compiled module.
    """

    name: str
    code: bytes
    exposed: Exposed
    functions: tuple[HostFunction, ...]
    exports: frozenset[str]
    has_memory: bool
    module: Any

    @classmethod
    def load(cls, name: str, code: bytes, *, every_function: bool = False) -> PluginImage:
        """Check, change and compile a plugin.

        Args:
            name: What it is called in messages.
            code: The binary.
            every_function: Make every function reachable, for snapshots of tables; its code and fuel stay the same.

        Raises:
            FormatError: Not a valid module, or it imports what no plugin is given. [OBS500]
            CapabilityError: wasmtime is not installed. [OBS200]
        """
        box = sandbox()
        refuse_foreign(code)
        try:
            wasmtime.Module.validate(box.engine, code)
        except wasmtime.WasmtimeError as error:
            raise FormatError(
                f"{name} is not valid WebAssembly: {first_line(error)}",
                hint="it may be cut short or use a feature that would not replay (threads, 64-bit memories, gc)",
            ) from error
        exposed = expose(code, functions=every_function)
        module = box.compile(exposed.code)
        functions = tuple(_function(name, entry) for entry in module.imports)
        own = {export.name: export.type for export in module.exports}
        hidden = {*exposed.tables, *exposed.memories, *exposed.globals, *exposed.functions, exposed.start}
        exports = frozenset(
            key for key, kind in own.items() if isinstance(kind, wasmtime.FuncType) and key not in hidden
        )
        has_memory = isinstance(own.get("memory"), wasmtime.MemoryType)
        if functions and not has_memory:
            raise FormatError(
                f"{name} calls its host but exports no memory named 'memory'",
                hint="link it as a WASI command or reactor",
            )
        return cls(name, code, exposed, functions, exports, has_memory, module)

    @property
    def sha256(self) -> str:
        """Digest of the binary as it was given, hex."""
        return hashlib.sha256(self.code).hexdigest()

    def sizes_of(self, arguments: list[str], environment: dict[str, str]) -> dict[str, int]:
        """Return the bytes that `args_get` and `environ_get` write, by the names of `functions.toml`."""
        words = [word.encode() for word in arguments]
        pairs = [f"{key}={value}".encode() for key, value in environment.items()]
        return {
            "argv": 4 * len(words),
            "argv_buf": sum(len(word) + 1 for word in words),
            "environ": 4 * len(pairs),
            "environ_buf": sum(len(pair) + 1 for pair in pairs),
        }


def _function(plugin: str, entry: Any) -> HostFunction:
    function = host_functions().get((entry.module, entry.name))
    if function is None or not isinstance(entry.type, wasmtime.FuncType):
        old = entry.module == "wasi_unstable"
        raise FormatError(
            f"{plugin} imports {entry.module}.{entry.name}, which no plugin is given",
            hint="rebuild it for WASI preview 1 (wasm32-wasip1)"
            if old
            else f"plugins may import {WASI} and env.log, env.get_env, env.syscall",
        )
    wanted = [parameter.wasm_type for parameter in function.parameters]
    results = [] if function.result == "none" else ["i32"]
    if [str(kind) for kind in entry.type.params] != wanted or [
        str(kind) for kind in entry.type.results
    ] != results:
        raise FormatError(
            f"{plugin} imports {function.label} with another signature than it has",
            hint=f"it takes ({', '.join(wanted)}) and returns ({', '.join(results)})",
        )
    return function


class Machine:
    """One plugin, instantiated with its recorder.

    Attributes:
        image: The plugin.
        store: Its store.
        ring: The recorder's ring.
        raised: Where a host function without conversions leaves its exception.
    """

    def __init__(
        self,
        image: PluginImage,
        wiring: Wiring,
        limits: PluginLimits,
        define: Callable[[Machine, Any], None],
        *,
        texts: tuple[str, str] | None = None,
    ) -> None:
        """Instantiate; no code of the plugin runs yet.

        Args:
            image: The plugin.
            wiring: How its recorder is made.
            limits: What it may use.
            define: Gives the linker the functions that the recorder calls.
            texts: Front and recorder of a recording, in place of the ones this version would write.

        Raises:
            Halt: It does not fit its limits.
        """
        box = sandbox()
        self.image, self.limits = image, limits
        self.raised: dict[str, BaseException] = {}
        self.store = box.new_store()
        self.ticker = Ticker(box.engine)
        memory = wasmtime.Memory(
            self.store, wasmtime.MemoryType(wasmtime.Limits(wiring.ring_bytes >> 16, _MOST_RING_PAGES))
        )
        self.ring = Ring(ctypes.cast(memory.data_ptr(self.store), ctypes.c_void_p).value or 0)
        self.store.set_limits(memory_size=limits.memory_bytes, table_elements=limits.table_elements)
        self.fuel = limits.fuel or NO_LIMIT
        self.store.set_fuel(self.fuel)
        front, recorder = texts or (front_text(image.functions), recorder_text(wiring))
        with self._instantiating():
            fronts = wasmtime.Instance(self.store, box.compile(front), []).exports(self.store)
            imports = [fronts[f"{function.module}/{function.name}"] for function in image.functions]
            self._exports: Any = wasmtime.Instance(self.store, image.module, imports).exports(self.store)
        if image.functions:
            linker = wasmtime.Linker(box.engine)
            define(self, linker)
            linker.define(self.store, "front", "table", fronts["table"])
            linker.define(self.store, "plugin", "memory", self._exports["memory"])
            linker.define(self.store, "ring", "memory", memory)
            linker.instantiate(self.store, box.compile(recorder))

    @contextmanager
    def _instantiating(self) -> Iterator[None]:
        try:
            yield
        except wasmtime.WasmtimeError as error:
            text = first_line(error)
            limit = any(word in str(error) for word in _LIMIT_WORDS)
            kind = PluginOutcome("limit", "memory", text) if limit else PluginOutcome("trapped", "link", text)
            raise Halt(kind) from error
        except wasmtime.Trap as error:
            raise Halt(PluginOutcome("trapped", "instantiation", first_line(error))) from error

    @property
    def memory(self) -> Any:
        """The plugin's memory."""
        return self._exports["memory"]

    def limit_fuel(self, total: int) -> None:
        """Let it run until this much fuel is used since the start."""
        left = max(total - self.fuel_used(), 1)
        self.fuel = self.fuel_used() + left
        self.store.set_fuel(left)

    def fuel_used(self) -> int:
        """Return the fuel consumed so far: the recording's logical clock."""
        return self.fuel - int(self.store.get_fuel())

    def call(
        self, export: str, values: tuple[int | float, ...] = (), *, timeout_s: float | None = None
    ) -> PluginOutcome:
        """Call an export and return how it came out; a trap or limit is an outcome, never an exception.

        Raises:
            ObserverError: A host function failed on the host's side, such as a full disk under the recording.
        """
        function = self._exports[export]
        with self.ticker.watch(self.store, timeout_s):
            try:
                returned = function(self.store, *values)
            except Halt as halt:
                return halt.outcome
            except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
                return self._ended(error)
        found = returned if isinstance(returned, list) else [] if returned is None else [returned]
        return PluginOutcome("returned", "", "", tuple(found))

    def _ended(self, error: Exception) -> PluginOutcome:
        """Return the outcome of a call that a host function, a trap or a limit ended."""
        raised = self.raised.pop("raised", None)
        if isinstance(raised, Halt):
            return raised.outcome
        if raised is not None:
            raise raised from None
        if isinstance(error, wasmtime.ExitTrap):
            return PluginOutcome("exited", str(error.code), f"exit status {error.code}")
        if isinstance(error, wasmtime.Trap):
            return _trapped(error, self.limits)
        return PluginOutcome("trapped", "host", first_line(error))

    def export_object(self, name: str) -> Any:
        """Return an export of the running module, its added ones included."""
        return self._exports[name]

    def state(self) -> dict[str, Any]:
        """Return what is compared at the end: hashes of memories, values of globals, sizes of tables, fuel."""
        exposed, store = self.image.exposed, self.store
        memories = [state_digest(self._exports[name], store) for name in exposed.memories]
        values = [global_value(self._exports[name], store) for name in exposed.globals]
        tables = [int(self._exports[name].size(store)) for name in exposed.tables]
        return {"memories": memories, "globals": values, "tables": tables, "fuel": self.fuel_used()}


def state_digest(memory: Any, store: Any) -> dict[str, Any]:
    """Return size and SHA-256 of a linear memory."""
    size = int(memory.data_len(store))
    return {"bytes": size, "sha256": hashlib.sha256(memory.get_buffer_ptr(store)).hexdigest() if size else ""}


def global_value(item: Any, store: Any) -> str:
    """Return a global's value as text that is equal exactly when its bits are."""
    value = item.value(store)
    if isinstance(value, float):
        return struct.pack("<d", value).hex()
    return str(value) if isinstance(value, int) else type(value).__name__


def _trapped(error: Any, limits: PluginLimits) -> PluginOutcome:
    code = error.trap_code
    name = code.name.lower() if code is not None else "host"
    if name == "out_of_fuel":
        return PluginOutcome("limit", "fuel", f"out of fuel: it was given {limits.fuel}")
    if name == "interrupt":
        return PluginOutcome("limit", "time", f"still running after {limits.timeout_s} s")
    where = " in ".join(frame.func_name or f"function {frame.func_index}" for frame in error.frames[:1])
    return PluginOutcome("trapped", name, f"{name.replace('_', ' ')}{f' in {where}' if where else ''}")
