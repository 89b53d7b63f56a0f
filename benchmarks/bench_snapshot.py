# SPDX-License-Identifier: Apache-2.0
"""How long a process stands for a snapshot, and how fast it is stored: beside gcore and the machine's own limits, in one run.

A process fills memory with random bytes (`--mib`, default 2,048) and writes to some of it on request. Measured: the pause of the
first snapshot, of an increment with 16 MiB written, and of nine with nothing written; the time that each takes in all; gcore
and CRIU (where it works) on the same process, which stands all the while; process_vm_readv of the same memory into a buffer
that stays in the cache, writing as many bytes, and both together. Then a process full of text, compressed and encrypted,
beside zstd and AES-256-GCM on the same bytes with as many threads.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from observer import snapshot

Result = TypeVar("Result")
_IDLE_TIMES = 9
_TARGET = """
import ctypes, os, sys
size = int(sys.argv[1]) << 20
import mmap
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
block = os.urandom(1 << 20)
for at in range(0, size, 1 << 20):
    memory[at : at + (1 << 20)] = bytes(a ^ (at >> 20 & 255) for a in block[:64]) + at.to_bytes(8, "little") * 8 + block[128:]
    for page in range(0, 1 << 20, 4096):
        memory[at + page : at + page + 8] = (at + page).to_bytes(8, "little")
print("ready", ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
turn = 0
for line in sys.stdin:
    turn += 1
    step = size // 4096 // max(int(line), 1) if int(line) else 0
    for n in range(int(line)):
        memory[n * step * 4096 + 9 : n * step * 4096 + 17] = (turn << 32 | n).to_bytes(8, "little")
    print("done", flush=True)
"""


_TEXT = """
import ctypes, mmap, pathlib, sys, sysconfig
size = int(sys.argv[1]) << 20
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
text = b"".join(path.read_bytes() for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")))
for at in range(0, size, 4096):
    start = at * 7 % (len(text) - 4096)
    memory[at : at + 4096] = at.to_bytes(8, "little") + text[start : start + 4088]
print("ready", ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
for line in sys.stdin:
    print("done", flush=True)
"""


class Target:
    """The process that is measured."""

    def __init__(self, mib: int, program: str = _TARGET) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = int(self._line().split()[1])
        self.bytes = mib << 20

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def write_pages(self, count: int) -> None:
        """Let it write to so many pages, spread over all of its memory."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        self._line()


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_ceiling(target: Target) -> None:
    """Read the target's memory with process_vm_readv, 256 KiB at a time into one buffer."""
    libc, size = ctypes.CDLL(None, use_errno=True), 256 << 10
    buffer = ctypes.create_string_buffer(size)
    local = _Vector(ctypes.addressof(buffer), size)
    for at in range(target.address, target.address + target.bytes, size):
        remote = _Vector(at, size)
        got = libc.process_vm_readv(target.process.pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        assert got == size


def copy_ceiling(target: Target, folder: Path, workers: int) -> None:
    """Read the target's memory and write it where the snapshot goes, on as many threads, without a digest or a frame."""
    libc, size, path = ctypes.CDLL(None, use_errno=True), 256 << 10, folder / "ceiling"

    def work(number: int) -> None:
        buffer = ctypes.create_string_buffer(size)
        local = _Vector(ctypes.addressof(buffer), size)
        for at in range(number * size, target.bytes, workers * size):
            remote = _Vector(target.address + at, size)
            got = libc.process_vm_readv(
                target.process.pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0
            )
            assert got == size
            os.pwrite(out.fileno(), buffer, at)

    with path.open("wb", buffering=0) as out, ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
        os.fdatasync(out.fileno())
    path.unlink()


def write_ceiling(target: Target, folder: Path) -> None:
    """Write as many bytes where the snapshot goes, 256 KiB at a time from one buffer."""
    block, path = os.urandom(256 << 10), folder / "ceiling"
    with path.open("wb", buffering=0) as out:
        for _ in range(target.bytes // len(block)):
            out.write(block)
        os.fdatasync(out.fileno())
    path.unlink()


def gcore(target: Target, folder: Path) -> float | None:
    """Return seconds for which gcore keeps the target standing, or None without gdb."""
    if shutil.which("gcore") is None:
        return None
    began = time.perf_counter()
    command = ["gcore", "-o", str(folder / "gcore"), str(target.process.pid)]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    for path in folder.glob("gcore.*"):
        path.unlink()
    return seconds


def criu(target: Target, folder: Path) -> float | str:
    """Return seconds for which CRIU keeps the target frozen, or why it cannot."""
    if shutil.which("criu") is None:
        return "not installed"
    place = folder / "criu"
    place.mkdir()
    began = time.perf_counter()
    command = [
        "criu",
        "dump",
        "-t",
        str(target.process.pid),
        "-D",
        str(place),
        "--leave-running",
        "--shell-job",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    shutil.rmtree(place)
    lines = [line for line in done.stderr.splitlines() if "Error" in line]
    return seconds if done.returncode == 0 else (lines or ["it failed"])[0]


def seal_ceiling(target: Target, workers: int) -> Cost:
    """Return the cost of zstd 1 and AES-256-GCM over the target's memory, 64 KiB at a time, on as many threads."""
    with Path(f"/proc/{target.process.pid}/mem").open("rb", buffering=0) as memory:
        parts = []
        for at in range(0, target.bytes, 1 << 20):
            memory.seek(target.address + at)
            parts.append(memory.read(1 << 20))
    data = memoryview(b"".join(parts))
    cipher, step = AESGCM(bytes(32)), 64 << 10

    def work(number: int) -> None:
        press = zstandard.ZstdCompressor(level=1)
        for at in range(number * step, len(data), workers * step):
            cipher.encrypt(at.to_bytes(12, "little"), press.compress(data[at : at + step]), None)

    with ThreadPoolExecutor(workers) as pool:
        return timed(lambda: list(pool.map(work, range(workers))))[1]


def measure_sealed(mib: int) -> None:
    """Compare a compressed and encrypted snapshot with what compressing and encrypting cost alone."""
    target, workers = Target(mib, _TEXT), os.cpu_count() or 1
    try:
        ceiling = seal_ceiling(target, workers)
        show(f"zstd 1 and AES-256-GCM, {workers} threads", ceiling.wall, ceiling.speed(target.bytes))
        options = snapshot.SnapshotOptions(format=snapshot.SnapshotFormat.COMPRESSED_AND_ENCRYPTED)
        snapshotter = snapshot.Snapshotter(snapshot.process_target(target.process.pid))
        taken, cost = timed(lambda: snapshotter.take(options))
        share = f"{ceiling.wall / cost.wall:.0%} of that by the clock, {ceiling.cpu / cost.cpu:.0%} by processor time"
        speed = f"{cost.speed(target.bytes)}; {share}; {taken.bytes / 2**20:.1f} MiB"
        show("compressed and encrypted snapshot: in all", cost.wall, speed)
    finally:
        target.process.kill()
        target.process.communicate()


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost: seconds on the clock, and of processors. On a busy machine only the second one says how fast it is."""

    wall: float
    cpu: float

    def speed(self, size: int) -> str:
        """Return it as two speeds."""
        return f"{size / self.wall / 1e9:.2f} GB/s, {size / max(self.cpu, 1e-9) / 1e9:.2f} GB/s for each core used"


def timed(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do something and measure it."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    return done, Cost(time.perf_counter() - wall, time.process_time() - cpu)


def show(what: str, seconds: float, against: str = "") -> None:
    """Print one row."""
    print(f"{what:<46} {seconds * 1000:10.2f} ms  {against}", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--format", default="raw", choices=[kind.value for kind in snapshot.SnapshotFormat])
    parser.add_argument(
        "--folder", type=Path, default=Path("/dev/shm"), help="where files go (default /dev/shm)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        os.environ["OBSERVER_HOME"] = name
        target = Target(args.mib)
        try:
            measure(target, Path(name), snapshot.SnapshotFormat(args.format))
        finally:
            target.process.kill()
            target.process.communicate()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory of the recorder: {peak:.0f} MiB")
        measure_sealed(max(args.mib // 4, 64))
    return 0


def measure_digests(target: Target, read: Cost) -> None:
    """Take a snapshot that keeps digests alone: what reading and digesting cost where nothing is written."""
    options = snapshot.SnapshotOptions(
        format=snapshot.SnapshotFormat.RAW, selection=snapshot.Selection(hash_only=("*",)), alone=True
    )
    snapshotter = snapshot.Snapshotter(snapshot.process_target(target.process.pid))
    _, cost = timed(lambda: snapshotter.take(options))
    share = f"{read.wall / cost.wall:.0%} of process_vm_readv by the clock"
    show("snapshot of digests alone: in all", cost.wall, f"{cost.speed(target.bytes)}; {share}")


def measure_chain(
    target: Target, kept_as: snapshot.SnapshotFormat, peer: float | None, limits: tuple[Cost, Cost]
) -> snapshot.Taken:
    """Take a whole snapshot and increments, print what each costs, and return the last."""
    snapshotter = snapshot.Snapshotter(snapshot.process_target(target.process.pid))
    options = snapshot.SnapshotOptions(format=kept_as, alone=True)
    pages, whole = target.bytes // 4096, None
    for what, dirty, times in (
        ("first snapshot", 0, 1),
        ("increment, nothing written", 0, _IDLE_TIMES),
        ("increment, 16 MiB written", 4096, 1),
        ("increment, 1 % written", pages // 100, 1),
    ):
        pauses = []
        for _ in range(times):
            target.write_pages(dirty)
            taken, cost = timed(lambda: snapshotter.take(options))
            pauses.append(taken.longest_pause_ns / 1e9)
        whole = whole or cost
        pause = statistics.median(pauses)
        parts = ", ".join(f"{name} {ns / 1e6:.2f}" for name, ns in taken.method.get("phases_ns", {}).items())
        range_ = (
            f"{min(pauses) * 1000:.2f} to {max(pauses) * 1000:.2f} in {times} times; " if times > 1 else ""
        )
        against = f"gcore stands {peer / pause:,.0f} x longer" if peer else ""
        show(f"{what}: pause", pause, f"({range_}last: {parts}) {against}")
        if cost is whole:
            reading, copying = (f"{limit.wall / cost.wall:.0%}" for limit in limits)
            told = (
                f"{cost.speed(target.bytes)}; {reading} of process_vm_readv, {copying} of reading and writing"
            )
        else:
            told = f"{whole.wall / cost.wall:.1f} x cheaper than the first, {whole.cpu / cost.cpu:.1f} x by processor time"
        show(f"{what}: in all", cost.wall, f"{told}; {taken.bytes / 2**20:.1f} MiB")
    return taken


def measure(target: Target, folder: Path, kept_as: snapshot.SnapshotFormat) -> None:
    """Take the snapshots and print what they cost."""
    _, read = timed(lambda: read_ceiling(target))
    show("process_vm_readv of the same memory", read.wall, read.speed(target.bytes))
    _, written = timed(lambda: write_ceiling(target, folder))
    show("writing as many bytes where it goes", written.wall, written.speed(target.bytes))
    workers = os.cpu_count() or 1
    _, copied = timed(lambda: copy_ceiling(target, folder, workers))
    show(f"both, {workers} threads, no digests", copied.wall, copied.speed(target.bytes))
    measure_digests(target, read)
    peer = gcore(target, folder)
    if peer is not None:
        show("gcore: the target stands", peer)
    other = criu(target, folder)
    if isinstance(other, str):
        print(f"CRIU cannot be measured here: {other}")
    else:
        show("CRIU: the target stands", other)
    taken = measure_chain(target, kept_as, peer, (read, copied))
    opened = snapshot.open_snapshot(taken.snapshot_id)
    proof, cost = timed(lambda: snapshot.verify_snapshot(opened, snapshot.SnapshotStore()))
    show("verify the last one, all pages", cost.wall, cost.speed(proof.pages * 4096))


if __name__ == "__main__":
    sys.exit(main())
