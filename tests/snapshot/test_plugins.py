# SPDX-License-Identifier: Apache-2.0
"""A plugin by its id, while it runs and after: its memory as of its last sealed call; the plugin itself is not touched."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from observer import snapshot
from observer.errors import NotFoundError, ObserverError
from observer.ids import new_id
from observer.trace.reading import Recording
from observer.trace.store import TraceStore

wasmtime = pytest.importorskip("wasmtime", reason="wasmtime is not installed: plugins are NOT captured")

# For each byte that it reads it counts one more and says so.
COUNTS = """
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8192) "kept by a plugin")
  (data (i32.const 8300) "on\\n")
  (func (export "_start")
    (loop $again
      (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
      (i32.store (i32.const 0) (i32.const 8300))
      (i32.store (i32.const 4) (i32.const 3))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (i32.store (i32.const 0) (i32.const 12288))
      (i32.store (i32.const 4) (i32.const 1))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $again (i32.load (i32.const 8))))))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the plugin; it has counted to one and waits."""
    module = tmp_path / "counts.wasm"
    module.write_bytes(wasmtime.wat2wasm(COUNTS))
    command = [sys.executable, "-m", "observer", "plugin", "run", str(module)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        yield process
        process.kill()


def plugin_id() -> UUID:
    """Return the id of the only plugin in the store."""
    (entry,) = TraceStore().entries()
    found = Recording(entry.path).start.plugin_id
    assert found is not None
    return found


def counted(wanted: UUID) -> tuple[snapshot.SnapshotFile, int]:
    """Take a snapshot by id from the command line, prove it, and return it with the count in the plugin's memory."""
    command = [sys.executable, "-m", "observer", "snapshot", "create", "--plugin", str(wanted), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    file = snapshot.open_snapshot(json.loads(done.stdout)["snapshot_id"])
    assert snapshot.verify_snapshot(file, snapshot.SnapshotStore()).sealed
    assert file.manifest["plugin_id"] == str(wanted)
    (count,) = struct.unpack("<I", file.read(1, 4096, 4))
    return file, count


def until_counted(wanted: UUID, goal: int) -> snapshot.SnapshotFile:
    """Take snapshots until one shows the count, which is sealed within 200 ms; none shows more."""
    end = time.monotonic() + 60
    while True:
        try:
            file, count = counted(wanted)
        except (subprocess.CalledProcessError, ObserverError):
            assert time.monotonic() < end  # nothing of it is sealed yet
            continue
        assert count <= goal
        if count == goal:
            return file
        assert time.monotonic() < end


def test_a_running_plugin_is_captured_by_its_id_and_goes_on(plugin: subprocess.Popen[str]) -> None:
    assert plugin.stdin is not None
    assert plugin.stdout is not None
    wanted = plugin_id()
    for goal in (1, 2, 3):
        file = until_counted(wanted, goal)
        assert file.read(1, 8192, 16) == b"kept by a plugin"
        assert plugin.poll() is None
        if goal < 3:
            plugin.stdin.write("x")
            plugin.stdin.flush()
            assert plugin.stdout.readline() == "on\n"
    plugin.stdin.close()
    assert plugin.wait(timeout=60) == 0
    assert counted(wanted)[1] == 3, "its last state, after its end"


def test_a_plugin_that_nobody_recorded_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        snapshot.create_snapshot(plugin_id=new_id())
