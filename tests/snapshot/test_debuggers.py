# SPDX-License-Identifier: Apache-2.0
"""Real debuggers open what a snapshot exports."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from observer import snapshot
from tests.snapshot.conftest import Start


@pytest.fixture
def core(start: Start, tmp_path: Path) -> tuple[int, Path]:
    """Return a process's id and its core, written after it has gone."""
    process = start("threads")
    taken = snapshot.Snapshotter(snapshot.process_target(process.pid)).take()
    process.kill()
    process.wait()
    path = tmp_path / "threads.core"
    snapshot.restore_for_analysis(taken.snapshot_id).write_core(path)
    return process.pid, path


def test_gdb_shows_threads_registers_backtraces_and_mapped_files(
    core: tuple[int, Path], build: object
) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed: the core is NOT opened by it")
    program = build("threads")  # type: ignore[operator]
    words = [
        "info threads",
        "thread apply all bt",
        "p/x magic",
        "p (char*)heap",
        "info proc mappings",
        "info registers rip",
    ]
    command = ["gdb", "-batch", "-nx", *(part for word in words for part in ("-ex", word)), program, core[1]]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    out = result.stdout
    assert out.count("(LWP ") >= 4
    for depth, name in ((7, "main"), (3, "worker"), (4, "worker"), (5, "worker")):
        assert any(part.count("deep (") == depth and name in part for part in out.split("\nThread ")), (
            depth,
            out,
        )
    assert "0x1234abcd" in out
    assert "needle in the heap" in out
    assert "libc.so" in out


def test_readelf_reads_notes_and_segments(core: tuple[int, Path]) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("readelf is not installed")
    result = subprocess.run(
        ["readelf", "-W", "-h", "-l", "-n", core[1]], capture_output=True, text=True, check=True
    )
    assert "CORE (Core file)" in result.stdout
    assert result.stdout.count("NT_PRSTATUS") == 4
    assert "NT_FILE" in result.stdout
    assert "NT_X86_XSTATE" in result.stdout or "aarch64" in result.stdout.lower()


def test_drgn_reads_memory_and_stacks(core: tuple[int, Path]) -> None:
    drgn = pytest.importorskip("drgn")
    program = drgn.Program()
    program.set_core_dump(str(core[1]))
    with contextlib.suppress(drgn.MissingDebugInfoError):  # that of libraries need not be installed
        program.load_default_debug_info()
    assert len(list(program.threads())) == 4
    assert program["magic"].value_() == 0x1234ABCD
    heap = program["heap"].value_()
    assert program.read(heap, 18) == b"needle in the heap"
    names = [frame.name for frame in program.thread(core[0]).stack_trace()]
    assert names.count("deep") == 7
