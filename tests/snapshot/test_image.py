# SPDX-License-Identifier: Apache-2.0
"""A process that was re-created from a snapshot: the same pages, the same registers, a real debugger on it, and no way out."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from observer import snapshot
from observer.errors import UsageError
from observer.snapshot import ProcessImage
from tests.snapshot.conftest import Start
from tests.snapshot.test_capture import let_it_wait, take

PAGE = 4096
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="processes are re-created on x86-64 only: this is NOT tested"
)


def recreate(analysis: snapshot.Analysis) -> ProcessImage:
    """Re-create the only process, or skip where the machine cannot."""
    try:
        return analysis.recreate(pid=analysis.processes[0])
    except UsageError as error:
        if os.geteuid() != 0 and "namespaces" in str(error):
            pytest.skip(f"{error}: re-creation is NOT tested")
        raise


@pytest.fixture
def pair(start: Start) -> Iterator[tuple[int, snapshot.Analysis, ProcessImage]]:
    """Return a waiting process, its snapshot, and what was re-created from that."""
    process = start("threads")
    let_it_wait(process.pid)
    analysis = snapshot.Analysis(take(process.pid))
    with recreate(analysis) as image:
        yield process.pid, analysis, image


def mappings(pid: int) -> dict[int, tuple[int, str]]:
    """Return end and permissions of each mapping by its start."""
    found = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, mode, *rest = line.split(maxsplit=5)
        if rest[-1] not in ("[vsyscall]",):
            first, last = (int(word, 16) for word in span.split("-"))
            found[first] = (last, mode[:3])
    return found


def test_every_page_is_that_of_the_original(pair: tuple[int, snapshot.Analysis, ProcessImage]) -> None:
    pid, analysis, image = pair
    ours, compared = mappings(image.pid), 0
    kept = {region.address: region for region in analysis.maps() if region.policy != "excluded"}
    with (
        Path(f"/proc/{pid}/mem").open("rb", buffering=0) as original,
        Path(f"/proc/{image.pid}/mem").open("rb", buffering=0) as copy,
    ):
        for address, region in kept.items():
            mode = next(mode for first, (last, mode) in ours.items() if first <= address < last)
            assert mode == region.facts["permissions"][:3]
            for at, _ in analysis.pieces(region):
                length = min(1 << 20, region.address + region.size - at)
                pieces = []
                for memory in (original, copy):
                    memory.seek(at)
                    pieces.append(memory.read(length))
                assert pieces[0] == pieces[1], f"{at:#x} in {region.name}"
                compared += length // PAGE
    assert compared > 1000
    low, high = image.hidden
    beyond = [
        first for first in ours if not any(r.address <= first < r.address + r.size for r in analysis.maps())
    ]
    assert all(low <= first < high for first in beyond), "nothing but the snapshot's memory and the two pages"


def test_it_is_cut_off(pair: tuple[int, snapshot.Analysis, ProcessImage]) -> None:
    pid, _, image = pair
    place = Path(f"/proc/{image.pid}")
    for kind in ("net", "mnt", "pid", "ipc", "uts"):
        assert (place / "ns" / kind).stat().st_ino != Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    assert not list((place / "fd").iterdir())
    assert not list((place / "root").iterdir())
    devices = (place / "net" / "dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    status = (place / "status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    assert "State:\tT (stopped)" in status
    if image.own_user:
        assert "CapEff:\t0000000000000000" in status


def test_nothing_it_does_reaches_the_kernel(pair: tuple[int, snapshot.Analysis, ProcessImage]) -> None:
    _, _, image = pair
    os.kill(image.pid, signal.SIGCONT)  # its first system call is trapped, and that ends it
    end = time.monotonic() + 20
    while "State:\tZ" not in Path(f"/proc/{image.pid}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_real_debugger_attaches(pair: tuple[int, snapshot.Analysis, ProcessImage], build: object) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed: attaching to what was re-created is NOT tested")
    pid, analysis, image = pair
    _, address = next(analysis.find(b"needle in the heap"))
    exe = analysis.file.manifest["processes"][0]["exe"]
    asked = [f"x/s {address:#x}", "info threads", "thread apply all bt", "x/i main", "info registers rsp"]
    command = ["gdb", "-batch", "-nx", "-ex", f"file {exe}", "-ex", f"attach {image.pid}"]
    for words in asked:
        command += ["-ex", words]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "needle in the heap" in shown
    assert shown.count("LWP") >= len(analysis.threads())
    assert "<main" in shown, "its code is read where its symbols say; frames depend on where it was stopped"
    threads = {thread.tid: thread for thread in analysis.threads()}
    assert any(f"{thread.registers['rsp']:#x}" in shown for thread in threads.values())
    assert Path(f"/proc/{pid}/status").read_text().count("TracerPid:\t0") == 1


def test_it_ends_with_its_maker(pair: tuple[int, snapshot.Analysis, ProcessImage]) -> None:
    _, analysis, image = pair
    image.stop()
    assert not Path(f"/proc/{image.pid}").exists()
    code = (
        "import sys, time; from observer import snapshot; from pathlib import Path;"
        f"image = snapshot.Analysis(snapshot.open_snapshot({str(analysis.file.path)!r})).recreate();"
        "print(image.pid, flush=True); time.sleep(60)"
    )
    maker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    pid = int(maker.stdout.readline())
    maker.kill()
    maker.communicate()
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_symbols_are_those_of_the_files(start: Start, build: object) -> None:
    process = start("threads")
    let_it_wait(process.pid)
    analysis = snapshot.Analysis(take(process.pid))
    symbols = analysis.symbols()
    (main,) = [symbol for symbol in symbols.find("main") if symbol.kind == "function"]
    exe = analysis.file.manifest["processes"][0]["exe"]
    assert main.path == exe
    listed = subprocess.run(["nm", exe], capture_output=True, text=True, check=True).stdout
    offset = next(int(line.split()[0], 16) for line in listed.splitlines() if line.endswith(" T main"))
    base = min(region.address for region in analysis.maps() if region.name == exe)
    assert main.address == base + offset
    assert symbols.at(main.address + 1) == main
    assert any(symbol.path.endswith("/libc.so.6") for symbol in symbols.find("malloc"))
    where = {symbols.at(thread.program_counter) for thread in analysis.threads()}
    assert any(symbol is not None and symbol.path.endswith("/libc.so.6") for symbol in where)
