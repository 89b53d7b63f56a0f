# SPDX-License-Identifier: Apache-2.0
"""A plugin in Rust, where the toolchain has the WASI target."""

import shutil
import subprocess
from pathlib import Path

import pytest

from observer.plugins import PluginReplay
from observer.trace import verify_recording

SOURCE = Path(__file__).parent / "programs" / "rust_plugin.rs"


def test_a_rust_plugin_records_and_replays(run, tmp_path, data):
    rustc = shutil.which("rustc")
    if rustc is None:
        pytest.skip("SKIPPED: there is no rustc")
    target = tmp_path / "rust.wasm"
    for name in ("wasm32-wasip1", "wasm32-wasi"):
        command = [rustc, "-O", "--target", name, str(SOURCE), "-o", str(target)]
        if subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 0:
            break
    else:
        pytest.skip("SKIPPED: rustc has no WASI target: rustup target add wasm32-wasip1")
    outcome, plugin = run(target.read_bytes())
    assert outcome.ok and (data / "rust.txt").exists()
    assert verify_recording(plugin.path)["closed"]
    shutil.rmtree(data)
    assert all(PluginReplay.open(plugin.path).run().comparison.is_identical for _ in range(20))
