# SPDX-License-Identifier: Apache-2.0
"""Programs to take snapshots of, and a store of the test's own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("programs")
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own."""
    place = tmp_path / "home"
    monkeypatch.setenv("OBSERVER_HOME", str(place))
    for name in ("RECIPIENTS", "IDENTITY", "PASSPHRASE"):
        monkeypatch.delenv(f"OBSERVER_SNAPSHOT_{name}_FILE", raising=False)
    # rseq(2): the kernel writes the processor's number into a thread's memory, also while nobody else changes anything.
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0")
    return place


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that compiles a program of `programs/`, once."""
    folder = tmp_path_factory.mktemp("programs")

    def compiled(name: str) -> Path:
        target = folder / name
        if not target.exists():
            command = [
                "gcc",
                "-g",
                "-O1",
                "-fno-omit-frame-pointer",
                "-pthread",
                "-o",
                target,
                PROGRAMS / f"{name}.c",
            ]
            subprocess.run(command, check=True)
        return target

    return compiled


@pytest.fixture
def start(build: Callable[[str], Path]) -> Iterator[Start]:
    """Return a function that starts a program and waits until it says that it is ready."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(name: str, *words: str, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        line = command if command is not None else [str(build(name)), *words]
        # The kernel writes the processor's number into restartable-sequence areas whenever a thread goes on elsewhere.
        environment = os.environ | {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready")
        return process

    yield begin
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
