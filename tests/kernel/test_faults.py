# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a watch: all are killed, frozen, very many, or set back in time; the recording verifies."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from observer import errors
from observer.trace import verify_recording
from observer.trace.live import Watch, WatchOptions
from tests.kernel.conftest import calls, events, eventually, root_only

# Kinds of objects that bpftool lists, and the command of bpf(2) that goes on to the next of each. Source: linux/bpf.h.
NEXT = {"program": 11, "map": 12, "type information": 23, "link": 31}


def objects() -> set[tuple[str, int]]:
    """Return every eBPF object in the kernel by kind and id, as bpftool finds them: asked for one by one."""
    libc, found = ctypes.CDLL(None, use_errno=True), set()
    for kind, command in NEXT.items():
        last = 0
        while True:
            attributes = (ctypes.c_uint32 * 32)(last)
            if libc.syscall(321, command, ctypes.byref(attributes), 128) != 0:
                break
            last = attributes[1]
            found.add((kind, last))
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_in_the_kernel(place: Path, how: signal.Signals) -> None:
    before = objects()
    path = place / "rec"
    words = [sys.executable, "-m", "observer", "watch", "--pid", str(os.getpid()), "-o", str(path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        eventually(lambda: (path / "segments" / "000000.seg").exists())
        made = {kind for kind, _ in objects() - before}
        assert {"program", "map"} <= made
        child.send_signal(how)
        child.wait(20)
    eventually(lambda: not objects() - before)
    verify_recording(path)
    ends = [e for e in events(path) if e["type"] == "trace_end"]
    assert len(ends) == (1 if how == signal.SIGTERM else 0)


def unified() -> Path:
    """Return where cgroups of version 2 are."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if line.split(" ")[2] == "cgroup2" and os.access(line.split(" ")[1], os.W_OK):
            return Path(line.split(" ")[1])
    pytest.skip("no cgroup v2 hierarchy is mounted writable: cgroups are NOT tested")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Make a cgroup, and remove it with all below it and in it."""
    root_only()
    made = unified() / f"observer-test-{uuid4().hex[:8]}"
    made.mkdir()
    yield made
    for place in (made, *made.rglob("*/")):
        if (place / "cgroup.freeze").exists():
            (place / "cgroup.freeze").write_text("0")
        for pid in (place / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: not (made / "cgroup.procs").read_text())
    for place in sorted(made.rglob("*/"), reverse=True):
        place.rmdir()
    made.rmdir()


def enter(cgroup: Path) -> None:
    (cgroup / "cgroup.procs").write_text("0")


def test_a_frozen_cgroup_is_watched_and_let_go_of(place: Path, cgroup: Path) -> None:
    loop = "import os,time\nwhile True: os.access('/tick',0); time.sleep(.01)"
    with subprocess.Popen([sys.executable, "-S", "-c", loop], preexec_fn=lambda: enter(cgroup)) as child:
        watch = Watch(WatchOptions(path=place / "rec", cgroups=(cgroup,)))
        eventually(lambda: watch.status()[0].calls > 20)
        (cgroup / "cgroup.freeze").write_text("1")
        eventually(lambda: "frozen 1" in (cgroup / "cgroup.events").read_text())
        time.sleep(0.4)
        still = watch.status()[0].calls
        time.sleep(0.4)
        report = watch.stop()
        assert report.calls == still and report.lost == 0
        (cgroup / "cgroup.freeze").write_text("0")
        child.kill()
    verify_recording(place / "rec")
    assert [row for row in calls(place / "rec") if row["pid"] == child.pid]


def test_everybody_in_the_cgroup_is_killed_at_once(place: Path, cgroup: Path) -> None:
    loop = "while true; do /bin/true; done"
    children = [subprocess.Popen(["/bin/sh", "-c", loop], preexec_fn=lambda: enter(cgroup)) for _ in range(4)]
    watch = Watch(WatchOptions(path=place / "rec", cgroups=(cgroup,)))
    eventually(lambda: watch.status()[0].calls > 500)
    (cgroup / "cgroup.kill").write_text("1")
    for child in children:
        assert child.wait(10) == -signal.SIGKILL
    time.sleep(0.3)
    report = watch.stop()
    verify_recording(place / "rec")
    assert report.received == report.seen
    ended = {e["pid"]: e.get("signal") for e in events(place / "rec") if e.get("what") == "exit"}
    assert all(ended[child.pid] == signal.SIGKILL for child in children)


def test_very_many_cgroups(place: Path, cgroup: Path) -> None:
    many = int(os.environ.get("OBSERVER_CGROUPS", "600"))
    for number in range(many // 2):
        (cgroup / f"before-{number}").mkdir()
    watch = Watch(WatchOptions(path=place / "rec", cgroups=(cgroup,)))
    for number in range(many // 2):
        (cgroup / f"after-{number}").mkdir()
    inside = [cgroup / f"before-{many // 2 - 1}", cgroup / f"after-{many // 2 - 1}"]
    pids = []
    for own in inside:
        with subprocess.Popen(["/bin/true"], preexec_fn=lambda own=own: enter(own)) as child:  # type: ignore[misc]
            pids.append(child.pid)
    time.sleep(0.2)
    report = watch.stop()
    verify_recording(place / "rec")
    assert report.lost == 0
    assert {row["pid"] for row in calls(place / "rec", "--syscall", "exit_group")} == set(pids)
    named = {e.get("cgroup") for e in events(place / "rec") if e["type"] == "process"}
    assert f"/{cgroup.name}/{inside[1].name}" in named


def test_five_thousand_threads(place: Path, busy: Path) -> None:
    path = place / "rec"
    watch = Watch(WatchOptions(path=path, command=(str(busy), (str(busy), "3", "5000"))))
    assert watch.wait(60)
    report = watch.stop()
    if report.exit_code:
        pytest.skip("5,000 threads cannot be made here: NOT tested")
    verify_recording(path)
    lines = [e["what"] for e in events(path) if e["type"] == "process"]
    assert lines.count("thread_start") == lines.count("thread_exit") == 5000
    assert report.lost == 0
    assert len(calls(path, "--syscall", "getppid")) == 15_000


STEP = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	static long started;
	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	int done = real(id, t);
	struct timespec m;
	real(CLOCK_MONOTONIC, &m);
	if (!started)
		started = m.tv_sec;
	if (id == CLOCK_REALTIME && m.tv_sec > started + 1)
		t->tv_sec -= 3600;
	return done;
}
"""


def test_the_clock_is_set_back_an_hour_meanwhile(place: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: a step of the clock is NOT tested")
    (place / "step.c").write_text(STEP)
    shim = place / "step.so"
    subprocess.run(["gcc", "-shared", "-fPIC", str(place / "step.c"), "-o", str(shim), "-ldl"], check=True)
    path = place / "rec"
    words = [sys.executable, "-m", "observer", "watch", "--pid", str(os.getpid()), "--for", "4s"]
    done = subprocess.run(
        [*words, "-o", str(path)],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verify_recording(path)
    (start,) = [e for e in events(path) if e["type"] == "trace_start"]
    (end,) = [e for e in events(path) if e["type"] == "trace_end"]
    assert end["wall_ns"] < start["wall_ns"], "the step was to be seen"
    assert end["monotonic_ns"] - start["monotonic_ns"] > 3_500_000_000, "what orders records was to go on"


def test_disk_full_ends_with_a_clear_word(place: Path) -> None:
    mount = place / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount], check=False).returncode:
        pytest.skip("cannot mount a small file system")

    loud = None
    try:
        watch = Watch(WatchOptions(path=mount / "rec", pids=(os.getppid(),), data_bytes=4096))
        watch.stop()
        noisy = "import os\nfor i in range(10**9): os.access('/tmp/%d' % i, 0)"
        loud = Watch(
            WatchOptions(path=mount / "full", command=(sys.executable, (sys.executable, "-S", "-c", noisy)))
        )
        assert loud.wait(60), "it was to end by itself"
        with pytest.raises(errors.StorageFull):
            loud.stop()
        verify_recording(mount / "full")
    finally:
        root = loud.status()[0].root if loud else None
        if root:
            os.kill(root, signal.SIGKILL)
        time.sleep(0.2)
        subprocess.run(["umount", "-l", mount], check=False)
