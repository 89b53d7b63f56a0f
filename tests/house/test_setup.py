# SPDX-License-Identifier: Apache-2.0
"""Set-up installs what is missing and nothing else, and says what to type when it may not install.

The scripts run for real, with a PATH that holds only what a test puts there. apt-get and sudo are stand-ins that
note their words.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house import tree

SCRIPTS = tree.ROOT / "tools" / "setup"
PLAIN = (
    "bash",
    "cat",
    "dirname",
    "env",
    "grep",
    "head",
    "mkdir",
    "mktemp",
    "realpath",
    "rm",
    "sed",
    "sort",
    "touch",
)
ROWS = [
    line.split() for line in (SCRIPTS / "packages.txt").read_text().splitlines() if not line.startswith("#")
]


class Machine:
    """A PATH with plain tools, everything packages.txt looks for, a good Rust, and stand-ins for apt-get and id."""

    def __init__(self, home: Path) -> None:
        self.bin, self.log, self.stamp = home / "bin", home / "apt.log", home / "build" / "stamp"
        self.bin.mkdir()
        for name in PLAIN:
            (self.bin / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
        for _, proof, _ in ROWS:
            if proof.startswith("cmd:"):
                self.put(proof.removeprefix("cmd:"), "exit 0")
        self.put("cargo", "echo 'cargo 1.99.0 (x)'")
        self.put("rustc", "echo 'rustc 1.99.0 (x)'")
        self.put("apt-get", f'echo "$*" >> {self.log}')
        self.put("id", "echo 0")

    def put(self, name: str, body: str) -> None:
        """Put a program on the PATH."""
        file = self.bin / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!{shutil.which('bash')}\n{body}\n")
        file.chmod(0o755)

    def lose(self, *names: str) -> None:
        """Take programs off the PATH."""
        for name in names:
            (self.bin / name).unlink()

    def system(self, want: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up of system packages."""
        return self.run("system.sh", want, str(self.stamp))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the set-up scripts with this PATH and no terminal."""
        environment = {"PATH": str(self.bin), "HOME": str(self.bin.parent)}
        command = [SCRIPTS / words[0], *words[1:]]
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def apt_words(self) -> str:
        """Return what apt-get was asked."""
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_present_is_not_installed_again(machine: Machine) -> None:
    result = machine.system("test")
    assert result.returncode == 0, result.stderr
    assert machine.apt_words() == ""
    assert machine.stamp.exists()


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    machine.lose("strace", "gdb")
    result = machine.system("test")
    assert result.returncode == 0, result.stderr
    install = [line for line in machine.apt_words().splitlines() if " install " in line]
    assert len(install) == 1
    assert install[0].endswith("--no-install-recommends strace gdb")


def test_the_demonstration_does_not_install_what_only_tests_need(machine: Machine) -> None:
    machine.lose("strace")
    assert machine.system("build").returncode == 0
    assert machine.apt_words() == ""


def test_the_emulator_is_for_the_tests_of_virtual_machines_alone(machine: Machine) -> None:
    machine.lose("qemu-system-x86_64")
    assert machine.system("test").returncode == 0
    assert machine.apt_words() == ""
    assert machine.system("vm").returncode == 0
    assert machine.apt_words().splitlines()[-1].endswith("--no-install-recommends qemu-system-x86")


def test_without_root_or_sudo_it_says_what_to_type(machine: Machine) -> None:
    machine.lose("gcc")
    machine.put("id", "echo 1000")
    result = machine.system("build")
    assert result.returncode == 1
    assert "apt-get install -y --no-install-recommends gcc" in result.stderr
    assert machine.apt_words() == ""


def test_sudo_that_would_ask_without_a_terminal_is_not_waited_for(machine: Machine) -> None:
    machine.lose("gcc")
    machine.put("id", "echo 1000")
    machine.put("sudo", "exit 1")
    result = machine.system("build")
    assert result.returncode == 1
    assert "sudo" in result.stderr


def test_missing_test_programs_do_not_stop_the_tests(machine: Machine) -> None:
    machine.lose("gdb")
    machine.put("id", "echo 1000")
    result = machine.system("test")
    assert result.returncode == 0
    assert "gdb" in result.stderr
    assert not machine.stamp.exists(), "the next run has to look again"


def test_another_distribution_is_told_what_is_missing(machine: Machine) -> None:
    machine.lose("gcc", "apt-get")
    result = machine.system("build")
    assert result.returncode == 1
    assert "missing: gcc" in result.stderr


def test_an_old_rust_is_replaced_by_debians_when_that_is_new_enough(machine: Machine) -> None:
    machine.put("rustc", "echo 'rustc 1.63.0'")
    machine.put("apt-cache", "echo '  Candidate: 1.96.0+dfsg1-1~deb12u2'")
    new = f"printf '#!{shutil.which('bash')}\\necho rustc 1.96.0\\n' > {machine.bin / 'rustc'}"
    machine.put("apt-get", f'echo "$*" >> {machine.log}; case "$*" in *rustc-web*) {new};; esac')
    result = machine.run("rust.sh", "install")
    assert result.returncode == 0, result.stderr
    assert "rustc-web cargo-web" in machine.apt_words()


def test_no_rust_to_be_had_points_to_rustup(machine: Machine) -> None:
    machine.lose("cargo", "rustc")
    machine.put("apt-cache", "echo '  Candidate: 1.85.0+dfsg3-1~deb12u3'")
    result = machine.run("rust.sh", "install")
    assert result.returncode == 1
    assert "rustup" in result.stderr
    assert "install" not in machine.apt_words()


def test_a_failing_installer_is_shown_in_full(machine: Machine) -> None:
    machine.lose("gcc")
    machine.put("apt-get", "echo E: no such package; exit 100")
    result = machine.system("build")
    assert result.returncode == 100
    assert "E: no such package" in result.stderr
