# SPDX-License-Identifier: Apache-2.0
"""Killed recorders, full disks, damaged recordings, and programs that die, multiply or fight the tracer."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replay.conftest import OBSERVER, Pair, run

KILLS = int(os.environ.get("OBSERVER_REPLAY_KILLS", "6"))
FLIPS = int(os.environ.get("OBSERVER_REPLAY_FLIPS", "24"))

LINES = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { for (int i = 0; i < 100000; i++) { printf("%d\n", i); fflush(stdout); if (i % 16 == 0) usleep(500); } return 0; }
"""
MANY = r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int sum = 0, status;
    for (int i = 0; i < 1000; i++) {
        if (fork() == 0) _exit(i % 7);
        if (i % 50 == 49) while (wait(&status) > 0) sum += WEXITSTATUS(status);
    }
    printf("%d\n", sum);
    return 0;
}
"""
# Each asks for something that would take it out of the tracer's sight, or harm the tracer; it says what it got.
FIGHTS = {
    "untraced clone": r"""
        long pid = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) { getppid(); _exit(5); }
        int status = 0; waitpid(pid, &status, 0); printf("%d\n", WEXITSTATUS(status));""",
    "daemon": r"""
        int ends[2]; char byte = 0; pipe(ends);
        if (fork() == 0) { setsid(); if (fork() == 0) { usleep(20000); write(ends[1], "d", 1); _exit(0); } _exit(0); }
        wait(0); read(ends[0], &byte, 1); printf("%c\n", byte);""",
    "ptrace of the tracer": r"""
        printf("%ld\n", ptrace(PTRACE_SEIZE, tracer(), 0, 0)); printf("%ld\n", ptrace(PTRACE_TRACEME, 0, 0, 0));""",
    "memory of the tracer": r"""
        char path[64], byte = 0; snprintf(path, 64, "/proc/%d/mem", tracer());
        int fd = open(path, O_RDWR); printf("%d\n", fd >= 0 ? (int)pwrite(fd, &byte, 1, 0x1000) : -2);""",
    "stopping the parent": r"""
        kill(getppid(), SIGWINCH); kill(tracer(), 0); printf("still here\n");""",
    "looking for a tracer": r"""
        printf("%s\n", tracer() ? "traced" : "free");""",
    "time of one call": r"""
        struct timespec a, b; clock_gettime(CLOCK_MONOTONIC, &a); getppid(); clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);""",
    "rewriting its own code": r"""
        unsigned char *page = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        unsigned char code[] = {0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xc3}; memcpy(page, code, 8);
        int first = ((int (*)(void))page)(); page[1] = 39;
        printf("%d %d\n", first == getppid(), ((int (*)(void))page)() == getpid());""",
    "unmapping the kernel's page": r"""
        unsigned long base = getauxval(AT_SYSINFO_EHDR); printf("%d\n", munmap((void *)base, 4096));""",
}
FIGHT = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static int tracer(void) {
    char line[256]; int found = 0; FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, 256, status)) sscanf(line, "TracerPid: %d", &found);
    fclose(status); return found;
}
int main(void) { BODY return 0; }
"""


@pytest.fixture(autouse=True)
def needs_gcc() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("SKIPPED: gcc is needed to build the programs")


def build(place: Path, source: str) -> Path:
    """Compile a C program."""
    (place / "prog.c").write_text(source)
    subprocess.run(["gcc", "-O1", "-w", "-o", place / "prog", place / "prog.c"], check=True)
    return place / "prog"


def test_a_recorder_killed_anywhere_leaves_what_replays_up_to_there(tmp_path: Path) -> None:
    program, chance = build(tmp_path, LINES), random.Random(5)
    for number in range(KILLS):
        place = tmp_path / f"rec{number}"
        command = [*OBSERVER, "record", "--replayable", "-q", "-o", str(place), "--", str(program)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as recorder:
            assert recorder.stdout is not None
            recorder.stdout.readline()
            time.sleep(chance.uniform(0, 0.8))
            recorder.kill()
            wrote = 1 + len(recorder.stdout.read().split())
        replayed = run("replay", place)
        lines = replayed.stdout.split()
        assert replayed.returncode == 0, replayed.stderr
        assert b"the recorder was ended before" in replayed.stderr
        assert lines == [str(n).encode() for n in range(len(lines))]
        assert len(lines) <= wrote + 1
        shutil.rmtree(place)


def test_a_full_disk_is_said_and_what_was_sealed_replays(tmp_path: Path) -> None:
    program, disk = build(tmp_path, LINES), tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"SKIPPED: root is needed to mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        (disk / "filler").write_bytes(bytes(3 << 20))
        recorded = run("record", "--replayable", "-q", "-o", disk / "rec", "--", program)
        assert recorded.returncode == 13, recorded.stderr
        assert b"no space" in recorded.stderr.lower()
        assert b"Traceback" not in recorded.stderr
        (disk / "filler").unlink()
        replayed = run("replay", disk / "rec")
        lines = replayed.stdout.split()
        assert lines == [str(n).encode() for n in range(len(lines))]
        assert replayed.returncode == 0 or b"Traceback" not in replayed.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_thousand_children_replay(tmp_path: Path, pair: Callable[..., Pair]) -> None:
    both = pair(build(tmp_path, MANY))
    assert both.recorded.stdout.strip() == str(sum(n % 7 for n in range(1000))).encode()
    both.assert_identical()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGTERM], ids=str)
def test_a_program_that_a_signal_ends_replays(pair: Callable[..., Pair], number: signal.Signals) -> None:
    both = pair("sh", "-c", f"echo before; kill -{number.value} $$; echo never")
    assert both.recorded.returncode == 128 + number
    assert both.recorded.stdout == b"before\n"
    both.assert_identical()
    told = json.loads(run("replay", "--json", both.recording).stdout)
    assert told["signal"] == number


@pytest.mark.parametrize("body", FIGHTS.values(), ids=FIGHTS.keys())
def test_a_program_that_fights_the_tracer_stays_recorded(
    tmp_path: Path, pair: Callable[..., Pair], body: str
) -> None:
    both = pair(build(tmp_path, FIGHT.replace("BODY", body)))
    assert both.recorded.returncode == 0, both.recorded.stderr
    assert both.recorded.stdout, "it ran to its end"
    both.assert_identical()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("damage") / "rec"
    assert run("record", "--replayable", "-q", "-o", place, "--", "ls", "-l", "/usr").returncode == 0
    return place


def damaged(recording: Path, tmp_path: Path) -> Path:
    """Return a copy that may be damaged."""
    place = tmp_path / "copy"
    shutil.copytree(recording, place)
    return place


def assert_refused(place: Path) -> bytes:
    """Check that a replay says what is wrong, and quickly; return what it says."""
    done = run("replay", place)
    assert done.returncode in (12, 14, 15, 16, 17), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"error[OBS" in done.stderr
    return done.stderr


def test_a_truncated_stream_is_refused_by_name(recording: Path, tmp_path: Path) -> None:
    place = damaged(recording, tmp_path)
    segment = place / "segments" / "000000.seg"
    os.truncate(segment, segment.stat().st_size // 2)
    assert_refused(place)


def test_a_missing_file_is_named(recording: Path, tmp_path: Path) -> None:
    place = damaged(recording, tmp_path)
    blob = min((place / "blobs").iterdir())
    blob.unlink()
    assert blob.name.encode() in assert_refused(place)


def test_a_file_of_another_recording_is_refused(recording: Path, tmp_path: Path) -> None:
    place = damaged(recording, tmp_path)
    one, other = sorted((place / "blobs").iterdir(), key=lambda path: path.stat().st_size)[-2:]
    one.unlink()
    shutil.copy(other, one)
    assert b"is not what was recorded" in assert_refused(place)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sealed.log").write_bytes(os.urandom(4096))
    assert_refused(tmp_path)


def test_a_changed_bit_anywhere_in_the_stream_is_found(recording: Path, tmp_path: Path) -> None:
    place, chance = damaged(recording, tmp_path), random.Random(9)
    segment = place / "segments" / "000000.seg"
    whole = segment.read_bytes()
    for _ in range(FLIPS):
        changed = bytearray(whole)
        changed[chance.randrange(40, len(whole))] ^= 1 << chance.randrange(8)
        segment.write_bytes(changed)
        done = run("replay", place)
        assert done.returncode in (14, 15), (done.returncode, done.stderr)
        assert b"Traceback" not in done.stderr


def test_another_processor_is_refused_with_what_it_lacks(recording: Path, tmp_path: Path) -> None:
    place = damaged(recording, tmp_path)
    log = place / "sealed.log"
    text = log.read_text()
    assert '"features":["' in text, "the features of the processor are recorded"
    log.write_text(
        text.replace('"features":["', '"features":["avx9000","', 1).replace(
            '"cpuid":[[0,0,[0,', '"cpuid":[[0,0,[1,', 1
        )
    )
    told = assert_refused(place)
    assert b"avx9000" in told or b"OBS4" in told
