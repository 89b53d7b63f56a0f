# SPDX-License-Identifier: Apache-2.0
"""What the ptrace engine must get right whatever the program does: lives, signals, threads, stops, privileges, its own death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from observer import _native
from observer.errors import CapabilityError, CaptureError
from tests.capture import tracing

Build = Callable[[str], str]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Compile C text; returns the path of the program."""

    def compile_c(text: str, *flags: str) -> str:
        source = tmp_path / "program.c"
        source.write_text("#define _GNU_SOURCE\n" + text)
        program = tmp_path / "program"
        subprocess.run(["gcc", "-pthread", "-o", str(program), str(source), *flags], check=True)
        return str(program)

    return compile_c


def record(
    argv: list[str], tmp_path: Path, **more: object
) -> tuple[dict[str, object], list[dict[str, object]], Path]:
    """Record in this process; returns the report, the sealed events and the recording's path."""
    path = tmp_path / "recording"
    report = json.loads(
        _native.record_command(json.dumps(tracing.config(argv, path, tmp_path, **more)).encode(), None)
    )
    return report, events_of(path), path


def events_of(path: Path) -> list[dict[str, object]]:
    """Return the sealed events of a recording."""
    return [
        json.loads(line)["event"]
        for line in _native.RecordingReader(str(path)).lines(0, 1 << 40).splitlines()
    ]


def names_of(path: Path, query: bytes = b"{}") -> list[str]:
    """Return the names of the recorded calls in order."""
    return [
        json.loads(line)["syscall"]
        for line in _native.RecordingReader(str(path)).calls(query, 0, 1 << 40).splitlines()
    ]


def kinds(events: list[dict[str, object]]) -> Counter[object]:
    """Count process lines by what they say."""
    return Counter(e["what"] for e in events if e["type"] == "process")


@pytest.mark.parametrize(
    ("script", "code", "killer"), [("exit 7", 7, None), ("kill -TERM $$", None, 15), ("true", 0, None)]
)
def test_how_the_command_ended_is_reported(
    script: str, code: int | None, killer: int | None, tmp_path: Path
) -> None:
    report, events, _ = record(["/bin/sh", "-c", script], tmp_path)
    assert (report["exit_code"], report["signal"]) == (code, killer)
    assert (events[-1]["type"], events[-1]["exit_code"], events[-1]["signal"]) == ("trace_end", code, killer)


def test_every_way_of_making_a_child_is_followed(build: Build, tmp_path: Path) -> None:
    program = build("""
#include <unistd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>
static int child(void *n) { getpgid(0); _exit(3); }
int main(void) {
  static char stack[65536];
  if (fork() == 0) _exit(1);
  if (vfork() == 0) { execl("/bin/true", "true", (char *)0); _exit(9); }
  clone(child, stack + sizeof stack, SIGCHLD, 0);
  struct clone_args args = {.exit_signal = SIGCHLD};
  if (syscall(SYS_clone3, &args, sizeof args) == 0) _exit(4);
  while (wait(0) > 0) {}
  return 0;
}""")
    _, events, path = record([program], tmp_path)
    how = Counter(e["how"] for e in events if e.get("what") == "start")
    assert how["initial"] == 1
    assert how["vfork"] == 1
    assert how["clone3"] == 1
    assert how["clone"] == 2  # glibc's fork is a clone
    codes = sorted(e["exit_code"] for e in events if e.get("what") == "exit")  # type: ignore[type-var]
    assert codes == [0, 0, 1, 3, 4]
    assert names_of(path).count("getpgid") == 1


def test_exec_from_a_thread_that_is_not_the_leader(build: Build, tmp_path: Path) -> None:
    program = build("""
#include <pthread.h>
#include <unistd.h>
static void *run(void *n) { execl("/bin/sh", "sh", "-c", "exit 5", (char *)0); return n; }
int main(void) { pthread_t t; pthread_create(&t, 0, run, 0); pause(); }""")
    report, events, path = record([program], tmp_path)
    assert report["exit_code"] == 5
    execs = [e for e in events if e.get("what") == "exec"]
    assert "from_tid" in execs[-1]
    assert execs[-1]["argv"] == ["sh", "-c", "exit 5"]
    results = _native.RecordingReader(str(path)).calls(b'{"syscalls":["execve","pause"]}', 0, 99).splitlines()
    assert sorted((json.loads(r)["syscall"], json.loads(r)["outcome"]) for r in results) == [
        ("execve", "ok"),
        ("execve", "ok"),
        ("pause", "no_result"),
    ]


def test_two_thousand_threads_and_a_storm_of_signals(build: Build, tmp_path: Path) -> None:
    program = build("""
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static void on(int s) {}
static void *work(void *n) { getppid(); return n; }
int main(void) {
  signal(SIGUSR1, on);
  for (int r = 0; r < 20; r++) {
    pthread_t t[100];
    for (int i = 0; i < 100; i++) if (pthread_create(&t[i], 0, work, 0)) exit(2);
    for (int i = 0; i < 100; i++) pthread_join(t[i], 0);
  }
  for (int i = 0; i < 500; i++) raise(SIGUSR1);
  return 0;
}""")
    report, events, path = record([program], tmp_path)
    assert report["exit_code"] == 0
    assert kinds(events)["thread_start"] == 2000
    assert kinds(events)["thread_exit"] == 2000
    assert names_of(path, b'{"syscalls":["getppid"]}') == ["getppid"] * 2000
    digest = json.loads(_native.RecordingReader(str(path)).digest())
    assert digest["signals"]["SIGUSR1"] == 500


def test_a_stopped_program_stays_stopped_until_continued(build: Build, tmp_path: Path) -> None:
    program = build("""
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
int main(void) {
  pid_t child = fork();
  if (child == 0) { raise(SIGSTOP); _exit(6); }
  int status; waitpid(child, &status, WUNTRACED);
  if (!WIFSTOPPED(status)) return 1;
  struct timespec t = {0, 200000000}; nanosleep(&t, 0);
  if (waitpid(child, &status, WNOHANG) != 0) return 2;
  kill(child, SIGCONT); waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 6 ? 0 : 3;
}""")
    assert record([program], tmp_path)[0]["exit_code"] == 0


@pytest.mark.parametrize("pin", ["auto", "always", "never"])
def test_the_program_does_not_notice_on_how_many_cpus_it_runs(pin: str, tmp_path: Path) -> None:
    out = tmp_path / "cpus"
    script = f"import os; open({str(out)!r}, 'w').write(str(sorted(os.sched_getaffinity(0))))"
    record([sys.executable, "-c", script], tmp_path, pin=pin)
    assert out.read_text() == str(sorted(os.sched_getaffinity(0)))


def test_a_program_that_chooses_its_cpus_gets_them(tmp_path: Path) -> None:
    last = max(os.sched_getaffinity(0))
    out = tmp_path / "cpus"
    script = f"import os; os.sched_setaffinity(0, [{last}]); open({str(out)!r}, 'w').write(str(os.sched_getaffinity(0)))"
    record([sys.executable, "-c", script], tmp_path)
    assert out.read_text() == str({last})


def test_only_the_chosen_calls_are_recorded(tmp_path: Path) -> None:
    _, _, path = record(["cat", "/etc/passwd"], tmp_path, only=["network", "openat"])
    assert set(names_of(path)) == {"execve", "openat"}  # the program's own start is always there
    with pytest.raises(Exception, match="neither a system call nor a class"):
        record(["cat"], tmp_path / "x", only=["nonsense"])


@pytest.mark.skipif(
    os.geteuid() != 0,
    reason="needs root to become another user; other users run the whole suite as themselves",
)
def test_another_user_records_without_any_privilege(tmp_path: Path) -> None:
    place = Path("/var/tmp") / f"observer-test-{os.getpid()}"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    try:
        config = place / "config.json"
        config.write_text(
            json.dumps(
                tracing.config(["/bin/sh", "-c", "id -u; cat /etc/shadow"], place / "recording", place)
            )
        )
        # The venv's library is loaded before privileges are dropped: a checkout may lie where nobody may read.
        code = f"""
import os, sys
from observer import _native
import observer.errors, json
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(_native.record_command(open({str(config)!r}, 'rb').read(), None).decode())
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("65534\n")
        call = json.loads(_native.RecordingReader(str(place / "recording")).calls(b'{"denied":true}', 0, 9))
        assert call["args"][1]["text"] == '"/etc/shadow"'
        assert call["errno"] == "EACCES"
    finally:
        shutil.rmtree(place)


def test_a_32_bit_program_is_refused_with_a_clear_message(build: Build, tmp_path: Path) -> None:
    program = Path(build("int main(void) { return 0; }"))
    image = bytearray(program.read_bytes())
    image[4] = 1  # EI_CLASS: ELFCLASS32
    image[18] = 3  # e_machine: EM_386
    program.write_bytes(image)
    with pytest.raises(CapabilityError, match="32-bit"):
        record([str(program)], tmp_path)
    assert not (tmp_path / "recording").exists()


def test_32_bit_calls_of_a_64_bit_program_are_a_declared_loss(build: Build, tmp_path: Path) -> None:
    program = build(
        'int main(void) { int r; for (int i = 0; i < 3; i++) __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); return 0; }'
    )
    report, events, _ = record([program], tmp_path)
    assert report["foreign_calls"] == 3
    loss = next(e for e in events if e["type"] == "loss")
    assert loss["count"] == 3
    assert events[-1]["lost"] == 3


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\0\1\2\3")
    junk.chmod(0o755)
    with pytest.raises(CaptureError) as caught:
        record([str(junk)], tmp_path)
    assert caught.value.exit_code == 126


def wait_for_calls(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a running recording has sealed its first chunk."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        log = path / "sealed.log"
        if log.exists() and b'"type":"chunk"' in log.read_bytes():
            return
        assert process.poll() is None
        time.sleep(0.02)
    pytest.fail("the recording sealed nothing in 20 s")


ENDLESS = ["/bin/sh", "-c", "while :; do /bin/true; done"]


def test_a_killed_recorder_leaves_a_recording_that_verifies_and_a_program_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    alive = tmp_path / "alive"
    script = f"i=0; while [ $i -lt 400 ]; do /bin/true; i=$((i+1)); done; touch {alive}"
    recorder = tracing.start_recording(["/bin/sh", "-c", script], path, tmp_path)
    wait_for_calls(path, recorder)
    recorder.kill()
    recorder.wait()
    proof = json.loads(_native.verify_recording(str(path), None))
    assert proof["closed"] is False
    assert proof["records"] > 0
    deadline = time.monotonic() + 30
    while not alive.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive.exists(), "the program died with its recorder"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_to_the_recorder_reach_the_program(number: int, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    recorder = tracing.start_recording(ENDLESS, path, tmp_path)
    wait_for_calls(path, recorder)
    recorder.send_signal(number)
    recorder.wait(30)
    end = events_of(path)[-1]
    assert (end["type"], end["signal"]) == ("trace_end", number)
    assert json.loads(_native.verify_recording(str(path), None))["closed"] is True


def test_equal_runs_have_equal_dna_and_different_runs_do_not(tmp_path: Path) -> None:
    def dna(name: str, script: str) -> str:
        path = tmp_path / name
        _native.record_command(
            json.dumps(tracing.config(["/bin/sh", "-c", script], path, Path("/"))).encode(), None
        )
        return str(json.loads(_native.RecordingReader(str(path)).digest())["dna"]["rolling"])

    script = "for f in passwd group; do cat /etc/$f; done; (exit 3); ls /etc/apt"
    first = dna("a", script)
    assert dna("b", script) == first
    assert dna("c", script.replace("group", "hosts")) != first
