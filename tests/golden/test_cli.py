# SPDX-License-Identifier: Apache-2.0
"""The command line as text: what is typed, what comes out on which stream, and the exit status.

A case is a file: `scene: NAME`, `args: …`, then what came out. What differs between runs is scrubbed. With
`OBSERVER_UPDATE_GOLDEN=1` the files are rewritten; look at the difference before committing it.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from observer.cli.main import run
from tests.golden.scenes import SCENES

CASES = sorted((Path(__file__).parent / "cli").glob("*.txt"))
SCRUBBERS = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<time>"),
    (r"^[0-9a-f]{8}(?= )", "<id>    "),
    (r'"((?:wall|monotonic|at|start|duration)_ns|pid)":\d+', r'"\1":0'),
    (r'"(hostname|kernel|arch|boot_id)":"[^"]*"', r'"\1":"<machine>"'),
    (r"(?<=started   <time> on ).*", "<machine>"),
    (r"\d+(?:\.\d+)?(?:e\+\d\d)? (?:ms|us|s)\b", "<span>"),
    (r"(?m)^( +s\d+) +\d+\.\d+ +\d+/7 ", r"\1 <seconds> <pid>/7 "),
    (r" on [\w.-]+(?=  \[e1\])", " on <machine>"),
    (r" on [\w.-]+(?=\",\"record_ids\":\[\"e1\"\])", " on <machine>"),
    (r"[\d,]+ bytes: [\d.]+ bytes per", "<n> bytes: <n> bytes per"),
    (r'"(bytes_per_call|stored_bytes|raw_bytes|bytes)":[\d.]+', r'"\1":0'),
    (r"byte \d+", "byte <n>"),
    (r"\b(\w+_ns)=\d+", r"\1=0"),
    (r"^((?:TRACE|<id>    ) .*?) *$", lambda match: re.sub(" {2,}", "  ", match.group(1))),
    (r'"(offset)":"\d+"', r'"\1":"<n>"'),
)


def scrub(text: str, place: Path) -> str:
    text = text.replace(str(place), "<place>")
    for pattern, replacement in SCRUBBERS:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


def run_case(
    case: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> str:
    head = dict(re.findall(r"^(scene|args): (.*)$", case.read_text(encoding="utf-8"), flags=re.M)[:2])
    monkeypatch.setenv("OBSERVER_HOME", str(place / "home"))
    for name in ("WSLMON_LOG_HMAC_KEY", "WSLMON_LOG_HMAC_KEY_FILE", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    SCENES[head["scene"]](place)
    capfd.readouterr()
    monkeypatch.chdir(place)
    status = run(shlex.split(head["args"]))
    streams = [scrub(stream, place) for stream in capfd.readouterr()]
    head_text = f"scene: {head['scene']}\nargs: {head['args']}\n"
    return f"{head_text}--- stdout\n{streams[0]}--- stderr\n{streams[1]}--- exit {status}\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = run_case(case, tmp_path, monkeypatch, capfd)
    if os.environ.get("OBSERVER_UPDATE_GOLDEN"):
        case.write_text(found, encoding="utf-8")
    assert found == case.read_text(encoding="utf-8")
    assert "Traceback" not in found
    assert "\x1b" not in found
