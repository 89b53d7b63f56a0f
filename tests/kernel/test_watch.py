# SPDX-License-Identifier: Apache-2.0
"""observer watch on real processes: what it sees, what it says is lost, and what it leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from observer import errors
from observer.trace import verify_recording
from observer.trace.live import Watch, WatchOptions
from tests.kernel.conftest import calls, events, observer

N = 50_000


def watch_command(path: Path, *argv: str, **options: object) -> dict[str, object]:
    watch = Watch(WatchOptions(path=path, command=(argv[0], argv), **options))  # type: ignore[arg-type]
    assert watch.wait(60)
    report = watch.stop()
    verify_recording(path)
    (account,) = [e for e in events(path) if e["type"] == "probe"]
    assert account["received"] + account["lost"] == account["seen"] == report.seen
    return account


def test_every_call_is_there_with_its_text_and_result(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import os\ntry:\n open('/nonexistent/file')\nexcept OSError:\n pass\n"
        "os.mkdir('made here')\nos.rename('made here', 'moved')"
    )
    monkeypatch.chdir(place)
    account = watch_command(place / "rec", sys.executable, "-S", "-c", script)
    assert account["lost"] == 0
    rows = calls(place / "rec")
    opened = [r for r in rows if r["syscall"] == "openat" and "/nonexistent/file" in r["args"][1]["text"]]
    assert [(r["errno"], r["outcome"]) for r in opened] == [("ENOENT", "failed")]
    assert any(r["syscall"] == "mkdir" and r["args"][0]["text"] == '"made here"' for r in rows)
    renamed = [r for r in rows if r["syscall"] == "rename"]
    assert [a["text"] for a in renamed[0]["args"]] == ['"made here"', '"moved"']
    assert rows[0]["syscall"] == "execve" and rows[-1]["syscall"] == "exit_group"
    assert rows[0]["args"][1]["text"].startswith(f'["{sys.executable}", "-S", "-c", "import os'), rows[0][
        "args"
    ]


def test_count_is_exact_in_threads(place: Path, busy: Path) -> None:
    account = watch_command(place / "rec", str(busy), str(N), "2")
    assert account["lost"] == 0
    assert len(calls(place / "rec", "--syscall", "getppid")) == 2 * N


def test_nothing_is_lost_at_half_a_million_calls_a_second(place: Path, busy: Path) -> None:
    seconds = int(os.environ.get("OBSERVER_LOAD_S", "2"))
    cpus = min(os.cpu_count() or 1, 2)
    rate = 500_000 // cpus
    path = place / "rec"
    watch = Watch(
        WatchOptions(path=path, command=(str(busy), (str(busy), str(rate * seconds), str(cpus), str(rate))))
    )
    assert watch.wait(seconds * 3 + 30)
    report = watch.stop()
    assert report.lost == 0 and report.received == report.seen
    assert report.calls >= rate * seconds * cpus
    verify_recording(path)


def test_what_a_small_buffer_cannot_hold_is_declared(place: Path, busy: Path) -> None:
    path = place / "rec"
    account = watch_command(
        path, str(busy), str(N), "2", buffer_bytes=1 << 16, stall_ms=1500, only=("getppid", "execve")
    )
    losses = [e for e in events(path) if e["type"] == "loss"]
    assert account["lost"] > N, "the buffer was to be overrun"
    assert sum(e["count"] for e in losses) == account["lost"]
    assert all(0 < e["first_ns"] <= e["last_ns"] and e["cgroup_id"] > 0 for e in losses)
    assert {e["cpu"] for e in losses} <= set(range(os.cpu_count() or 1))
    (end,) = [e for e in events(path) if e["type"] == "trace_end"]
    assert end["lost"] == account["lost"]
    lives = sum(e["type"] == "process" and e.get("how") != "initial" for e in events(path))
    assert account["seen"] >= 2 * N + lives


def test_running_process_is_watched_with_what_it_starts_and_not_stopped(place: Path) -> None:
    loop = "import os,subprocess,time\nwhile True: subprocess.run(['/bin/true']); time.sleep(.02)"
    with subprocess.Popen([sys.executable, "-c", loop]) as child:
        try:
            path = place / "rec"
            observer("watch", "--pid", child.pid, "--for", "1500ms", "-o", path, "-q")
            state = Path(f"/proc/{child.pid}/status").read_text()
            assert "TracerPid:\t0" in state and "State:\tT" not in state
        finally:
            child.kill()
    first = next(e for e in events(path) if e["type"] == "process")
    assert (first["how"], first["pid"]) == ("existing", child.pid) and first["files"]
    execs = [e for e in events(path) if e.get("what") == "exec"]
    # One that was between fork and exec when watching began may have been in its call already.
    known = {e["pid"] for e in events(path) if e.get("how") == "existing"}
    execs = [e for e in execs if e["pid"] not in known]
    assert execs and all(e["argv"] == ["/bin/true"] for e in execs)
    ids = {e["pid"] for e in events(path) if e["type"] == "process"}
    assert {row["pid"] for row in calls(path)} <= ids, "somebody outside the tree was recorded"


def test_refusal_by_seccomp_is_told_from_a_refusal_by_permission(place: Path) -> None:
    # prctl(NO_NEW_PRIVS); a filter that answers EPERM to getpgid (121) and allows the rest; then both kinds of refusal
    script = (
        "import ctypes,struct,os\nlibc=ctypes.CDLL(None)\nlibc.prctl(38,1,0,0,0)\n"
        "code=struct.pack('HBBI'*4,0x20,0,0,0, 0x15,0,1,121, 6,0,0,0x50001, 6,0,0,0x7fff0000)\n"
        "b=ctypes.create_string_buffer(code)\nf=struct.pack('HxxxxxxQ',4,ctypes.addressof(b))\n"
        "g=ctypes.create_string_buffer(f)\nassert libc.prctl(22,2,ctypes.byref(g),0,0)==0\nlibc.getpgid(7)\nlibc.kill(1,99)"
    )
    watch_command(place / "rec", sys.executable, "-S", "-c", script)
    (refused,) = calls(place / "rec", "--syscall", "getpgid")
    assert (refused["outcome"], refused["errno"], refused["flags"] & 8) == ("denied", "EPERM", 8)
    assert refused["denied_by"] == "seccomp"
    (failed,) = calls(place / "rec", "--syscall", "kill")
    assert (failed["outcome"], failed["flags"] & 8) == ("failed", 0)


def test_a_refusal_by_permission_and_an_interruption_have_their_classes(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: a refusal after giving up root is NOT tested")
    script = (
        "import os,signal,time\nsignal.signal(14,lambda *_:None)\nsignal.siginterrupt(14,True)\nsignal.setitimer(0,.05)\n"
        "import ctypes\nctypes.CDLL(None).pause()\nos.setresgid(65534,65534,65534)\nos.setresuid(65534,65534,65534)\n"
        "try: os.open('/etc/shadow',0)\nexcept OSError: pass\n"
        "try: os.kill(1,0)\nexcept OSError: pass"
    )
    watch_command(place / "rec", sys.executable, "-S", "-c", script)
    (shadow,) = [r for r in calls(place / "rec", "--syscall", "openat") if "/etc/shadow" in str(r["args"])]
    assert (shadow["outcome"], shadow["denied_by"], shadow["errno"]) == ("denied", "permission", "EACCES")
    assert [r["outcome"] for r in calls(place / "rec", "--syscall", "pause")] == ["interrupted"]
    ids = [e for e in events(place / "rec") if e.get("what") == "ids"]
    assert ids[-1]["uid"] == ids[-1]["euid"] == ids[-1]["gid"] == 65534, "a change of user is told"


def test_long_and_hostile_arguments_are_kept(place: Path) -> None:
    hostile = "\x1b]0;owned\x07\n\u202e" + "x" * 4090
    many = [f"a{i}" for i in range(900)]
    watch_command(place / "rec", "/bin/true", hostile, *many, "last")
    (line,) = [e for e in events(place / "rec") if e.get("what") == "exec"]
    assert line["argv"][1].startswith("\x1b]0;owned\x07\n\u202exxx") and line["argv"][-1] == "last"
    assert "\x1b" not in observer("show", place / "rec").stdout


def test_threads_that_come_and_go(place: Path) -> None:
    script = (
        "import threading\nb=threading.Barrier(400)\n"
        "def f(): b.wait()\nt=[threading.Thread(target=f) for _ in range(400)]\n"
        "[x.start() for x in t];[x.join() for x in t]"
    )
    watch_command(place / "rec", sys.executable, "-S", "-c", script)
    lines = [e["what"] for e in events(place / "rec") if e["type"] == "process"]
    assert lines.count("thread_start") == lines.count("thread_exit") == 400


def test_exec_from_another_thread_keeps_its_call(place: Path) -> None:
    script = (
        "import os,threading,time\n"
        "threading.Thread(target=os.execv,args=('/bin/echo',['echo','from a thread'])).start()\ntime.sleep(9)"
    )
    watch_command(place / "rec", sys.executable, "-S", "-c", script)
    line = [e for e in events(place / "rec") if e.get("what") == "exec"][-1]
    assert line["argv"] == ["echo", "from a thread"] and line["from_tid"] != line["tid"] == line["pid"]
    last = calls(place / "rec", "--syscall", "execve")[-1]
    assert (last["result"], last["tid"]) == (0, line["pid"])


def test_killed_inside_a_call(place: Path) -> None:
    watch_command(place / "rec", "/bin/sh", "-c", "sleep 30 & kill -9 $!; wait")
    (line,) = [e for e in events(place / "rec") if e.get("what") == "exit" and "signal" in e]
    assert line["signal"] == 9


def test_without_the_right_it_says_what_is_missing(place: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("not root, or setpriv is not installed: the missing capability is NOT tested")
    words = [sys.executable, "-m", "observer", "watch", "--all", "--for", "1s", "-o", str(place / "rec")]
    limit = ["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"]
    done = subprocess.run([*limit, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 12
    assert "it lacks CAP_BPF and CAP_PERFMON" in done.stderr and "Traceback" not in done.stderr
    words = [
        sys.executable,
        "-m",
        "observer",
        "record",
        "--engine",
        "auto",
        "-o",
        str(place / "r"),
        "--",
        "true",
    ]
    done = subprocess.run([*limit, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "without eBPF (" in done.stderr and "lacks CAP_BPF" in done.stderr and "(ptrace)" in done.stderr


def test_what_is_not_there_is_refused_before_anything_is_made(place: Path) -> None:
    for words in (["--pid", "4194303"], ["--cgroup", "/no/such"], ["--container", "no-such-thing"], []):
        done = observer("watch", *words, "-o", place / "rec", check=False)
        assert done.returncode in (2, 17), done.stderr
        assert not (place / "rec").exists()
    with pytest.raises(errors.UsageError):
        Watch(WatchOptions(path=place / "rec", everything=True, only=("opennat",)))
