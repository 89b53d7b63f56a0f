# SPDX-License-Identifier: Apache-2.0
"""A recorded plugin runs again with no host, to the last bit, and what differs is named."""

import json
from dataclasses import replace

import pytest
import wasmtime

from observer import forensic
from observer.errors import CapabilityError, FormatError, NotFoundError, UsageError
from observer.model.comparison import DifferenceKind
from observer.model.condition import Condition
from observer.model.forensic import Breakpoint, BreakpointAction, ReplayEnvironment
from observer.plugins import PluginLimits, PluginReplay, restore_for_analysis, take_snapshot
from observer.trace import IdentityContext, TraceContext, TraceStore, complete_trace
from tests.plugins.conftest import PROGRAMS


def replay(plugin, environment=None, **more):
    return PluginReplay.open(plugin.path, environment, **more).run()


def test_twenty_replays_are_identical_although_the_folder_is_gone(built, run, data):
    _, plugin = run(built("files"), "word")
    for file in data.iterdir():
        file.unlink()
    data.rmdir()
    reports = [replay(plugin) for _ in range(20)]
    assert all(report.comparison.is_identical and report.status == "completed" for report in reports)
    assert {report.comparison.match_percentage for report in reports} == {1.0}
    assert len({report.fuel for report in reports}) == 1
    assert reports[0].outcome.detail == "7"


@pytest.mark.parametrize(
    "limits", [PluginLimits(fuel=300_000), PluginLimits(timeout_s=0.1)], ids=["fuel", "time"]
)
def test_a_run_that_a_limit_ended_replays_to_the_same_instruction(built, run, limits):
    outcome, plugin = run(built("clock"), "2000000000", limits=limits)
    assert outcome.kind == "limit" and outcome.exit_status == 124
    report = replay(plugin)
    assert report.comparison.is_identical, report.comparison


def test_a_changed_plugin_is_followed_to_its_first_divergence(built, run):
    _, plugin = run(built("files"), "word")
    changed = built("files").replace(b"/data/out.txt\0", b"/data/oup.txt\0")
    report = replay(plugin, code=changed)
    first = report.comparison.syscall_differences[0]
    assert report.status == "diverged" and first.kind is DifferenceKind.ARGS_CHANGED
    assert "path_open: argument path is 'oup.txt', was 'out.txt'" in first.detail
    assert 0 < report.comparison.match_percentage < 1


def test_breakpoints_log_change_and_end(built, run):
    _, plugin = run(built("files"), "word")
    seen = Breakpoint("path_open", "args[2].contains('in.txt')", BreakpointAction.LOG)
    report = replay(plugin, ReplayEnvironment(breakpoints=(seen,)))
    assert len(report.log) == 1 and "in.txt" in report.log[0] and report.comparison.is_identical
    end = Breakpoint("fd_read", None, BreakpointAction.ABORT)
    assert replay(plugin, ReplayEnvironment(breakpoints=(end,))).status == "aborted"
    change = Breakpoint("fd_read", None, BreakpointAction.modify({"data": "HELLO file\n"}))
    report = replay(plugin, ReplayEnvironment(breakpoints=(change,)))
    assert report.comparison.syscall_differences
    assert any("HELLO" in (item.replay or "") for item in report.comparison.syscall_differences)


def test_a_simulated_file_is_read_in_place_of_the_recorded_one(built, run):
    _, plugin = run(built("files"), "word")
    report = replay(plugin, ReplayEnvironment(simulated_inputs={"/data/in.txt": b"other words\n"}))
    assert report.status == "completed" and report.outcome.detail == "7"
    written = [
        item.replay for item in report.comparison.syscall_differences if "fd_write" in (item.replay or "")
    ]
    assert any("other words" in text for text in written)
    assert not replay(plugin, ReplayEnvironment(simulated_inputs={"clock": b"1"})).comparison.is_identical
    with pytest.raises(UsageError):
        replay(plugin, ReplayEnvironment(simulated_inputs={"nonsense": b""}))


def test_snapshots_at_a_call_and_at_a_fuel_count(built, run):
    _, plugin = run(built("files"), "word")
    before, after = take_snapshot(plugin.path, call=7), take_snapshot(plugin.path, call=8)
    assert before.plugin_id == plugin.plugin_id
    assert b"hello file\n" not in before.memory_regions[0].content
    assert b"hello file\n" in after.memory_regions[0].content
    at_fuel = take_snapshot(plugin.path, fuel=int(after.metadata["fuel"]))
    assert at_fuel.metadata["calls"] in ("8", "9"), "the first check at or after that much fuel"
    end = take_snapshot(plugin.path)
    recorded = PluginReplay.open(plugin.path).recording.final_state()
    assert end.memory_regions[0].content_hash == recorded["memories"][0]["sha256"]
    with pytest.raises(UsageError):
        take_snapshot(plugin.path, call=10_000)

    instance = restore_for_analysis(after, plugin.path)
    where = after.memory_regions[0].content.index(b"hello file\n")
    assert instance.read(where, 11) == b"hello file\n"
    outcome = instance.call("_start")
    assert outcome.kind == "trapped", "it reached for its host and there is none"


def test_a_snapshot_holds_what_the_tables_hold_and_an_instance_gets_it_back(run):
    _, plugin = run(bytes(wasmtime.wat2wasm((PROGRAMS / "tables.wat").read_text())))
    before, after = take_snapshot(plugin.path, call=0), take_snapshot(plugin.path, call=1)
    held = [
        json.loads(component.data)
        for snapshot in (before, after)
        for component in snapshot.state_components
        if component.component_type == "table"
    ]
    assert held == [
        {"size": 4, "entries": [[0, [1, 2]]]},
        {"size": 6, "entries": [[1, [3]], [4, [2, 2]]]},
    ], "functions by their index, the imported one being 0"

    then, now = (restore_for_analysis(snapshot, plugin.path) for snapshot in (before, after))
    assert [then.call("ask", index).values for index in (0, 1)] == [(1,), (2,)]
    assert then.call("ask", 4).kind == "trapped", "the table has not grown yet"
    assert now.call("ask", 0).kind == "trapped", "the entry was emptied"
    assert [now.call("ask", index).values for index in (1, 4, 5)] == [(3,), (2,), (2,)]

    foreign = [replace(part, data=b'{"size":1,"entries":[[9,[1]]]}') for part in after.state_components]
    with pytest.raises(FormatError):
        restore_for_analysis(replace(after, state_components=tuple(foreign)), plugin.path)


def test_a_job_goes_on_by_itself_and_tells_how_it_came_out(built, run):
    _, plugin = run(built("files"), "word")
    stop = Breakpoint("fd_read", "args[0] == '4'", BreakpointAction.PAUSE)
    replay_id = forensic.start_replay(plugin.trace_id, ReplayEnvironment(breakpoints=(stop,)))
    context = forensic.wait_for_replay(replay_id, timeout_s=60)
    assert context.status.kind == "paused" and "fd_read" in context.log[0]
    forensic.resume_replay(replay_id)
    context = forensic.wait_for_replay(replay_id, timeout_s=60)
    assert context.status.kind == "completed" and context.original_trace_id == plugin.trace_id
    assert context.comparison.match_percentage == 1.0 and context.comparison.is_identical
    assert context.end_time >= context.start_time
    with pytest.raises(NotFoundError):
        forensic.get_replay_context(plugin.trace_id)


def test_a_recording_without_inputs_is_refused_clearly():
    context = TraceContext.new(None, None, IdentityContext.root())
    complete_trace(context.trace_id)
    with pytest.raises(CapabilityError, match="without what a replay needs") as refused:
        forensic.start_replay(context.trace_id)
    assert "--replayable" in refused.value.hint
    with pytest.raises(CapabilityError, match="cannot be replayed"):
        PluginReplay.open(TraceStore().get(context.trace_id))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("args[0].contains('passwd')", True),
        ("args[0].endswith('passwd') and result == 0", True),
        ("not args[0].startswith('/etc')", False),
        ("errno == none and (index < 3 or index >= 100)", True),
        ("args[7] == 'x'", False),
        ("syscall != 'path_open'", False),
        ("identity.user_id == 'ana'", True),
        ("identity.user_id.contains('n')", True),
        ("result < 'text'", False),
    ],
)
def test_conditions_mean_what_they_say(source, expected):
    facts = {"result": 0, "index": 2, "errno": None, "syscall": "path_open", "identity.user_id": "ana"}
    assert Condition.parse(source).holds(facts, ["/etc/passwd"]) is expected


@pytest.mark.parametrize(
    "source",
    [
        "",
        "args[",
        "args[-1]",
        "__import__('os')",
        "a ==",
        "(" * 100 + "a",
        "a b",
        "args[0].upper()",
        "'x",
        "x" * 5000,
    ],
)
def test_conditions_that_mean_nothing_are_refused(source):
    with pytest.raises(UsageError):
        Condition.parse(source)
