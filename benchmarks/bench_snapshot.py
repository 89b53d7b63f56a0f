# SPDX-License-Identifier: Apache-2.0
"""How long a process stands for a snapshot, and how fast it is stored: beside gcore and the machine's own limits, in one run.

A process fills memory with random bytes (`--mib`, default 2,048) and writes to some of it on request. Measured: the pause of the
first snapshot, of an increment with 16 MiB written, and of one with nothing written; the time that each takes in all; gcore
and CRIU (where it works) on the same process, which stands all the while; process_vm_readv of the same memory into a buffer
that stays in the cache. Then a process full of text, compressed and encrypted, beside zstd and AES-256-GCM on the same bytes
with as many threads.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from observer import snapshot

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


def read_ceiling(target: Target) -> float:
    """Return seconds for reading the target's memory with process_vm_readv, 256 KiB at a time into one buffer."""
    libc, size = ctypes.CDLL(None, use_errno=True), 256 << 10
    buffer = ctypes.create_string_buffer(size)
    local = _Vector(ctypes.addressof(buffer), size)
    began = time.perf_counter()
    for at in range(target.address, target.address + target.bytes, size):
        remote = _Vector(at, size)
        got = libc.process_vm_readv(target.process.pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        assert got == size
    return time.perf_counter() - began


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


def seal_ceiling(target: Target, workers: int) -> float:
    """Return seconds for zstd 1 and AES-256-GCM over the target's memory, 64 KiB at a time, on as many threads."""
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

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    return time.perf_counter() - began


def measure_sealed(mib: int) -> None:
    """Compare a compressed and encrypted snapshot with what compressing and encrypting cost alone."""
    target, workers = Target(mib, _TEXT), os.cpu_count() or 1
    try:
        ceiling = seal_ceiling(target, workers)
        show(
            f"zstd 1 and AES-256-GCM, {workers} threads", ceiling, f"{target.bytes / ceiling / 1e9:.2f} GB/s"
        )
        options = snapshot.SnapshotOptions(format=snapshot.SnapshotFormat.COMPRESSED_AND_ENCRYPTED)
        began = time.perf_counter()
        taken = snapshot.Snapshotter(snapshot.process_target(target.process.pid)).take(options)
        seconds = time.perf_counter() - began
        speed = f"{target.bytes / seconds / 1e9:.2f} GB/s, {ceiling / seconds:.0%} of that; {taken.bytes / 2**20:.1f} MiB"
        show("compressed and encrypted snapshot: in all", seconds, speed)
    finally:
        target.process.kill()
        target.process.communicate()


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
        measure_sealed(max(args.mib // 4, 64))
    print(f"peak memory of the recorder: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0


def measure(target: Target, folder: Path, kept_as: snapshot.SnapshotFormat) -> None:
    """Take the snapshots and print what they cost."""
    ceiling = read_ceiling(target)
    show("process_vm_readv of the same memory", ceiling, f"{target.bytes / ceiling / 1e9:.2f} GB/s")
    peer = gcore(target, folder)
    if peer is not None:
        show("gcore: the target stands", peer)
    other = criu(target, folder)
    if isinstance(other, str):
        print(f"CRIU cannot be measured here: {other}")
    else:
        show("CRIU: the target stands", other)
    snapshotter = snapshot.Snapshotter(snapshot.process_target(target.process.pid))
    options = snapshot.SnapshotOptions(format=kept_as)
    pages = target.bytes // 4096
    whole = 0.0
    for what, dirty in (
        ("first snapshot", 0),
        ("increment, nothing written", 0),
        ("increment, 16 MiB written", 4096),
        ("increment, 1 % written", pages // 100),
        ("increment, nothing written", 0),
    ):
        target.write_pages(dirty)
        began = time.perf_counter()
        taken = snapshotter.take(options)
        seconds = time.perf_counter() - began
        whole = whole or seconds
        pause = taken.longest_pause_ns / 1e9
        against = f"gcore stands {peer / pause:,.0f} x longer" if peer else ""
        parts = ", ".join(f"{name} {ns / 1e6:.2f}" for name, ns in taken.method.get("phases_ns", {}).items())
        show(f"{what}: pause", pause, f"({parts}) {against}")
        show(
            f"{what}: in all",
            seconds,
            f"{whole / seconds:.1f} x cheaper than the first; {taken.bytes / 2**20:.1f} MiB"
            + (f"; {ceiling / seconds:.0%} of process_vm_readv" if seconds == whole else ""),
        )
    began = time.perf_counter()
    proof = snapshot.verify_snapshot(snapshot.open_snapshot(taken.snapshot_id), snapshot.SnapshotStore())
    seconds = time.perf_counter() - began
    show(
        "verify the last one, all pages",
        seconds,
        f"{proof.pages * 4096 / seconds / 1e9:.2f} GB/s on one core",
    )


if __name__ == "__main__":
    sys.exit(main())
