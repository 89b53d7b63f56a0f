# SPDX-License-Identifier: Apache-2.0
"""Hostile modules end in a clear outcome; the host stays up, and the recording verifies and replays."""

import time

import pytest

from observer.errors import UsageError
from observer.plugins import Decision, Mount, PluginLimits, PluginPolicy, PluginReplay
from observer.trace import Recording, verify_recording

wasmtime = pytest.importorskip("wasmtime", reason="SKIPPED: wasmtime is not installed")

WASI = "wasi_snapshot_preview1"
WRITE = f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
READ = f'(import "{WASI}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))'
EXIT = f'(import "{WASI}" "proc_exit" (func $exit (param i32)))'
OPEN = f'(import "{WASI}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))'


def module(body: str, imports: str = "", memory: str = '(memory (export "memory") 1)') -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {imports} {memory} {body})"))


def start(body: str) -> str:
    return f'(func (export "_start") {body})'


def check(plugin, *, replays=True):
    proof = verify_recording(plugin.path)
    assert proof["closed"]
    if replays:
        report = PluginReplay.open(plugin.path).run()
        assert report.comparison.is_identical, report.comparison
    return list(Recording(plugin.path).calls())


def test_infinite_loop(run):
    began = time.monotonic()
    outcome, plugin = run(module(start("(loop (br 0))")), limits=PluginLimits(timeout_s=0.3))
    assert (outcome.kind, outcome.detail) == ("limit", "time") and time.monotonic() - began < 20
    check(plugin)


def test_fuel(run):
    outcome, plugin = run(module(start("(loop (br 0))")), limits=PluginLimits(fuel=100_000))
    assert (outcome.kind, outcome.detail) == ("limit", "fuel")
    check(plugin)


def test_memory_bomb(run):
    body = start(
        "(loop (if (i32.ne (memory.grow (i32.const 16)) (i32.const -1)) (then (br 1)))) (unreachable)"
    )
    outcome, plugin = run(module(body), limits=PluginLimits(memory_bytes=8 << 20))
    assert outcome.kind == "trapped" and "unreachable" in outcome.message
    check(plugin)
    end = next(line.event for line in Recording(plugin.path).lines() if line.event["type"] == "plugin_end")
    assert end["state"]["memories"][0]["bytes"] <= 8 << 20


def test_memory_that_is_too_big_from_the_start(run):
    big = module(start(""), memory='(memory (export "memory") 1000)')
    outcome, plugin = run(big, limits=PluginLimits(memory_bytes=1 << 20))
    assert (outcome.kind, outcome.detail) == ("limit", "memory")
    check(plugin, replays=False)


def test_deep_recursion(run):
    outcome, plugin = run(module("(func $f (call $f)) " + start("(call $f)")))
    assert outcome.kind == "trapped" and outcome.detail == "stack_overflow" and outcome.exit_status == 134
    check(plugin)


@pytest.mark.parametrize(
    ("iovs", "count"),
    [
        (0, 1),
        (0xFFFFFFF8, 1),
        (0xFFFFFFF0, 0x7FFFFFFF),
        (0, 0xFFFFFFFF),
        (65528, 2),
        (64, 1),
        (72, 1),
        (80, 1),
    ],
)
@pytest.mark.parametrize("function", ["write", "read"])
def test_iovecs_out_of_bounds(run, iovs, count, function):
    """64: a buffer beyond the memory; 72: one whose end wraps; 80: one that overlaps the array and the result."""
    data = '(data (i32.const 64) "\\00\\00\\10\\00\\00\\01\\00\\00\\f0\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\50\\00\\00\\00\\20\\00\\00\\00")'  # noqa: E501
    body = data + start(
        f"(drop (call ${function} (i32.const 1) (i32.const {iovs}) (i32.const {count}) (i32.const 84)))"
    )
    outcome, plugin = run(module(body, WRITE + READ))
    assert outcome.kind in ("returned", "trapped")
    calls = check(plugin)
    assert [call["syscall"] for call in calls] == [f"fd_{function}"]


def test_a_result_beyond_the_memory(run):
    body = start("(drop (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0xfffffffe)))")
    _, plugin = run(module(body, WRITE))
    check(plugin)


def test_exit_inside_a_call(run):
    outcome, plugin = run(
        module("(func $f (call $exit (i32.const 41))) " + start("(call $f) (unreachable)"), EXIT)
    )
    assert (outcome.kind, outcome.exit_status) == ("exited", 41)
    assert check(plugin)[-1]["outcome"] == "no_result"


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../x", "..", "\\00", "\\ff\\fe"])
def test_paths_that_lead_out(run, path):
    text = module(
        f'(data (i32.const 0) "{path}")'
        + start(
            f"(drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const {len(path.replace(chr(92) + '00', 'x'))})"
            " (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 1000)))"
        ),
        OPEN,
    )
    _, plugin = run(text)
    call = check(plugin)[0]
    assert call["syscall"] == "path_open" and call["result"] != 0


def test_start_section_runs_and_is_recorded(run):
    body = (
        "(func $s (i32.store8 (i32.const 9) (i32.const 7)) (drop (call $write (i32.const 99) (i32.const 0) (i32.const 0) (i32.const 0)))) (start $s) "  # noqa: E501
        + start("")
    )
    outcome, plugin = run(module(body, WRITE))
    assert outcome.ok
    assert check(plugin)[0]["errno"] == "EBADF"


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\0asm",
        b"not wasm at all",
        b"\0asm\x01\0\0\0\x01\xff",
        b"\0asm\x0d\0\x01\0",
        b"\x7fELF" + bytes(100),
    ],
    ids=["empty", "magic", "text", "cut", "component", "elf"],
)
def test_what_is_no_module(run, code):
    outcome, plugin = run(code)
    assert outcome.kind == "refused" and outcome.exit_status == 15 and outcome.message
    check(plugin, replays=False)
    assert plugin.state.value == "failed"


def test_every_truncation_of_a_real_module_is_refused(built):
    from observer.errors import FormatError
    from observer.plugins.machine import PluginImage

    code = built("clock")
    for cut in range(0, len(code) - 1, len(code) // 60):
        with pytest.raises(FormatError):
            PluginImage.load("cut", code[:cut])


@pytest.mark.parametrize("name", ["nonsense", "fd_writ"])
def test_unknown_imports_are_named(run, name):
    outcome, plugin = run(module(start(""), f'(import "{WASI}" "{name}" (func))'))
    assert outcome.kind == "refused" and name in outcome.message
    check(plugin, replays=False)


def test_too_many_open_files(run):
    one = "(call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 1000))"  # noqa: E501
    body = '(data (i32.const 0) "in.txt")' + start("(local i32) " + f"(drop {one})" * 6)
    _, plugin = run(module(body, OPEN), limits=PluginLimits(open_files=7))
    calls = check(plugin)
    assert [call["result"] for call in calls] == [0, 0, 0, 33, 33, 33]
    assert calls[3]["errno"] == "EMFILE" and not calls[3]["allowed"] and "limit" in calls[3]["reason"]


def test_denied_functions(run, tmp_path):
    body = '(data (i32.const 0) "\\08\\00\\00\\00\\02\\00\\00\\00hi")' + start(
        "(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))"
    )
    _, plugin = run(module(body, WRITE), denied=frozenset({"fd_write"}))
    call = check(plugin)[0]
    assert (
        not call["allowed"]
        and call["errno"] == "ENOTCAPABLE"
        and call["reason"]
        and call["outcome"] == "denied"
    )
    assert (tmp_path / "stdout.txt").read_bytes() == b""


def test_sleeping_past_the_limit(run):
    poll = f'(import "{WASI}" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))'
    body = start(
        "(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 3600000000000)) (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"  # noqa: E501
    )
    began = time.monotonic()
    outcome, plugin = run(module(body, poll), limits=PluginLimits(timeout_s=0.3))
    assert (outcome.kind, outcome.detail) == ("limit", "time") and time.monotonic() - began < 20
    assert check(plugin)[0]["outcome"] == "no_result"


ENV = """(import "env" "log" (func $log (param i32 i32 i32)))
(import "env" "get_env" (func $get (param i32 i32 i32 i32) (result i32)))
(import "env" "syscall" (func $sys (param i32 i32 i32 i32 i32 i32) (result i32)))"""


def test_host_imports_carry_decisions(run):
    body = """(data (i32.const 0) "HOME") (data (i32.const 8) "PATH") (data (i32.const 16) "state_put")
    (data (i32.const 32) "key\\00value") (data (i32.const 48) "process_spawn")""" + start(
        """(call $log (i32.const 2) (i32.const 0) (i32.const 4))
        (drop (call $get (i32.const 0) (i32.const 4) (i32.const 100) (i32.const 50)))
        (drop (call $get (i32.const 8) (i32.const 4) (i32.const 100) (i32.const 50)))
        (drop (call $sys (i32.const 16) (i32.const 9) (i32.const 32) (i32.const 9) (i32.const 200) (i32.const 10)))
        (drop (call $sys (i32.const 48) (i32.const 13) (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 10)))
        (drop (call $sys (i32.const 0xfffffff0) (i32.const 100) (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 10)))"""
    )

    def decide(name, argument):
        return Decision(False, "no logs today") if name == "log" else None

    _, plugin = run(module(body, ENV), policy=PluginPolicy(decide=decide))
    calls = check(plugin)
    told = [(call["syscall"], call["allowed"], call["result"]) for call in calls]
    assert told == [
        ("env.log", False, 0),
        ("env.get_env", True, 5),
        ("env.get_env", False, -1),
        ("env.syscall", True, 0),
        ("env.syscall", False, -1),
        ("env.syscall", False, -3),
    ]
    assert calls[0]["reason"] == "no logs today" and all(call["reason"] for call in calls)
    replay = PluginReplay.open(plugin.path)
    replay.run()
    assert replay.state == plugin.state_map == {"key": b"value"}


def test_mounts_are_read(tmp_path):
    assert Mount.parse("a::/b::ro") == Mount("a", "/b", True)
    assert Mount.parse("data") == Mount("data", "data")
    for text in ("", "::x", "a::b::c::ro"):
        with pytest.raises(UsageError):
            Mount.parse(text)
