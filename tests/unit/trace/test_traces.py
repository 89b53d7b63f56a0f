# SPDX-License-Identifier: Apache-2.0
"""Traces outlive the process that recorded them, take calls from any thread, and end in exactly one way."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from observer import trace
from observer.errors import KeyUnusable, MacMismatch, NotFoundError, UsageError
from observer.evidence.keys import KEY_VARIABLE

ANA = trace.IdentityContext.new("acme", "ana").with_agent("api")
BOB = trace.IdentityContext.new("acme", "bob")


def started(identity: trace.IdentityContext = ANA, **ids: UUID) -> UUID:
    context = trace.TraceContext.new(ids.get("container"), ids.get("plugin"), identity)
    return context.trace_id


def in_another_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ},
    )
    return done.stdout.strip()


def test_all_that_was_told_of_a_call_is_read_back() -> None:
    trace_id = started()
    record_id = trace.record_syscall(
        trace_id,
        "file_open",
        BOB,
        ["/srv/a b", "r", 7, "\udcff\x00\n"],
        False,
        reason="not listed",
        trust_score=0.25,
        policy_version="v3",
        enforcement_mode="enforce",
        violation_action="block",
        duration_ns=1500,
        result="QUARANTINED",
        errno="EACCES",
        thread=77,
    )
    trace.complete_trace(trace_id)
    (call,) = trace.get_trace(trace_id).syscalls
    assert record_id == call.record_id == "s0"
    assert (call.syscall, call.args) == ("file_open", ("/srv/a b", "r", "7", "\\udcff\x00\n"))
    assert (call.identity, call.allowed, call.reason) == (BOB, False, "not listed")
    assert (call.trust_score, call.policy_version) == (0.25, "v3")
    assert (call.enforcement_mode, call.violation_action) == ("enforce", "block")
    assert (call.duration_ns, call.result, call.errno) == (1500, "QUARANTINED", "EACCES")
    assert (call.tid, call.pid, call.outcome) == (77, os.getpid(), trace.Outcome.DENIED)
    assert abs(call.timestamp - datetime.now(UTC)) < timedelta(seconds=30)


def test_allowed_failed_and_denied_are_told_apart() -> None:
    trace_id = started()
    trace.record_syscall(trace_id, "file_read", None, [], True, result=12)
    trace.record_syscall(trace_id, "file_read", None, [], True, errno="ENOENT")
    trace.record_syscall(trace_id, "file_read", None, [], False)
    outcomes = [call.outcome.value for call in trace.get_trace(trace_id).syscalls]
    assert outcomes == ["ok", "failed", "denied"]
    trace.complete_trace(trace_id)
    summary = trace.generate_llm_summary(trace_id)
    assert (summary.syscall_count, summary.allowed_syscalls, summary.denied_syscalls) == (3, 2, 1)
    assert summary.failed_syscalls == 1
    assert all(call.identity == ANA for call in trace.get_trace(trace_id).syscalls)


def test_statuses_and_what_cannot_follow_an_end() -> None:
    completed, failed = started(), started()
    assert trace.get_trace(completed).status == trace.TraceStatus.ACTIVE
    trace.complete_trace(completed)
    trace.fail_trace(failed, "out of fuel")
    assert trace.get_trace(completed).status == trace.TraceStatus.COMPLETED
    assert trace.get_trace(failed).status == trace.TraceStatus.failed("out of fuel")
    assert trace.get_trace(failed).end_time is not None
    for act in (
        lambda: trace.record_syscall(completed, "x", None, [], True),
        lambda: trace.record_event(completed, "x"),
        lambda: trace.complete_trace(completed),
        lambda: trace.fail_trace(completed, "again"),
    ):
        with pytest.raises(UsageError):
            act()
    with pytest.raises(NotFoundError):
        trace.record_syscall(uuid4(), "x", None, [], True)
    with pytest.raises(NotFoundError):
        trace.generate_llm_summary(uuid4())


def test_events_keep_order_severity_and_data() -> None:
    trace_id = started()
    trace.record_event(trace_id, "first", trace.EventSeverity.DEBUG)
    trace.record_event(trace_id, "second", trace.EventSeverity.CRITICAL, {"code": 7})
    events = trace.get_trace(trace_id).events
    assert [(event.event_type, event.severity.value, dict(event.data)) for event in events] == [
        ("first", "debug", {}),
        ("second", "critical", {"code": "7"}),
    ]
    assert events[1].record_id is not None
    assert events[-1].event_type == "second"


def test_another_process_lists_and_reads() -> None:
    trace_id = started()
    trace.record_syscall(trace_id, "net_connect", ANA, ["example.org:443"], True)
    trace.record_event(trace_id, "noted", trace.EventSeverity.INFO, {"k": "v"})
    trace.complete_trace(trace_id)
    code = (
        "from observer import trace\n"
        "(found,) = trace.list_traces()\n"
        "print(found.trace_id, found.status, [c.syscall for c in found.syscalls], [dict(e.data) for e in found.events])"
    )
    assert in_another_process(code) == f"{trace_id} completed ['net_connect'] [{{'k': 'v'}}]"


def test_listing_filters() -> None:
    container, plugin = uuid4(), uuid4()
    before = datetime.now(UTC)
    first = started(ANA, container=container)
    time.sleep(0.02)
    between = datetime.now(UTC)
    second = started(BOB, plugin=plugin)

    def listed(**filters: object) -> list[UUID]:
        return [context.trace_id for context in trace.list_traces(**filters)]  # type: ignore[arg-type]

    assert listed() == [second, first]
    assert listed(container_id=container) == [first]
    assert listed(plugin_id=plugin) == [second]
    assert listed(identity=BOB) == listed(identity="bob") == listed(identity="acme/bob") == [second]
    assert listed(identity="api") == [first]
    assert listed(identity="acme") == [second, first]
    assert listed(since=between) == [second]
    assert listed(until=between) == [first]
    assert listed(since=before, until=between, container_id=container) == [first]
    assert listed(container_id=uuid4()) == []


def test_calls_of_many_threads_are_all_kept_once() -> None:
    trace_id = started()
    ids: list[str] = []

    def work(number: int) -> None:
        ids.extend(trace.record_syscall(trace_id, f"file_{number}", None, [i], True) for i in range(200))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trace.complete_trace(trace_id)
    calls = list(trace.get_trace(trace_id).syscalls)
    assert len(ids) == len(set(ids)) == len(calls) == 1600
    assert {call.record_id for call in calls} == set(ids)
    for number in range(8):
        of_one = [call for call in calls if call.syscall == f"file_{number}"]
        assert [call.args[0] for call in of_one] == [str(i) for i in range(200)]
        assert len({call.tid for call in of_one}) == 1


def test_a_killed_embedder_leaves_what_was_sealed() -> None:
    code = (
        "import os, signal, time\n"
        "from observer import trace\n"
        "c = trace.TraceContext.new(None, None, trace.IdentityContext.root())\n"
        "for i in range(1000): trace.record_syscall(c.trace_id, 'file_read', None, [i], True)\n"
        "trace.record_event(c.trace_id, 'halfway')\n"
        "time.sleep(1)\n"
        "print(c.trace_id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ},
    )
    assert done.returncode == -signal.SIGKILL
    context = trace.get_trace(UUID(done.stdout.strip()))
    assert (len(context.syscalls), len(context.events)) == (1000, 1)
    assert context.status.is_failed
    assert context.end_time is None
    summary = trace.generate_llm_summary(context.trace_id)
    assert [risk.rule for risk in summary.risk_factors] == ["not-closed"]
    assert summary.integrity_score == 90


def test_a_process_that_forgets_to_complete_loses_nothing() -> None:
    code = (
        "from observer import trace\n"
        "c = trace.TraceContext.new(None, None, trace.IdentityContext.root())\n"
        "trace.record_syscall(c.trace_id, 'file_read', None, [], True)\n"
        "print(c.trace_id)\n"
    )
    context = trace.get_trace(UUID(in_another_process(code)))
    assert len(context.syscalls) == 1
    assert context.status.is_failed


def test_a_fork_does_not_disturb_its_parents_trace() -> None:
    trace_id = started()
    trace.record_syscall(trace_id, "file_read", None, ["before"], True)
    child = os.fork()
    if child == 0:
        refused = 1
        try:
            trace.record_syscall(trace_id, "file_read", None, ["in child"], True)
        except UsageError:
            own = trace.TraceContext.new(None, None, BOB)
            trace.complete_trace(own.trace_id)
            refused = 0
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    trace.record_syscall(trace_id, "file_read", None, ["after"], True)
    trace.complete_trace(trace_id)
    assert [call.args for call in trace.get_trace(trace_id).syscalls] == [("before",), ("after",)]
    trace.generate_llm_summary(trace_id)


def test_a_trace_of_another_living_process_is_active() -> None:
    code = (
        "import sys\n"
        "from observer import trace\n"
        "c = trace.TraceContext.new(None, None, trace.IdentityContext.root())\n"
        "print(c.trace_id, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ},
    ) as other:
        assert other.stdout is not None
        trace_id = UUID(other.stdout.readline().strip())
        assert trace.get_trace(trace_id).status == trace.TraceStatus.ACTIVE
        with pytest.raises(UsageError, match="not being recorded by this process"):
            trace.complete_trace(trace_id)


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_a_trust_score_is_a_fraction(score: float) -> None:
    with pytest.raises(UsageError):
        trace.record_syscall(started(), "x", None, [], True, trust_score=score)


def test_a_huge_argument_is_cut_and_counted() -> None:
    trace_id = started()
    trace.record_syscall(trace_id, "file_write", None, ["x" * 1_000_000], True)
    trace.complete_trace(trace_id)
    (call,) = trace.get_trace(trace_id).syscalls
    assert call.args[0].endswith("… [934464 more characters]")


def test_a_trace_is_a_frozen_value() -> None:
    context = trace.TraceContext.new(None, None, ANA)
    with pytest.raises(AttributeError):
        context.status = trace.TraceStatus.COMPLETED  # type: ignore[misc]


def test_recordings_are_private(home: Path) -> None:
    trace_id = started()
    trace.record_syscall(trace_id, "x", None, [], True)
    trace.complete_trace(trace_id)
    for path in (home / "traces", *(home / "traces").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_key_signs_and_a_bad_key_never_leaves_an_unsigned_trace(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "not a key")
    with pytest.raises(KeyUnusable):
        started()
    assert not list(home.rglob("sealed.log"))
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    trace_id = started()
    trace.complete_trace(trace_id)
    assert "signature holds" in trace.generate_llm_summary(trace_id).integrity_assessment
    monkeypatch.setenv(KEY_VARIABLE, "cd" * 32)
    with pytest.raises(MacMismatch):
        trace.generate_llm_summary(trace_id)
