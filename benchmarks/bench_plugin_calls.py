# SPDX-License-Identifier: Apache-2.0
"""What recording adds to a plugin's host calls: ratio to the same plugin, engine and settings without a recorder.

Plain and recorded runs take turns in one process; the smallest wall time of each is compared, sealing included. Budgets: 2.0 for
`clock_time_get`, 1.3 for reads and writes of 4 KiB.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import wasmtime

from observer.plugins import Mount, Plugin, PluginLimits, PluginOptions, RecordingPlace
from observer.plugins.sandbox import NO_LIMIT, sandbox

PROGRAM = r"""
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((import_module("wasi_snapshot_preview1"), import_name("clock_time_get"))) int now(int, int64_t, uint64_t *);
static char page[4096];
int main(int argc, char **argv) {
    long count = atol(argv[2]);
    uint64_t time;
    for (unsigned i = 0; i < sizeof page; i++) page[i] = (char)(i * 2654435761u >> 13);
    if (argv[1][0] == 'c') for (long i = 0; i < count; i++) now(1, 0, &time);
    int file = argv[1][0] == 'c' ? -1 : open("/data/file", O_RDWR | O_CREAT, 0600);
    for (long i = 0; i < count && file >= 0; i++) {
        if (i % 256 == 0) lseek(file, 0, SEEK_SET);
        page[i % 4096]++;
        if (argv[1][0] == 'w' ? write(file, page, sizeof page) < 0 : read(file, page, sizeof page) < 0) return 1;
    }
    return 0;
}
"""
CASES = {
    "clock_time_get": ("c", 1_000_000, 2.0),
    "fd_write 4 KiB": ("w", 10_000, 1.3),
    "fd_read 4 KiB": ("r", 10_000, 1.3),
}


def build(place: Path) -> bytes:
    """Return the program's code, built by Debian's clang."""
    source, target = place / "calls.c", place / "calls.wasm"
    source.write_text(PROGRAM)
    command = ["clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O2", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return target.read_bytes()


def plain(module: Any, arguments: tuple[str, ...], data: Path) -> float:
    """Return the wall time of a run without a recorder, s."""
    box = sandbox()
    store = box.new_store()
    store.set_fuel(NO_LIMIT)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["calls", *arguments]
    wasi.preopen_dir(str(data), "/data")
    store.set_wasi(wasi)
    linker = wasmtime.Linker(box.engine)
    linker.define_wasi()
    start: Any = linker.instantiate(store, module).exports(store)["_start"]
    began = time.perf_counter()
    start(store)
    return time.perf_counter() - began


def recorded(code: bytes, arguments: tuple[str, ...], data: Path, place: Path) -> float:
    """Return the wall time of the same run with a recorder, from its first instruction until all is sealed, s."""
    options = PluginOptions(
        arguments=arguments,
        mounts=(Mount(str(data), "/data"),),
        limits=PluginLimits(timeout_s=None),
        stdout="null",
    )
    plugin = Plugin("calls", options, RecordingPlace(path=place))
    plugin.load(code)
    began = time.perf_counter()
    plugin.call("_start")
    plugin.recorder.flush()
    took = time.perf_counter() - began
    plugin.close()
    shutil.rmtree(place)
    return took


def main() -> int:
    """Print one line per case; return 1 when one is over its budget."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    over = False
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        code = build(place)
        module = sandbox().compile(code)
        (place / "data").mkdir()
        for case, (letter, count, budget) in CASES.items():
            arguments = (letter, str(count))
            (place / "data" / "file").write_bytes(bytes(range(256)) * 4096)
            pairs = [
                (
                    plain(module, arguments, place / "data"),
                    recorded(code, arguments, place / "data", place / "rec"),
                )
                for _ in range(rounds)
            ]
            bare, full = (min(times) for times in zip(*pairs, strict=True))
            over |= full / bare > budget
            each = f"plain {bare / count * 1e6:8.3f} us  recorded {full / count * 1e6:8.3f} us"
            print(f"{case:<16} {each}  ratio {full / bare:.2f} (budget {budget})")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
