# SPDX-License-Identifier: Apache-2.0
"""Runs a plugin for real and records everything between it and its host.

    plugin = Plugin.start(PluginImage.load("greeter", code), options, path=Path("greeter.rec"))
    outcome = plugin.run()
    plugin.close()

Sealed as it goes: after a kill of this process at most the last 200 ms of calls are missing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from observer.errors import FormatError, ObserverError, UsageError
from observer.evidence import load_hmac_key
from observer.ids import new_id
from observer.model.identity import IdentityContext
from observer.plugins.finishing import finish_call
from observer.plugins.functions import ENV
from observer.plugins.imports import define_env
from observer.plugins.machine import Halt, Machine, PluginImage
from observer.plugins.options import PluginOptions, PluginOutcome, PluginState
from observer.plugins.policy import HostCalls, PluginPolicy
from observer.plugins.recording import SOURCE, PluginRecorder
from observer.plugins.sandbox import ENGINE_SETTINGS, engine_version, native_clock, wasmtime
from observer.plugins.touched import touched
from observer.plugins.trampolines import Wiring, front_text, recorder_text
from observer.plugins.waiting import end_of_wait
from observer.trace.capture import caller
from observer.trace.recorder import start_facts
from observer.trace.store import TraceStore

__all__ = ["Plugin", "RecordingPlace", "run_plugin"]

_SEAL_S: Final = 0.1  # finished calls are handed on this often, at the latest 200 ms before they are sealed
_LIFE: Final = {
    "init": PluginState.INITIALIZING,
    "stop": PluginState.STOPPING,
    "unload": PluginState.STOPPING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlace:
    """Where a plugin's recording goes and whose it is.

    Attributes:
        path: Directory to make; default in the store.
        plugin_id: The plugin's id; default a new one.
        container_id: The container it belongs to.
        identity: On whose behalf it runs; default the calling user.
    """

    path: Path | None = None
    plugin_id: UUID | None = None
    container_id: UUID | None = None
    identity: IdentityContext | None = None


def _open_recorder(name: str, options: PluginOptions, place: RecordingPlace) -> PluginRecorder:
    key, trace_id, store = load_hmac_key(), new_id(), TraceStore()
    path = store.prepare(trace_id) if place.path is None else place.path.absolute()
    start = start_facts(
        trace_id,
        place.identity or caller(),
        source=SOURCE,
        container_id=place.container_id,
        plugin_id=place.plugin_id or new_id(),
        command=[name, *options.arguments],
    )
    if path.exists():
        raise UsageError(f"there is something at {path} already", where={"path": str(path)})
    recorder = PluginRecorder(path, start, key)
    if place.path is not None:
        store.register(trace_id, path)
    return recorder


def run_plugin(
    name: str, code: bytes, options: PluginOptions, place: RecordingPlace, policy: PluginPolicy | None = None
) -> tuple[PluginOutcome, Plugin]:
    """Run a plugin from creation to its end and close its recording.

    A module that cannot run at all leaves a recording too, which says why; its outcome is `refused`.

    Raises:
        CapabilityError: wasmtime is not installed. [OBS200]
        StorageFull: The disk filled up. [OBS301]
    """
    plugin = Plugin(name, options, place, policy)
    try:
        outcome = plugin.load(code)
        if outcome.ok:
            outcome = plugin.run()
    except BaseException as error:
        plugin.close(PluginOutcome("trapped", "host", f"{type(error).__name__}: {error}"))
        raise
    plugin.close(outcome)
    return outcome, plugin


class Plugin:
    """One plugin and its recording, from creation to its end.

    Attributes:
        plugin_id: On every record.
        trace_id: Its trace.
        path: Its recording.
        state: Where it stands.
    """

    def __init__(
        self,
        name: str,
        options: PluginOptions,
        place: RecordingPlace | None = None,
        policy: PluginPolicy | None = None,
    ) -> None:
        """Create the recording; nothing is loaded yet.

        Raises:
            UsageError: There is something at the path already. [OBS100]
            CapabilityError: It cannot be written. [OBS200]
        """
        self.name, self.options = name, options
        self.recorder = _open_recorder(name, options, place or RecordingPlace())
        self.plugin_id = UUID(self.recorder.start["plugin_id"])
        self.trace_id, self.path = self.recorder.trace_id, self.recorder.path
        self.state = PluginState.CREATED
        self._policy = policy or PluginPolicy()
        self._calls = HostCalls(self._policy, options.environment, self.recorder.record_event)
        self._machine: Machine | None = None
        self._sizes: Mapping[str, int] = {}
        self._sealing = threading.Event()
        self._closing = threading.Lock()
        self._closed = False
        self._outcome = PluginOutcome("returned")
        self.recorder.tell_state("", self.state.value)

    @property
    def state_map(self) -> dict[str, bytes]:
        """The plugin's own map, which it reads and writes through `env.syscall`."""
        return self._calls.state

    def load(self, code: bytes) -> PluginOutcome:
        """Check, compile and instantiate the module and let it initialise itself.

        Returns:
            `returned`, or why it cannot run; then it has failed.
        """
        self._step(PluginState.INITIALIZING)
        self.recorder.attach("plugin.wasm", code)
        try:
            image = PluginImage.load(self.name, code)
            self._build(image)
        except FormatError as error:
            return self._settle(PluginOutcome("refused", "module", str(error)))
        except Halt as halt:
            return self._settle(halt.outcome)
        for export in (image.exposed.start, "_initialize", "init"):
            if export is not None and (export in image.exports or export == image.exposed.start):
                outcome = self.call(export)
                if not outcome.ok:
                    return outcome
        self._step(PluginState.READY)
        return PluginOutcome("returned")

    def _build(self, image: PluginImage) -> None:
        words, given = [self.name, *self.options.arguments], dict(self.options.environment)
        wiring = Wiring(
            functions=image.functions,
            sizes=image.sizes_of(words, given),
            denied=self.options.denied,
            open_files=3 + len(self.options.mounts),
            max_open_files=self.options.limits.open_files,
        )
        self._sizes = wiring.sizes
        texts = front_text(image.functions), recorder_text(wiring)
        self._declare(image, texts)
        machine = Machine(image, wiring, self.options.limits, self._define, texts=texts)
        self._machine = machine
        machine.store.set_wasi(self._wasi(words))
        threading.Thread(target=self._seal_often, daemon=True, name="plugin-seal").start()

    def _declare(self, image: PluginImage, texts: tuple[str, str]) -> None:
        options = self.options
        self.recorder.attach("front.wat", texts[0].encode())
        self.recorder.attach("recorder.wat", texts[1].encode())
        self.recorder.declare_plugin(
            {
                "name": self.name,
                "sha256": image.sha256,
                "bytes": len(image.code),
                "engine": engine_version(),
                "settings": ENGINE_SETTINGS,
                "limits": options.limits.to_dict(),
                "ring_bytes": Wiring(functions=(), sizes={}).ring_bytes,
                "arguments": list(options.arguments),
                "environment": sorted(options.environment),
                "mounts": [
                    {"host": m.host, "guest": m.guest, "read_only": m.read_only} for m in options.mounts
                ],
                "exports": sorted(image.exports),
                "imports": [function.label for function in image.functions],
            }
        )
        self.recorder.declare_table(
            image.functions, dict.fromkeys(options.denied, "the policy refuses it always")
        )

    def _define(self, machine: Machine, linker: Any) -> None:
        store, i32 = machine.store, wasmtime.ValType.i32()
        linker.define_wasi()
        linker.define(store, "host", "now", native_clock(store))
        linker.define_func(
            "host", "drain", wasmtime.FuncType([], []), lambda: machine.ring.empty(self.recorder.append_typed)
        )
        linker.define_func("host", "too_big", wasmtime.FuncType([], []), _too_big)
        linker.define_func(
            "host", "guard", wasmtime.FuncType([i32] * 3, []), lambda *a: self._guard(machine, *a)
        )
        if any(function.module == ENV for function in machine.image.functions):
            define_env(machine, linker, self._calls)

    def _guard(self, machine: Machine, is_poll: int, first: int, second: int) -> None:
        remaining = machine.ticker.remaining_s()
        if remaining is not None and not end_of_wait(
            machine, bool(is_poll), first, second, stdin=self.options.stdin, remaining_s=remaining
        ):
            raise Halt(
                PluginOutcome("limit", "time", f"still waiting after {self.options.limits.timeout_s} s")
            )

    def _wasi(self, words: list[str]) -> Any:
        options, wasi = self.options, wasmtime.WasiConfig()
        wasi.argv = words
        wasi.env = list(options.environment.items())
        for mount in options.mounts:
            try:
                wasi.preopen_dir(mount.host, mount.guest, not mount.read_only)
            except wasmtime.WasmtimeError as error:
                raise Halt(
                    PluginOutcome("refused", "mount", f"cannot open the folder {mount.host}: {error}")
                ) from error
        for stream in ("stdin", "stdout", "stderr"):
            wanted = getattr(options, stream)
            if wanted == "inherit":
                getattr(sys, stream).flush() if stream != "stdin" else None
                getattr(wasi, f"inherit_{stream}")()
            elif wanted != "null":
                setattr(wasi, f"{stream}_file", wanted)
        return wasi

    def call(self, export: str, *values: float) -> PluginOutcome:
        """Call an export; what it does and how it came out is recorded.

        Raises:
            UsageError: The plugin has no such export or is not loaded. [OBS100]
        """
        machine = self._loaded()
        if export not in machine.image.exports and export != machine.image.exposed.start:
            raise UsageError(f"{self.name} exports no function {export!r}")
        ring, recorder = machine.ring, self.recorder
        ring.take(recorder.append_typed)
        first = recorder.append_typed(b"")
        recorder.mark("plugin_invoke", {"export": export, "values": list(values), "first_call": first})
        outcome = machine.call(export, values, timeout_s=self.options.limits.timeout_s)
        ring.take(recorder.append_typed)
        if unfinished := ring.abandon(lambda entry: finish_call(machine, self._sizes, entry)):
            recorder.append_typed(unfinished)
        done = {"export": export, "result": outcome.to_dict(), "fuel": machine.fuel_used()}
        recorder.mark("plugin_return", {**done, "end_call": recorder.append_typed(b"")})
        self._outcome = outcome
        return outcome if outcome.ok and outcome.kind == "returned" else self._settle(outcome)

    def run(self) -> PluginOutcome:
        """Run a command to its end, or take a reactor through start, stop and unload."""
        exports = self._loaded().image.exports
        outcome = PluginOutcome("returned")
        for export in ("_start", "start", "stop", "unload"):
            if export not in exports:
                continue
            self._step(_LIFE.get(export, PluginState.RUNNING))
            outcome = self.call(export)
            if outcome.kind != "returned" or export == "_start":
                break
        return outcome

    def pause(self) -> PluginOutcome:
        """Let the plugin pause itself, if it can; it is not called again before `resume`."""
        return self._told("pause", PluginState.PAUSED)

    def resume(self) -> PluginOutcome:
        """Let the plugin go on after `pause`."""
        return self._told("resume", PluginState.RUNNING)

    def _told(self, export: str, after: PluginState) -> PluginOutcome:
        outcome = self.call(export) if export in self._loaded().image.exports else PluginOutcome("returned")
        if outcome.ok:
            self._step(after)
        return outcome

    def close(self, outcome: PluginOutcome | None = None) -> None:
        """Seal the final state and the end of the recording; a second time does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._sealing.set()
        result, machine = outcome or self._outcome, self._machine
        if machine is not None:
            machine.ring.take(self.recorder.append_typed)
            state = machine.state() | {"state_map": sorted(self._calls.state)}
            self.recorder.mark("plugin_end", {"result": result.to_dict(), "state": state})
            for data in touched(self.recorder, self.options.mounts):
                self.recorder.record_event("plugin_touched", data=data)
        if result.ok or result.kind == "exited":
            self._step(PluginState.STOPPING)
            self._step(PluginState.STOPPED, result.message)
        else:
            self._step(PluginState.FAILED, result.message or result.kind)
        failed = None if result.ok or result.kind == "exited" else result.message or result.kind
        self.recorder.close("failed" if failed else "completed", failed)

    def abandon(self, outcome: PluginOutcome) -> None:
        """Seal what there is while a call is still under way in another thread, which cannot be ended; call nothing after."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._sealing.set()
        if self._machine is not None:
            self._machine.ring.take(self.recorder.append_typed)
            if unfinished := self._machine.ring.abandon():
                self.recorder.append_typed(unfinished)
        self._step(PluginState.FAILED, outcome.message)
        self.recorder.close("failed", outcome.message)

    def _settle(self, outcome: PluginOutcome) -> PluginOutcome:
        self._outcome = outcome
        return outcome

    def _step(self, after: PluginState, reason: str = "") -> None:
        if after is not self.state:
            self.recorder.tell_state(self.state.value, after.value, reason)
            self.state = after

    def _loaded(self) -> Machine:
        if self._machine is None or self._closed:
            raise UsageError(f"{self.name} is not loaded, or has ended")
        return self._machine

    def _seal_often(self) -> None:
        machine = self._machine
        while machine is not None and not self._sealing.wait(_SEAL_S):
            try:
                with self._closing:
                    if not self._closed:
                        machine.ring.take(self.recorder.append_typed)
            except ObserverError:
                return  # the recorder failed; the call under way is told so when it hands on its calls


def _too_big() -> None:
    raise Halt(
        PluginOutcome("limit", "recorder", "one call moves more than the 48 MiB that a record can hold")
    )
