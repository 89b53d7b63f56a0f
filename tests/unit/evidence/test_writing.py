# SPDX-License-Identifier: Apache-2.0
"""The native writer against the oracle in plain Python, keys from the environment, and what users get told."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observer.errors import CaptureError, ChainBroken, KeyUnusable, MacMismatch, UsageError
from observer.evidence import SealedLog, load_hmac_key, read_log, verify_log
from tests.spec.evidence_forge import KEY, Forge

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=5), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, keyed=st.booleans(), ascii_only=st.booleans())
def test_lines_are_those_of_the_oracle(
    tmp_path: Path, events: list[dict[str, object]], keyed: bool, ascii_only: bool
) -> None:
    path = tmp_path / "events.log"
    path.unlink(missing_ok=True)
    key = KEY if keyed else None
    raw = [json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for event in events]
    with SealedLog.create(path, key=key, rotate_bytes=None) as log:
        log.append_batch(raw)
    lines = path.read_bytes().splitlines()
    oracle = Forge(key=key)
    for line in read_log(path):
        oracle.add(line.event, line.kind)
    assert oracle.lines == lines
    assert [line.event for line in read_log(path) if line.kind is None] == raw
    assert verify_log(path, key=key).root == oracle.root().hex()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "events.log"
    if not path.exists():
        with SealedLog.create(path, key=KEY, rotate_bytes=None) as log:
            log.append_batch([b'{"n":1}', b'{"n":2}'])
        (tmp_path / "whole").write_bytes(path.read_bytes())
    whole = bytearray((tmp_path / "whole").read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 2))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    with pytest.raises(Exception, match=r".") as caught:
        verify_log(path, key=KEY)
    assert caught.value.code[:4] in {"OBS4", "OBS5"}  # type: ignore[attr-defined]
    path.write_bytes((tmp_path / "whole").read_bytes())


@pytest.mark.parametrize(
    "environ",
    [
        {"WSLMON_LOG_HMAC_KEY": ""},
        {"WSLMON_LOG_HMAC_KEY": "07" * 31},
        {"WSLMON_LOG_HMAC_KEY": "0" * 65},
        {"WSLMON_LOG_HMAC_KEY": "zz" * 32},
        {"WSLMON_LOG_HMAC_KEY_FILE": ""},
        {"WSLMON_LOG_HMAC_KEY_FILE": "/nonexistent/key"},
        {"WSLMON_LOG_HMAC_KEY_FILE": "/dev/zero"},
        {"WSLMON_LOG_HMAC_KEY_FILE": "/"},
    ],
)
def test_a_bad_key_is_an_error_and_never_an_unsigned_log(environ: dict[str, str]) -> None:
    with pytest.raises(KeyUnusable) as caught:
        load_hmac_key(environ)
    assert "07070707" not in str(caught.value)


def test_keys_are_read_as_people_write_them(tmp_path: Path) -> None:
    assert load_hmac_key({}) is None
    assert load_hmac_key({"WSLMON_LOG_HMAC_KEY": "07:07-07 07\n" + "07" * 28}) == KEY
    file = tmp_path / "key"
    file.write_text(" ".join(["07"] * 32) + "\n")
    assert load_hmac_key({"WSLMON_LOG_HMAC_KEY_FILE": str(file)}) == KEY
    with pytest.raises(KeyUnusable):
        load_hmac_key({"WSLMON_LOG_HMAC_KEY_FILE": str(file), "WSLMON_LOG_HMAC_KEY": "08" * 32})


def test_what_users_get_told(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    with SealedLog.create(path, key=KEY) as log:
        with pytest.raises(UsageError, match="same key twice"):
            log.append(b'{"a":1,"a":2}')
        with pytest.raises(CaptureError, match="another writer"):
            SealedLog.open(path, key=KEY)
    with pytest.raises(CaptureError, match="File exists"):
        SealedLog.create(path)
    with pytest.raises(KeyUnusable, match="signed"):
        SealedLog.open(path)
    with pytest.raises(MacMismatch, match="wrong key"):
        SealedLog.open(path, key=b"\x08" * 32)
    with pytest.raises(UsageError, match="durability"):
        SealedLog.create(tmp_path / "b.log", durability="maybe")
    with pytest.raises(UsageError, match="no such option"):
        SealedLog.create(tmp_path / "b.log", colour="red")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(path.read_bytes().replace(b'"size":', b'"sizf":'))
    with pytest.raises(ChainBroken, match="sequence 1"):
        SealedLog.open(path, key=KEY)
