# SPDX-License-Identifier: Apache-2.0
"""Debian with real systemd and journald as process 1, in systemd-nspawn, with the agent's package in it.

The root file system is made once (`tools/machines/rootfs.sh`) and kept under build/; each machine writes into its own overlay.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.house.tree import ROOT

BUILD = ROOT / "build"
TREE = BUILD / "machines/boot"
LOG = "var/log/wsl-monitor/guest-events.log"
NEEDED = ("systemd-nspawn", "mmdebstrap", "nsenter", "dpkg-deb")


def why_not() -> str:
    """Return why machines cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"not installed: {' '.join(missing)}" if missing else ""


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    result = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
    return result  # type: ignore[no-any-return]


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def package() -> Path:
    """Return the .deb of these sources, built once for all workers."""
    sources = [
        ROOT / "pyproject.toml",
        *(ROOT / "packaging").rglob("*"),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "src").rglob("*.toml"),
    ]
    newest = max(path.stat().st_mtime for path in sources if path.is_file())
    with _alone("deb"):
        built = sorted((BUILD / "deb").glob("wsl-monitor_0*.deb"))
        if built and built[-1].stat().st_mtime >= newest:
            return built[-1]
        return ROOT / run("packaging/deb/build.sh", cwd=ROOT).stdout.strip()


def tree() -> Path:
    """Return the unpacked root file system, made once."""
    with _alone("machines"):
        archive = BUILD / "rootfs-boot.tar"
        if not archive.exists():
            run("tools/machines/rootfs.sh", "boot", str(archive), cwd=ROOT)
        if not TREE.exists():
            draft = TREE.with_name("boot.new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            run("tar", "-C", str(draft), "-xf", str(archive))
            draft.rename(TREE)
        return TREE


class Machine:
    """One machine: its root directory, and process 1 while it runs."""

    def __init__(self, place: Path) -> None:
        self.root, self._place = place / "root", place
        for name in ("root", "upper", "work"):
            (place / name).mkdir()
        options = f"lowerdir={tree()},upperdir={place}/upper,workdir={place}/work"
        run("mount", "-t", "overlay", "-o", options, "observer-agent-test", str(self.root))
        self._process: subprocess.Popen[bytes] | None = None
        self.init = 0

    def install(self, deb: Path) -> None:
        """Unpack a package while the machine is off."""
        shutil.copy(deb, self.root / "tmp/agent.deb")
        run("chroot", str(self.root), "dpkg", "-i", "/tmp/agent.deb")

    def boot(self) -> None:
        """Start process 1 and wait until it has finished booting."""
        name = f"agent-{os.getpid()}-{self._place.name[-20:]}".replace("_", "-")
        words = ["systemd-nspawn", "-q", "-D", str(self.root), "--boot", "--register=no", "--keep-unit"]
        words += ["--bind=/dev/kmsg", "--private-network", "--capability=CAP_SYSLOG,CAP_PERFMON"]
        words += ["--system-call-filter=perf_event_open", f"--machine={name[:60]}", "--console=pipe"]
        with (self._place / "console").open("ab") as console:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.wait(self._find_init, 30)
        self.wait(
            lambda: self.call("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}, 60
        )

    def trace(self) -> None:
        """Give the machine a tracefs, which nspawn hides."""
        run("nsenter", "-t", str(self.init), "-m", "mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing")

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine."""
        command = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "--", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def must(self, *words: str) -> str:
        """Run a command in the machine that must succeed; returns what it printed."""
        result = self.call(*words)
        assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
        return result.stdout

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, (self._place / "console").read_text(errors="replace")[-2000:]
            time.sleep(0.1)

    def wait_off(self) -> None:
        """Wait until process 1 has ended."""
        assert self._process is not None
        self._process.wait(60)
        self.init = 0

    def close(self) -> None:
        """End the machine and take its root away."""
        if self._process is not None and self._process.poll() is None:
            if self.init:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.init, 9)
            self._process.terminate()
            self._process.wait(20)
        subprocess.run(["umount", "-l", str(self.root)], check=False)

    def _find_init(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._place / "console").read_text(errors="replace")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self.init = int(child)
        return self.init != 0
