# SPDX-License-Identifier: Apache-2.0
"""The demonstration does what the README says, in less than a minute, as root and as nobody; the README shows what it prints."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.house.tree import ROOT
from tools import readme

OBSERVER = Path(sys.executable).with_name("observer")
NOBODY = 65534
LIMIT_S = 60


class Run(NamedTuple):
    """One run of the demonstration."""

    output: str
    seconds: float
    home: Path


def demonstrate(home: Path, *prefix: str) -> Run:
    """Run the demonstration in a directory and return what it printed."""
    start = time.monotonic()
    command = [*prefix, str(ROOT / "examples" / "demo" / "demo.sh"), str(home)]
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return Run(result.stdout, time.monotonic() - start, home)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return demonstrate(tmp_path_factory.mktemp("demo") / "demo")


def digests(directory: Path) -> dict[str, tuple[str, int]]:
    """Return the hash and the modification time of every file of a recording."""
    return {
        str(path.relative_to(directory)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_ends_in_time(shown: Run) -> None:
    assert shown.seconds < LIMIT_S


def test_shows_fork_files_network_and_denial(shown: Run) -> None:
    calls = subprocess.run(
        [OBSERVER, "show", "--json", shown.home / "recording"], capture_output=True, text=True, check=True
    ).stdout
    for sign in ("/etc/shadow", "EACCES", "letter.txt", "127.0.0.1", "sha256sum", '"connect"', '"accept"'):
        assert sign in calls, sign
    assert "/etc/shadow" in shown.output
    assert shown.output.count("sha256sum") >= 1


def test_both_verifiers_prove_the_whole_and_find_the_forgery(shown: Run) -> None:
    assert shown.output.count("(exit status 0)") == 2
    assert shown.output.count("(exit status 14)") == 2
    assert "OBS401" in shown.output


def test_readme_shows_what_is_printed() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    stale = readme.differences(text, readme.demo_output())
    assert readme.block(text), "run 'make readme'"
    assert not stale, "run 'make readme' and commit the difference"


def test_reading_leaves_a_recording_as_it_was(shown: Run) -> None:
    recording = shown.home / "recording"
    before = digests(recording)
    assert before
    for verb in ("show", "summary", "verify"):
        subprocess.run([OBSERVER, verb, recording], stdout=subprocess.DEVNULL, check=True)
    assert digests(recording) == before


def test_works_for_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user: the other tests of this file are that test")
    # Not tmp_path: that is closed to all but its owner, and so are its parents.
    with tempfile.TemporaryDirectory(prefix="observer-demo-") as home:
        os.chown(home, NOBODY, NOBODY)
        prefix = (
            "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            "env",
            f"HOME={home}",
        )
        can_enter = [*prefix, str(OBSERVER), "--version"]
        if (
            shutil.which("setpriv") is None
            or subprocess.run(can_enter, capture_output=True, check=False).returncode != 0
        ):
            pytest.skip(
                "an ordinary user cannot enter this checkout (or setpriv is absent): NOT checked without root"
            )
        run = demonstrate(Path(home) / "demo", *prefix)
        assert run.output.count("(exit status 14)") == 2
