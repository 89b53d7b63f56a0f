# SPDX-License-Identifier: Apache-2.0
"""No format carries a secret of a command line, an argument or what was written, and how many were taken out is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.export.test_collector import OBSERVER, export

SECRETS = ("hunter2secret", "k9-token-k9", "wr1tten-pw", "AKIAIOSFODNN7EXAMPLE")
SCRIPT = "echo password=wr1tten-pw > note; /bin/echo AKIAIOSFODNN7EXAMPLE > /dev/null"


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record a program that is given secrets in each of the usual ways."""
    place = tmp_path_factory.mktemp("telling")
    given = ["--db-password", "hunter2secret", "--api-key=k9-token-k9", "--limit", "5"]
    command = ["record", "-o", str(place / "rec"), "--", "/bin/sh", "-c", SCRIPT, "sh", *given]
    subprocess.run([*OBSERVER, *command], cwd=place, check=True, capture_output=True)
    return place / "rec"


@pytest.mark.parametrize("form", ["otlp-jsonl", "jsonl", "perfetto", "parquet"])
def test_secrets_stay_behind(telling: Path, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{form}"
    words = (telling, "--format", form, "--calls", "full", "-o", path)
    assert export(*words, "--no-redaction").returncode == 0
    before = content(path, form)
    assert all(secret in before for secret in SECRETS), "they were to be there"
    done = export(*words, "--force", "--json")
    after = content(path, form)
    assert [secret for secret in SECRETS if secret in after] == []
    assert "[redacted: password]" in after and '"--limit' in after
    told = json.loads(done.stdout)
    assert (
        told["redacted"]["password"] >= 2 and told["redacted"]["token"] >= 1 and told["redacted"]["form"] >= 1
    )
    assert "secrets taken out" in export(*words, "--force").stderr


def content(path: Path, form: str) -> str:
    """Return all text of an export."""
    if form != "parquet":
        return path.read_bytes().decode(errors="replace").replace('\\"', '"')
    duckdb = pytest.importorskip("duckdb")
    return "\n".join(str(row) for row in duckdb.sql(f"select path, text from '{path}'").fetchall())
