# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a recorded plugin at any call or fuel count, and instances for analysis that reach no host.

A snapshot is taken by replaying to the wanted place ("rewind"), so it can be taken years after the run.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any, Final

from observer.clock import to_datetime
from observer.errors import FormatError, ReplayError, UsageError
from observer.ids import new_id
from observer.model.snapshot import MemoryRegion, SnapshotContext, StateComponent
from observer.plugins.machine import PluginImage
from observer.plugins.options import PluginOutcome
from observer.plugins.recording import PluginRecording
from observer.plugins.replay import PluginReplay
from observer.plugins.sandbox import first_line, sandbox, wasmtime
from observer.plugins.tables import TableEntries

__all__ = ["AnalysisInstance", "restore_for_analysis", "take_snapshot"]

_ANALYSIS_FUEL: Final = 10_000_000_000  # an export that is called for analysis ends


def take_snapshot(path: Path, *, call: int | None = None, fuel: int | None = None) -> SnapshotContext:
    """Return the state of a recorded plugin at one moment.

    Args:
        path: The recording.
        call: Before this call is answered, by its record number.
        fuel: At the engine's first check with this much fuel used. With neither: at the end.

    Raises:
        UsageError: Both are given, or the recording does not reach that far. [OBS100]
        ReplayError: The recording does not replay to there. [OBS600]
    """
    if call is not None and fuel is not None:
        raise UsageError("a snapshot is taken at a call or at a fuel count, not both")
    replay = PluginReplay(PluginRecording(path), stop_at_call=call, stop_at_fuel=fuel, with_functions=True)
    report = replay.run()
    wanted = call is not None or fuel is not None
    if report.status == "diverged" or replay.machine is None:
        raise ReplayError(f"the recording does not replay to there: {report.outcome.message}")
    if wanted and report.status != "stopped":
        raise UsageError(
            f"the recording ends before that: it has {report.calls:,} calls and uses {report.fuel:,} fuel",
            hint="choose an earlier place",
        )
    return _capture(replay, {"calls": str(report.calls), "fuel": str(report.fuel)})


def _capture(replay: PluginReplay, place: dict[str, str]) -> SnapshotContext:
    machine, start = replay.machine, replay.recording.recording.start
    if machine is None:
        raise ReplayError("nothing was replayed")
    exposed, store = machine.image.exposed, machine.store
    regions = []
    for index, name in enumerate(exposed.memories):
        memory = machine.export_object(name)
        regions.append(MemoryRegion.of(bytes(memory.get_buffer_ptr(store)), name=f"memory{index}"))
    components = [
        _global(index, machine.export_object(name), store) for index, name in enumerate(exposed.globals)
    ]
    entries = TableEntries(store, [machine.export_object(name) for name in exposed.functions])
    for index, name in enumerate(exposed.tables):
        data, facts = entries.capture(machine.export_object(name))
        components.append(StateComponent("table", f"table{index}", data, facts))
    components += [StateComponent("state", key, value) for key, value in sorted(replay.state.items())]
    at_ns = start.wall_ns + (replay.last_ns - start.monotonic_ns if replay.last_ns is not None else 0)
    facts = {"trace_id": str(start.trace_id), "module_sha256": machine.image.sha256, **place}
    return SnapshotContext(
        snapshot_id=new_id(),
        container_id=start.container_id,
        plugin_id=start.plugin_id,
        timestamp=to_datetime(at_ns),
        memory_regions=tuple(regions),
        state_components=tuple(components),
        metadata=facts,
    )


def _global(index: int, item: Any, store: Any) -> StateComponent:
    value, kind = item.value(store), str(item.type(store).content)
    mutable = "yes" if item.type(store).mutable else "no"
    data = struct.pack("<d", value) if isinstance(value, float) else str(value).encode()
    return StateComponent("global", f"global{index}", data, {"type": kind, "mutable": mutable})


class AnalysisInstance:
    """A plugin's state, alive, with no host: every import traps.

    Attributes:
        image: The plugin.
    """

    def __init__(self, snapshot: SnapshotContext, image: PluginImage) -> None:
        """Restore; see `restore_for_analysis`."""
        box = sandbox()
        self.image, self._store = image, box.new_store()
        linker = wasmtime.Linker(box.engine)
        linker.define_unknown_imports_as_traps(image.module)
        try:
            self._exports: Any = linker.instantiate(self._store, image.module).exports(self._store)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise ReplayError(
                f"the plugin cannot be instantiated for analysis: {first_line(error)}"
            ) from error
        self._restore(snapshot)

    def _restore(self, snapshot: SnapshotContext) -> None:
        names = dict(enumerate(self.image.exposed.memories))
        for index, region in enumerate(snapshot.memory_regions):
            if region.content is None:
                raise FormatError(f"the snapshot holds only the hash of {region.name}")
            memory = self._exports[names[index]]
            missing = region.size - int(memory.data_len(self._store))
            if missing > 0:
                memory.grow(self._store, missing >> 16)
            memory.write(self._store, region.content, 0)
        for component in snapshot.state_components:
            if component.component_type == "global" and component.metadata.get("mutable") == "yes":
                item = self._exports[self.image.exposed.globals[int(component.name.removeprefix("global"))]]
                kind = component.metadata["type"]
                if kind in ("i32", "i64"):
                    item.set_value(self._store, int(component.data))
                elif kind in ("f32", "f64"):
                    item.set_value(self._store, struct.unpack("<d", component.data)[0])
        entries = TableEntries(self._store, [self._exports[name] for name in self.image.exposed.functions])
        for component in snapshot.state_components:
            if component.component_type == "table":
                name = self.image.exposed.tables[int(component.name.removeprefix("table"))]
                entries.restore(self._exports[name], component)

    def read(self, address: int, length: int, memory: int = 0) -> bytes:
        """Return bytes of a memory.

        Raises:
            UsageError: Some of them do not exist. [OBS100]
        """
        item = self._exports[self.image.exposed.memories[memory]]
        size = int(item.data_len(self._store))
        if not 0 <= address <= address + length <= size:
            raise UsageError(f"memory {memory} has {size:,} bytes, not {address:#x} + {length:#x}")
        base = ctypes.cast(item.data_ptr(self._store), ctypes.c_void_p).value or 0
        return ctypes.string_at(base + address, length)

    def call(self, export: str, *values: float) -> PluginOutcome:
        """Call an export; what it asks of a host traps."""
        if export not in self.image.exports:
            raise UsageError(f"the plugin exports no function {export!r}")
        self._store.set_fuel(_ANALYSIS_FUEL)
        try:
            returned = self._exports[export](self._store, *values)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            return PluginOutcome("trapped", "analysis", first_line(error))
        found = returned if isinstance(returned, list) else [] if returned is None else [returned]
        return PluginOutcome("returned", "", "", tuple(found))


def restore_for_analysis(snapshot: SnapshotContext, path: Path) -> AnalysisInstance:
    """Return the snapshot as an instance that can be looked at and called, and that reaches no host.

    Args:
        snapshot: The snapshot.
        path: The recording it was taken from, which holds the plugin.

    Raises:
        FormatError: The snapshot is of another plugin. [OBS500]
    """
    image = PluginImage.load("analysis", PluginRecording(path).attachment("plugin.wasm"), every_function=True)
    if snapshot.metadata.get("module_sha256") != image.sha256:
        raise FormatError("the snapshot is of another plugin than the recording holds")
    return AnalysisInstance(snapshot, image)
