# SPDX-License-Identifier: Apache-2.0
"""A Debian guest in QEMU with the agent's package in it, to be killed: booted once, loaded from its snapshot for each fault."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.agents import machines
from tests.house.tree import ROOT

BUILD = ROOT / "build/machines/vm"
# TCG runs ten to thirty times slower than the machine, more beside other work: patience, not precision.
PATIENCE_S = 600.0
APPEND = (
    "console=ttyS0 root=/dev/vda rw quiet panic=2 psi=1 mitigations=off cryptomgr.notests no_timer_check tsc=reliable "
    "memmap=1M$0x18000000 ramoops.mem_address=0x18000000 ramoops.mem_size=0x100000 ramoops.ecc=1 ramoops.record_size=0x20000"
)


def why_not() -> str:
    """Return why guests cannot run here, or nothing."""
    if os.environ.get("OBSERVER_VM") != "1":
        return "takes minutes: run by 'make test-vm'"
    needed = ("qemu-system-x86_64", "qemu-img", "mke2fs", "mmdebstrap", "busybox")
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        return f"not installed: {' '.join(missing)}"
    return "mounts disks: needs root" if os.geteuid() != 0 else ""


def accelerator() -> str:
    """Return `kvm` where a guest kernel really runs with it, else `tcg`; tried, since /dev/kvm alone says nothing."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    words = [
        "qemu-system-x86_64",
        "-M",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "256",
        "-nodefaults",
        "-display",
        "none",
    ]
    words += [
        "-serial",
        "stdio",
        "-no-reboot",
        "-kernel",
        str(BUILD / "vmlinuz"),
        "-append",
        "console=ttyS0 panic=-1",
    ]
    with contextlib.suppress(subprocess.TimeoutExpired):
        result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        return "kvm" if b"Kernel panic" in result.stdout else "tcg"
    return "tcg"


class Guest:
    """One running guest."""

    def __init__(self, place: Path, disk: Path, *, load: bool, accel: str = "tcg") -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place, self.disk = place, disk
        self.marks: list[int] = []
        self._lines: list[str] = []
        self._news = threading.Condition()
        cpu = ["-cpu", "host"] if accel == "kvm" else ["-cpu", "Nehalem,-spec-ctrl"]
        accelerate = accel if accel == "kvm" else "tcg,thread=multi,tb-size=256"
        # Beside other work a guest that is interpreted gets too little of the machine to boot before its own time-outs.
        words = ["nice", "-n", "-10", "qemu-system-x86_64", "-M", "q35", "-accel", accelerate, *cpu]
        words += ["-smp", "1", "-m", "512", "-nodefaults"]
        words += [
            "-display",
            "none",
            "-serial",
            f"file:{place}/console",
            "-serial",
            f"unix:{place}/shell,server=on,wait=off",
        ]
        words += ["-monitor", f"unix:{place}/monitor,server=on,wait=off", "-kernel", str(BUILD / "vmlinuz")]
        words += [
            "-initrd",
            str(BUILD / "initrd.gz"),
            "-append",
            APPEND,
            "-device",
            "virtio-blk-pci,drive=d0",
        ]
        words += [
            "-drive",
            f"file={disk},if=none,id=d0,format=qcow2,cache=writeback",
            *(["-loadvm", "booted"] if load else []),
        ]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._shell = self._connect("shell")
        threading.Thread(target=self._read, daemon=True).start()
        if load:
            try:
                self.run("true")
            except BaseException:
                self.close()
                raise

    def run(self, line: str, seconds: float = PATIENCE_S) -> str:
        """Run a line in the guest's shell; returns what it printed, and fails when its status is not 0."""
        status, text = self.attempt(line, seconds)
        assert status == 0, f"{line}: status {status}: {text}"
        return text

    def attempt(self, line: str, seconds: float = PATIENCE_S) -> tuple[int, str]:
        """Run a line in the guest's shell; returns status and text."""
        with self._news:
            start = len(self._lines)
        self.send(line)
        number = self._await(r"^@@END (\d+)$", start, seconds)
        with self._news:
            status = re.fullmatch(r"@@END (\d+)", self._lines[number])
            assert status is not None
            return int(status[1]), "\n".join(self._lines[start:number])

    def send(self, line: str) -> None:
        """Send a line whose end is not waited for."""
        self._shell.sendall(line.encode() + b"\n")

    def await_boot(self) -> None:
        """Wait until the shell is there."""
        self._await(r"^SHELL_READY$", 0, PATIENCE_S)

    def monitor(self, command: str) -> None:
        """Give QEMU's monitor a command and wait for its prompt."""
        with self._connect("monitor") as monitor:
            monitor.settimeout(PATIENCE_S)
            self._prompt(monitor)
            monitor.sendall(command.encode() + b"\n")
            self._prompt(monitor)

    def cut_power(self) -> None:
        """End QEMU as a power cut ends a machine: what the guest had not flushed is gone."""
        self.process.kill()
        self.process.wait()

    def await_end(self, seconds: float = PATIENCE_S) -> None:
        """Wait until the guest has switched itself off."""
        self.process.wait(seconds)

    @contextlib.contextmanager
    def files(self) -> Iterator[Path]:
        """Mount the disk of an ended guest, its journal replayed as at a boot."""
        raw, mount = self.place / "disk.raw", self.place / "mnt"
        mount.mkdir(exist_ok=True)
        machines.run("qemu-img", "convert", "-O", "raw", str(self.disk), str(raw))
        machines.run("mount", "-o", "loop", str(raw), str(mount))
        try:
            yield mount
        finally:
            machines.run("umount", str(mount))
            raw.unlink()

    def close(self) -> None:
        """End it and remove its disk."""
        if self.process.poll() is None:
            self.cut_power()
        self._shell.close()
        self.disk.unlink(missing_ok=True)

    def _connect(self, name: str) -> socket.socket:
        end = time.monotonic() + 60
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.place / name))
            except OSError:
                connection.close()
                assert self.process.poll() is None, self.process.stderr.read() if self.process.stderr else b""
                assert time.monotonic() < end
                time.sleep(0.05)
            else:
                return connection

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                piece = self._shell.recv(1 << 16)
            except OSError:
                return
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            with self._news:
                for line in lines:
                    self._take(line.decode("utf-8", "replace").strip("\r"))
                self._news.notify_all()

    def _take(self, line: str) -> None:
        mark = re.search(r"@@MARK (\d+)$", line)
        if mark:
            self.marks.append(int(mark[1]))
        else:
            self._lines.append(line)

    def _await(self, pattern: str, start: int, seconds: float) -> int:
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for number in range(start, len(self._lines)):
                    if re.search(pattern, self._lines[number]):
                        return number
                left = end - time.monotonic()
                assert left > 0, f"no {pattern}: {self._lines[-5:]} {self.console()[-500:]}"
                assert self.process.poll() is None or left < seconds, self.console()[-500:]
                self._news.wait(min(left, 1.0))

    def console(self) -> str:
        """Return what the guest's kernel printed."""
        return (self.place / "console").read_text(errors="replace")

    @staticmethod
    def _prompt(monitor: socket.socket) -> None:
        text = b""
        while not text.rstrip().endswith(b"(qemu)"):
            piece = monitor.recv(4096)
            assert piece, text
            text += piece


def booted_disk() -> Path:
    """Return a disk with the snapshot `booted` of a running guest, made once for a package."""
    deb = machines.package()
    disk = BUILD / "booted.qcow2"
    if disk.exists() and disk.stat().st_mtime >= deb.stat().st_mtime:
        return disk
    archive = ROOT / "build/rootfs-vm.tar"
    if not archive.exists():
        machines.run("tools/machines/rootfs.sh", "vm", str(archive), cwd=ROOT)
    machines.run("tools/machines/vm_image.sh", str(archive), str(deb), str(BUILD), cwd=ROOT)
    draft = BUILD / "root.qcow2"
    guest = Guest(BUILD / "first-boot", draft, load=False, accel=accelerator())
    try:
        guest.await_boot()
        guest.attempt("systemctl is-system-running --wait")
        guest.run("echo ramoops > /etc/modules-load.d/ramoops.conf; modprobe ramoops; sync")
        guest.run("observer agent status")
        guest.monitor("savevm booted")
    finally:
        guest.cut_power()  # one that failed would slow all others down
    draft.rename(disk)
    return disk
