# SPDX-License-Identifier: Apache-2.0
"""Whatever a plugin hands its host, the recorder survives it and the replay is equal: every function, hostile arguments.

A failure prints its seed; the same seed makes the same module.
"""

import random

import pytest

from observer.plugins import PluginLimits, PluginReplay
from observer.plugins.functions import WASI, host_functions
from observer.trace import Recording, verify_recording

wasmtime = pytest.importorskip("wasmtime", reason="SKIPPED: wasmtime is not installed")

EDGES = (
    0,
    1,
    4,
    8,
    15,
    64,
    100,
    1000,
    4096,
    65519,
    65528,
    65532,
    65535,
    65536,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFF0,
    0xFFFFFFFF,
)
LAST = ("proc_exit", "proc_raise")


def test_the_table_has_all_46_functions_and_their_outputs():
    functions = [function for key, function in host_functions().items() if key[0] == WASI]
    assert len(functions) == 46
    silent = {
        f.name
        for f in functions
        if not any(p.kind in ("out", "fill", "scatter", "sized") for p in f.parameters)
    }
    assert silent == {
        "fd_advise", "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_set_flags", "fd_fdstat_set_rights",
        "fd_filestat_set_size", "fd_filestat_set_times", "fd_renumber", "fd_sync", "path_create_directory",
        "path_filestat_set_times", "path_link", "path_remove_directory", "path_rename", "path_symlink", "path_unlink_file",
        "proc_exit", "proc_raise", "sched_yield", "sock_shutdown",
    }  # fmt: skip


def hostile(seed: int, calls: int = 40) -> bytes:
    draw = random.Random(seed)
    functions = [f for key, f in sorted(host_functions().items()) if key[0] == WASI and f.name not in LAST]
    imports, signatures = [], []
    for f in functions:
        params = " ".join(p.wasm_type for p in f.parameters)
        imports.append(f'(import "{WASI}" "{f.name}" (func ${f.name} (param {params}) (result i32)))')
    words = [draw.choice((*EDGES, draw.randrange(65536), draw.randrange(1 << 32))) for _ in range(400)]
    data = "".join(f"\\{byte:02x}" for word in words for byte in word.to_bytes(4, "little"))
    for _ in range(calls):
        f = draw.choice(functions)
        values = []
        for p in f.parameters:
            value = (
                draw.choice((3, 4, 5, 0, 1))
                if p.kind == "fd"
                else draw.choice((*EDGES, draw.randrange(65536)))
            )
            values.append(f"({p.wasm_type}.const {value})")
        signatures.append(f"(drop (call ${f.name} {' '.join(values)}))")
    body = " ".join(signatures)
    return bytes(
        wasmtime.wat2wasm(
            f'(module {" ".join(imports)} (memory (export "memory") 1) (data (i32.const 0) "{data}")'
            f' (func (export "_start") {body}))'
        )
    )


@pytest.mark.parametrize("seed", range(24))
def test_hostile_pointers(run, seed):
    outcome, plugin = run(hostile(seed), limits=PluginLimits(timeout_s=0.5))
    assert outcome.kind in ("returned", "trapped", "limit"), outcome
    proof = verify_recording(plugin.path)
    assert proof["closed"] and proof["records"] == len(list(Recording(plugin.path).calls())) >= 1
    report = PluginReplay.open(plugin.path).run()
    assert report.comparison.is_identical, (seed, report.comparison)
