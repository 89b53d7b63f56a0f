# SPDX-License-Identifier: Apache-2.0
"""The engine that plugins run in: its settings, compiled modules, stores with limits, and host functions without conversions.

Settings are chosen so that two runs of a module that is given the same answers are equal: NaN bits are canonical, relaxed
SIMD is deterministic, there are no threads, and fuel counts instructions. Epochs only ever end a run.
Source: https://docs.wasmtime.dev/examples-deterministic-wasm-execution.html
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from ctypes import byref
from importlib import metadata
from typing import Any, Final

from observer.errors import CapabilityError, FormatError

try:
    import wasmtime as wasmtime
    from wasmtime import _ffi as ffi
except ImportError:  # the extra is not installed: everything but running plugins still works
    wasmtime = None  # type: ignore[assignment]

from observer import _native
from observer.plugins.functions import HostFunction

__all__ = [
    "ENGINE_SETTINGS",
    "NO_LIMIT",
    "Sandbox",
    "engine_version",
    "first_line",
    "native_clock",
    "sandbox",
    "unchecked",
]

ENGINE_SETTINGS: Final[dict[str, object]] = {
    "cranelift_nan_canonicalization": True,
    "wasm_relaxed_simd_deterministic": True,
    "wasm_threads": False,
    "shared_memory": False,
    "wasm_memory64": False,
    "wasm_multi_memory": True,
    "consume_fuel": True,
    "epoch_interruption": True,
    "memory_may_move": False,
    "max_wasm_stack": 1 << 20,  # wasmtime's default would be half of that; CPython needs more
}
_MODULES_KEPT: Final = 8
NO_LIMIT: Final = (1 << 62) - 1


def engine_version() -> str:
    """Return the engine's name and version, as recordings carry it."""
    return f"wasmtime {metadata.version('wasmtime')}" if wasmtime is not None else "none"


@functools.cache
def sandbox() -> Sandbox:
    """Return the process's one engine.

    Raises:
        CapabilityError: wasmtime is not installed. [OBS200]
    """
    return Sandbox()


class Sandbox:
    """One engine and the modules it compiled."""

    def __init__(self) -> None:
        """Make the engine; see `sandbox`."""
        if wasmtime is None:
            raise CapabilityError(
                "running plugins needs wasmtime, which is not installed",
                hint="pip install 'forgeone-observer[plugins]'",
            )
        config = wasmtime.Config()
        for name, value in ENGINE_SETTINGS.items():
            setattr(config, name, value)
        self.engine = wasmtime.Engine(config)
        self._modules: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, code: bytes | str) -> Any:
        """Return the compiled module; the last few are kept.

        Raises:
            FormatError: It is not valid WebAssembly, or uses what this engine is set not to have. [OBS500]
        """
        data = code.encode() if isinstance(code, str) else code
        name = hashlib.sha256(data).hexdigest()
        with self._lock:
            if name in self._modules:
                self._modules.move_to_end(name)
                return self._modules[name]
        try:
            module = wasmtime.Module(self.engine, code)
        except wasmtime.WasmtimeError as error:
            raise FormatError(
                f"not a WebAssembly module that can be run: {first_line(error)}",
                hint="rebuild it for wasm32-wasi (preview 1) without threads or 64-bit memories",
            ) from error
        with self._lock:
            self._modules[name] = module
            while len(self._modules) > _MODULES_KEPT:
                self._modules.popitem(last=False)
        return module

    def new_store(self) -> Any:
        """Return a store without limits of fuel or time."""
        store = wasmtime.Store(self.engine)
        store.set_epoch_deadline(1 << 40)
        store.set_fuel(NO_LIMIT)
        return store


def first_line(error: BaseException) -> str:
    """Return what an engine's error says, on one line and without its list of causes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.split(": ", 1)[-1] for line in lines if line[:1].isdigit()]
    text = lines[0] if lines else type(error).__name__
    return f"{text}: {causes[-1]}" if causes else text


def native_clock(store: Any) -> Any:
    """Return the host function `() -> i64` that reads CLOCK_MONOTONIC in ns."""
    callback = ctypes.cast(_native.plugin_clock_address(), ffi.wasmtime_func_unchecked_callback_t)
    return _make(store, wasmtime.FuncType([], [wasmtime.ValType.i64()]), callback)


def unchecked(
    store: Any, function: HostFunction, answer: Callable[[], int], raised: dict[str, BaseException]
) -> tuple[Any, object]:
    """Return a host function that `answer` answers without seeing its arguments, and what must live as long as the store.

    An exception in `answer` traps, and is left in `raised` under that name.
    """
    kinds = {"i32": wasmtime.ValType.i32(), "i64": wasmtime.ValType.i64()}
    results = [] if function.result == "none" else [kinds["i32"]]
    signature = wasmtime.FuncType([kinds[p.wasm_type] for p in function.parameters], results)

    def call(_env: Any, _caller: Any, values: Any, _count: int) -> int:
        try:
            result = answer()
        except BaseException as error:  # noqa: BLE001  it goes on behind the engine's frames
            raised["raised"] = error
            trap = ffi.wasmtime_trap_new(b"host", 4)
            return ctypes.cast(trap, ctypes.c_void_p).value or 0
        if results:
            values[0].i32 = result
        return 0

    callback = ffi.wasmtime_func_unchecked_callback_t(call)
    return _make(store, signature, callback), callback


def _make(store: Any, signature: Any, callback: Any) -> Any:
    raw = ffi.wasmtime_func_t()
    no_finalizer = ctypes.CFUNCTYPE(None, ctypes.c_void_p)()
    context = store._context()  # noqa: SLF001  the binding has no public way to a function without conversions
    ffi.wasmtime_func_new_unchecked(context, signature.ptr(), callback, None, no_finalizer, byref(raw))
    return wasmtime.Func._from_raw(raw)  # noqa: SLF001
