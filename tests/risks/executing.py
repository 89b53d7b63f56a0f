# SPDX-License-Identifier: Apache-2.0
"""Executes behaviours for the rules' tests: in an empty place, with a listener to talk to and a stranger to meet."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from observer import trace

# Not the one of a virtual environment: a checkout below /tmp would be a temporary place.
PYTHON = str(Path(sys.executable).resolve())
POOLS = (3333, 4444, 5555, 7777, 9999, 14444, 45700)
PRIVATE = ["unshare", "-m", "bash", "-c"]
SCRATCH = "mount -t tmpfs t /etc/cron.d; mount -t tmpfs t /var/log; "


@contextmanager
def listener(port: int = 0) -> Iterator[int]:
    """Yield the port of a listener on loopback that says two commands to whoever connects."""
    server = socket.create_server(("127.0.0.1", port))

    def talk(client: socket.socket) -> None:
        client.settimeout(5)
        try:
            client.sendall(b"id\nexit\n")
            while client.recv(4096):
                pass
        except OSError:
            pass
        client.close()

    def serve() -> None:
        while True:
            try:
                client = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@contextmanager
def stranger() -> Iterator[int]:
    """Yield the id of a process that no recording contains."""
    process = subprocess.Popen(["sleep", "600"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def pool_port() -> int:
    """Return a port of mining pools on which nobody listens now."""
    for port in random.sample(POOLS, len(POOLS)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("all ports of mining pools are taken")


def risks_of(
    script: str, *, private: bool = False, engine: str = "ptrace", timeout_s: float = 90, prepare: str = ""
) -> dict[str, trace.RiskFactor]:
    """Record a script of bash and return what the rules find, by rule; what `prepare` does is not recorded."""
    places = [Path(tempfile.mkdtemp(prefix="risk-", dir="/var/tmp")) for _ in range(3)]
    work, home, kept = places
    argv = [*PRIVATE, SCRATCH + script] if private else ["bash", "-c", script]
    try:
        with listener() as port, listener(pool_port()) as pool, stranger() as other:
            own = {
                "HOME": home,
                "PORT": port,
                "POOL": pool,
                "PY": PYTHON,
                "OTHER": other,
                "OBSERVER_HOME": kept,
            }
            env = {**os.environ, **{name: str(value) for name, value in own.items()}}
            subprocess.run(["bash", "-c", prepare], cwd=work, env=env, check=True)
            words = ["record", "--engine", engine, "-o", str(kept / "rec"), "--", *argv]
            command = [sys.executable, "-m", "observer", *words]
            nothing = subprocess.DEVNULL
            done = subprocess.run(
                command,
                cwd=work,
                env=env,
                stdin=nothing,
                stdout=nothing,
                stderr=subprocess.PIPE,
                check=False,
                timeout=timeout_s,
            )
        assert (kept / "rec").is_dir(), done.stderr.decode(errors="replace")
        return {risk.rule: risk for risk in trace.summarise(trace.Recording(kept / "rec")).risk_factors}
    finally:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
