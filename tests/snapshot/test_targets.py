# SPDX-License-Identifier: Apache-2.0
"""Programs that people run, captured while they work: redis with data, a JVM, node, Python with numpy, nginx with workers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from observer import snapshot
from tests.snapshot.conftest import Start
from tests.snapshot.test_faults import assert_unharmed

JAVA = """
public class Waits {
    public static void main(String[] words) throws Exception {
        byte[][] kept = new byte[200][];
        for (int n = 0; n < kept.length; n++) { kept[n] = new byte[100000]; kept[n][7] = (byte) n; }
        kept[3] = "marked by a java program".getBytes();
        System.out.println("ready");
        Thread.sleep(1000000);
        System.out.println(kept.length);
    }
}
"""
NODE = """
const kept = Buffer.from('marked by a node program');
console.log('ready');
setInterval(() => kept.length, 1000);
"""
PYTHON = """
import numpy
kept = numpy.arange(5_000_000)
kept[123:126] = [0x4142434445464748, 0x5152535455565758, 0x6162636465666768]
print('ready', flush=True)
input()
"""
SYSTEM_PYTHON = "/usr/bin/python3"


def captured(pid: int, times: int = 3) -> snapshot.Analysis:
    """Take snapshots one after the other, prove each, and return the last; the target is left in peace."""
    snapshotter = snapshot.Snapshotter(snapshot.process_target(pid))
    for _ in range(times):
        file = snapshot.open_snapshot(snapshotter.take().snapshot_id)
        assert snapshot.verify_snapshot(file, snapshot.SnapshotStore()).sealed
    del snapshotter
    assert_unharmed(pid)
    return snapshot.Analysis(file)


def threads_in_gdb(analysis: snapshot.Analysis, pid: int, core: Path) -> None:
    """Let gdb count the threads of a core."""
    if shutil.which("gdb") is None:
        return
    analysis.write_core(core, pid=pid)
    command = ["gdb", "-batch", "-nx", "-ex", "info threads", "-c", str(core)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.count("LWP") >= len(analysis.threads(pid))


@pytest.mark.parametrize(
    ("what", "marked"),
    [
        ("java", b"marked by a java program"),
        ("node", b"marked by a node program"),
        ("numpy", b"HGFEDCBAXWVUTSRQhgfedcba"),
    ],
)
def test_runtimes(start: Start, tmp_path: Path, what: str, marked: bytes) -> None:
    source = tmp_path / "Waits.java"
    source.write_text(JAVA)
    lines = {
        "java": ["java", "-Xmx128m", str(source)],
        "node": ["node", "-e", NODE],
        "numpy": [SYSTEM_PYTHON, "-c", PYTHON],
    }
    if shutil.which(lines[what][0]) is None:
        pytest.skip(f"{what} is not installed: it is NOT captured")
    if what == "numpy" and subprocess.run([SYSTEM_PYTHON, "-c", "import numpy"], check=False).returncode:
        pytest.skip(f"{SYSTEM_PYTHON} has no numpy: a process with it is NOT captured")
    process = start("", command=lines[what])
    analysis = captured(process.pid)
    assert list(analysis.find(marked, pid=process.pid))
    running = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
    assert abs(len(analysis.threads(process.pid)) - running) <= 2, "a runtime may start a helper meanwhile"
    threads_in_gdb(analysis, process.pid, tmp_path / "core")


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(port: int, question: bytes, wanted: bytes) -> bool:
    """Ask a server and look at what it says."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(question)
            one.settimeout(10)
            got = b""
            while wanted not in got:
                more = one.recv(65536)
                if not more:
                    return False
                got += more
            return True
    except OSError:
        return False


def until(true: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Start a redis with data; yields its process and its port."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: a database with data is NOT captured")
    port = free_port()
    command = [
        "redis-server",
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        until(lambda: answers(port, b"PING\r\n", b"+PONG"))
        yield server.pid, port
        server.kill()


def test_redis_answers_as_before_and_its_data_is_there(redis: tuple[int, int]) -> None:
    pid, port = redis
    filled = b"".join(b"SET key:%d value-of-%d-%s\r\n" % (n, n, b"x" * 100) for n in range(20_000))
    assert answers(port, filled + b"PING\r\n", b"+PONG")
    first = captured(pid, 1)
    assert list(first.find(b"value-of-19999-xxxx"))
    assert answers(port, b"SET later:1 written-after-the-first\r\nPING\r\n", b"+PONG")
    second = captured(pid, 2)
    assert list(second.find(b"written-after-the-first"))
    assert not list(first.find(b"written-after-the-first"))
    assert answers(port, b"GET key:777\r\n", b"value-of-777-xxxx")
    listening = [json.loads(c.data) for c in second.file.components() if c.component_type == "descriptor"]
    assert any(
        fd.get("local") == f"127.0.0.1:{port}" or fd.get("local") == f"0.0.0.0:{port}" for fd in listening
    )


def test_a_server_with_workers_is_one_snapshot(tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed: a server with workers is NOT captured")
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; worker_processes 3; {'user root;' if os.geteuid() == 0 else ''}\n"
        f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;\n"
        f"fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 'from a worker'; }} }} }}\n"
    )
    command = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: answers(port, b"GET / HTTP/1.0\r\n\r\n", b"from a worker"))
            analysis = captured(server.pid, 2)
            assert len(analysis.processes) == 4
            parents = {process["pid"]: process["ppid"] for process in analysis.file.manifest["processes"]}
            assert sorted(parents.values()).count(server.pid) == 3
            for pid in analysis.processes:
                assert list(analysis.find(f"127.0.0.1:{port}".encode(), pid=pid))
            assert answers(port, b"GET / HTTP/1.0\r\n\r\n", b"from a worker")
            shared = analysis.file.manifest["totals"]
            assert shared["duplicate_bytes"] > 0, "pages that the workers still share are stored once"
        finally:
            server.terminate()
