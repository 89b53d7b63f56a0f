# SPDX-License-Identifier: Apache-2.0
"""Builds the plugins the tests run, once per session; what cannot be built is skipped with the reason."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from observer.evidence.keys import KEY_FILE_VARIABLE, KEY_VARIABLE
from observer.plugins import (
    Mount,
    Plugin,
    PluginLimits,
    PluginOptions,
    PluginOutcome,
    RecordingPlace,
    run_plugin,
)

PROGRAMS = Path(__file__).parent / "programs"
Runner = Callable[..., tuple[PluginOutcome, Plugin]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    monkeypatch.setenv("OBSERVER_HOME", str(place))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)
    return place


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Return the code of a C program of programs/, built with Debian's clang and wasi-libc."""
    place = tmp_path_factory.mktemp("wasm")

    def build(name: str) -> bytes:
        if (
            not shutil.which("clang")
            or not shutil.which("wasm-ld")
            or not Path("/usr/lib/wasm32-wasi").exists()
        ):
            pytest.skip(
                "SKIPPED: clang, lld and wasi-libc are needed: apt install clang lld wasi-libc libclang-rt-dev-wasm32"
            )
        target = place / f"{name}.wasm"
        if not target.exists():
            command = [
                "clang",
                "--target=wasm32-wasi",
                "--sysroot=/usr",
                "-O2",
                f"{PROGRAMS / name}.c",
                "-o",
                target,
            ]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        return target.read_bytes()

    return build


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    (place / "in.txt").write_text("hello file\n")
    return place


@pytest.fixture
def run(tmp_path: Path, data: Path) -> Runner:
    """Run a plugin with the folder `data` at /data, its output in stdout.txt; returns outcome and plugin."""
    count = iter(range(1000))

    def go(
        code: bytes, *arguments: str, limits: PluginLimits | None = None, **more: object
    ) -> tuple[PluginOutcome, Plugin]:
        policy = more.pop("policy", None)
        options = PluginOptions(
            arguments=arguments,
            environment={"HOME": "/data"},
            mounts=(Mount(str(data), "/data"),),
            limits=limits or PluginLimits(),
            stdout=str(tmp_path / "stdout.txt"),
            stderr=str(tmp_path / "stderr.txt"),
            **more,  # type: ignore[arg-type]
        )
        place = RecordingPlace(path=tmp_path / f"rec{next(count)}")
        return run_plugin("plugin.wasm", code, options, place, policy)  # type: ignore[arg-type]

    return go
