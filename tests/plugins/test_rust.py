# SPDX-License-Identifier: Apache-2.0
"""A plugin in Rust, where the toolchain has the WASI target."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer.plugins import PluginReplay
from observer.trace import verify_recording
from tests.house import tree

SOURCE = Path(__file__).parent / "programs" / "rust_plugin.rs"


UNPACKED = tree.ROOT / "build" / "wasm-rust" / "usr"  # tools/setup/wasm_rust.sh


def compilers(target: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the commands that may build it, and what each wants in its environment."""
    if rustc := shutil.which("rustc"):
        yield [rustc, "-O", "--target", "wasm32-wasip1", str(SOURCE), "-o", str(target)], {}
    if (own := UNPACKED / "bin" / "rustc").exists():
        linker = ["-C", "linker=wasm-ld", "-C", "linker-flavor=wasm-ld"]
        command = [str(own), "--sysroot", str(UNPACKED), "-O", "--target", "wasm32-wasi", *linker]
        yield (
            [*command, str(SOURCE), "-o", str(target)],
            {"LD_LIBRARY_PATH": str(UNPACKED / "lib" / "x86_64-linux-gnu")},
        )


def test_a_rust_plugin_records_and_replays(run, tmp_path, data):
    target = tmp_path / "rust.wasm"
    for command, more in compilers(target):
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=120, env={**os.environ, **more}
        )
        if done.returncode == 0:
            break
    else:
        pytest.skip("SKIPPED: no rustc with a WASI target: rustup target add wasm32-wasip1")
    outcome, plugin = run(target.read_bytes())
    assert outcome.ok and (data / "rust.txt").exists()
    assert verify_recording(plugin.path)["closed"]
    shutil.rmtree(data)
    assert all(PluginReplay.open(plugin.path).run().comparison.is_identical for _ in range(20))
