# SPDX-License-Identifier: Apache-2.0
"""Recordings are found by id, prefix, path and `last`; damage in one hides no other, and no flipped bit goes unseen."""

import json
import os
import random
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from observer import trace
from observer.cli.main import run
from observer.errors import FormatError, IntegrityError, NotFoundError, ObserverError, UsageError

ANA = trace.IdentityContext.new("acme", "ana")


def recorded(calls: int = 3) -> Path:
    context = trace.TraceContext.new(None, None, ANA)
    for number in range(calls):
        trace.record_syscall(context.trace_id, "file_read", None, [f"/srv/{number}"], True)
    trace.record_event(context.trace_id, "noted", trace.EventSeverity.INFO, {"k": "v"})
    trace.complete_trace(context.trace_id)
    return trace.TraceStore().get(context.trace_id)


def test_found_by_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = recorded(), recorded()
    store = trace.TraceStore()
    assert store.find("last") == second
    for path in (first, second):
        assert store.find(path.name) == store.find(path.name[:13]) == store.find(path.name.upper()) == path
        assert store.find(str(path)) == path
    monkeypatch.chdir(first.parent)
    assert store.find(first.name) == Path(first.name)
    for name in ("", "f", "zzzzzzzz", "00000000", str(uuid4())):
        with pytest.raises(NotFoundError):
            store.find(name)


def test_an_ambiguous_prefix_is_said(home: Path) -> None:
    path = recorded()
    twin = path.with_name(path.name[:-1] + ("0" if path.name[-1] != "0" else "1"))
    shutil.copytree(path, twin)
    with pytest.raises(UsageError, match="2 recordings begin with"):
        trace.TraceStore().find(path.name[:8])


def test_elsewhere_and_gone(home: Path, tmp_path: Path) -> None:
    path, store = recorded(), trace.TraceStore()
    moved = tmp_path / "mov\u00e9d"
    path.rename(moved)
    trace_id = trace.Recording(moved).start.trace_id
    with pytest.raises(NotFoundError):
        store.get(trace_id)
    store.register(trace_id, moved)
    assert store.get(trace_id) == store.find("last") == moved
    shutil.rmtree(moved)
    assert list(store.entries()) == []
    store.forget(trace_id)
    store.forget(trace_id)
    assert not list(home.rglob("*.path"))


def test_damage_in_one_recording_hides_no_other(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = recorded(), recorded()
    (bad / "sealed.log").write_bytes(b"nothing of ours\n")
    (home / "traces" / f"{uuid4()}.path").write_text(json.dumps({"path": "/does/not/exist"}))
    assert [context.trace_id for context in trace.list_traces()] == [trace.Recording(good).start.trace_id]
    assert trace.TraceStore().find("last") == good
    assert run(["show"]) == 0
    out = capsys.readouterr().out
    assert "unreadable: OBS500" in out
    assert out.count("completed") == 1


def test_a_damaged_pointer_names_itself(home: Path) -> None:
    recorded()
    (home / "traces" / f"{uuid4()}.path").write_text("not json")
    with pytest.raises(FormatError, match="damaged entry"):
        list(trace.TraceStore().entries())


def test_a_lost_final_newline_is_damage(capsys: pytest.CaptureFixture[str]) -> None:
    log = recorded() / "sealed.log"
    whole = log.read_bytes()
    for last in (b"", b"\x0b", b"\x8a"):
        log.write_bytes(whole[:-1] + last)
        assert run(["verify", str(log.parent)]) == 15
        assert "error[OBS500]" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(4))
def test_no_flipped_bit_goes_unseen(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    path, chance = recorded(), random.Random(seed)
    for file in (path / "sealed.log", path / "segments" / "000000.seg"):
        whole = file.read_bytes()
        for _ in range(40):
            position, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
            file.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
            with pytest.raises((IntegrityError, FormatError)):
                trace.verify_recording(path)
            for verb in ("summary", "verify", "show"):
                status = run([verb, str(path)])
                assert status in (14, 15), (verb, file.name, position, bit)
                assert "Traceback" not in capsys.readouterr().err
        file.write_bytes(whole)
    trace.verify_recording(path)


@pytest.mark.parametrize("seed", range(2))
def test_no_cut_is_a_crash(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    path, chance = recorded(), random.Random(seed)
    for file in (path / "sealed.log", path / "segments" / "000000.seg"):
        whole = file.read_bytes()
        for length in [0, 1, *(chance.randrange(len(whole)) for _ in range(15))]:
            os.truncate(file, 0)
            file.write_bytes(whole[:length])
            for verb in ("summary", "verify", "show"):
                try:
                    status = run([verb, str(path)])
                except ObserverError as error:
                    pytest.fail(f"{verb} let {error!r} through")
                assert status in (0, 14, 15), (verb, file.name, length)
                assert "Traceback" not in capsys.readouterr().err
        file.write_bytes(whole)
