# SPDX-License-Identifier: Apache-2.0
"""What a replay needs and what it cannot do: proved by taking everything else away."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import observer
from observer import _native
from tests.replay.conftest import OBSERVER, Pair, run
from tests.replay.made import compiled

RUNS = int(os.environ.get("OBSERVER_REPLAY_RUNS", "5"))
NOBODY = 65534
BUSY = """
import random, subprocess, threading, time
seen = []
def work(n):
    for _ in range(10):
        seen.append((n, random.random(), time.time_ns()))
        time.sleep(0.0005)
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
[t.start() for t in threads]
print(subprocess.run(["sh", "-c", "echo $$ | cat"], capture_output=True).stdout)
[t.join() for t in threads]
print(seen)
"""


def test_it_is_the_same_every_time(pair: Callable[..., Pair]) -> None:
    both = pair("/usr/bin/python3", "-c", BUSY)
    both.assert_identical()
    for number in range(RUNS - 1):
        again = run("replay", both.recording)
        assert (again.returncode, again.stdout) == (0, both.recorded.stdout), (
            f"run {number}: {again.stderr.decode()}"
        )


def test_memory_is_compared_at_calls_on_the_way(pair: Callable[..., Pair]) -> None:
    loop = "import time; e = time.time() + 1.5\nwhile time.time() < e: sum(range(2000))"
    told = json.loads(run("replay", "--json", pair("/usr/bin/python3", "-c", loop).recording).stdout)
    assert told["identical"] is True and told["memory_checks"] >= 10, told


PLACES = """
set -e
mount -t tmpfs none "$1"
for path in $2; do
  if [ -d "$path" ]; then mkdir -p "$1$path"; else mkdir -p "$1$(dirname "$path")"; touch "$1$path"; fi
  mount --rbind "$path" "$1$path"
  mount -o remount,bind,ro "$1$path" 2>/dev/null || true
done
mkdir -p "$1/proc" "$1/dev" "$1/tmp"; mount --rbind /proc "$1/proc"; touch "$1/dev/null"; mount --bind /dev/null "$1/dev/null"
shift 2
exec chroot "$@"
"""


def needed() -> list[str]:
    """Return what the replayer itself is made of: interpreter, packages, libraries; nothing of what is replayed."""
    places = [
        sys.prefix,
        sys.base_prefix,
        str(Path(observer.__file__).parents[1]),
        "/lib64/ld-linux-x86-64.so.2",
    ]
    modules = [*Path(sysconfig.__file__).with_name("lib-dynload").glob("*.so"), Path(_native.__file__)]
    told = subprocess.run(
        ["ldd", sys.executable, *modules], capture_output=True, text=True, check=False
    ).stdout
    libraries = set(re.findall(r"=> (/\S+)", told))
    return places + sorted(path for path in libraries if not path.startswith(tuple(places[:3])))


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED: an empty root takes root to make")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="SKIPPED: unshare (util-linux) is needed")
def test_it_replays_in_an_empty_root_without_network_and_without_its_files(tmp_path: Path) -> None:
    scratch, root = tmp_path / "scratch", tmp_path / "root"
    scratch.mkdir()
    root.mkdir()
    program = compiled(
        scratch,
        '#include <stdio.h>\nint main(void) { char t[9]; puts(fgets(t, 9, fopen("data", "r"))); return 0; }',
    )
    (scratch / "data").write_text("my data")
    place = tmp_path / "rec"
    recorded = run(
        "record", "--replayable", "-q", "-o", place, "--", "sh", "-c", f"date; {program}; ls", cwd=scratch
    )
    assert recorded.returncode == 0, recorded.stderr
    shutil.rmtree(scratch)
    listed = " ".join([*needed(), str(place)])
    inner = [str(root), sys.executable, "-m", "observer", "replay", str(place)]
    argv = [
        "unshare",
        "-n",
        "-m",
        "--propagation",
        "private",
        "bash",
        "-c",
        PLACES,
        "bash",
        str(root),
        listed,
        *inner,
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(observer.__file__).parents[1]),
        "HOME": "/tmp",
    }
    replayed = subprocess.run(argv, capture_output=True, env=environment, timeout=120, check=False)
    if b"mount" in replayed.stderr and b"denied" in replayed.stderr:
        pytest.skip(f"SKIPPED: no mounting here: {replayed.stderr.decode()[-200:]}")
    assert replayed.returncode == 0, replayed.stderr.decode(errors="replace")[-2000:]
    assert replayed.stdout == recorded.stdout and b"my data" in replayed.stdout


@pytest.mark.skipif(
    os.geteuid() != 0, reason="SKIPPED: this test is an ordinary user's already, as all others here"
)
def test_an_ordinary_user_records_and_replays(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path("/tmp") / f"observer-nobody-{os.getpid()}"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "OBSERVER_HOME": str(place / "store")}
    try:
        probe = subprocess.run(
            [*become, *OBSERVER, "--version"], capture_output=True, env=environment, cwd=place, check=False
        )
        if probe.returncode != 0:
            pytest.skip(
                f"SKIPPED: an ordinary user may not read this installation: {probe.stderr.decode()[-200:]}"
            )
        words = [
            "record",
            "--replayable",
            "-q",
            "-o",
            str(place / "rec"),
            "--",
            "sh",
            "-c",
            "id -u; date +%N | cat",
        ]
        recorded = subprocess.run(
            [*become, *OBSERVER, *words], capture_output=True, env=environment, cwd=place, check=False
        )
        assert recorded.returncode == 0 and recorded.stdout.startswith(b"65534\n"), recorded.stderr
        words = ["replay", str(place / "rec")]
        replayed = subprocess.run(
            [*become, *OBSERVER, *words], capture_output=True, env=environment, cwd=place, check=False
        )
        assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
    finally:
        shutil.rmtree(place)


DEFAULT_PROFILE = Path("/usr/share/containers/seccomp.json")
INSIDE = """
set -e
"$1" -m observer record --replayable -q -o /tmp/rec -- sh -c 'date +%N; echo $$ | cat' >/tmp/recorded
"$1" -m observer replay /tmp/rec >/tmp/replayed
cmp /tmp/recorded /tmp/replayed
cat /tmp/replayed; grep -E 'Seccomp:|CapEff' /proc/self/status
"""


def profile() -> dict[str, object]:
    """Return podman's default filter as runc takes it: what is allowed to a process without capabilities."""
    told = json.loads(DEFAULT_PROFILE.read_text(encoding="utf-8"))
    kept = [rule for rule in told["syscalls"] if not (rule.get("includes") or {}).get("caps")]
    keys = ("names", "action", "args", "errnoRet")
    rules = [{key: rule[key] for key in keys if rule.get(key) is not None} for rule in kept]
    return {
        "defaultAction": told["defaultAction"],
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="SKIPPED: the container here takes root to make")
def test_it_records_and_replays_in_a_container_with_the_default_filter(tmp_path: Path) -> None:
    if shutil.which("runc") is None or not DEFAULT_PROFILE.exists():
        pytest.skip("SKIPPED: runc and the default filter of containers are needed: apt install runc podman")
    bundle = tmp_path / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    inside = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(observer.__file__).parents[1]), "HOME": "/tmp"}
    config["process"] |= {
        "terminal": False,
        "args": ["sh", "-c", INSIDE, "sh", sys.executable],
        "env": [f"{name}={value}" for name, value in inside.items()],
        "capabilities": {},
    }
    config["root"]["readonly"] = False
    system = [path for path in ("/usr", "/bin", "/lib", "/lib64") if Path(path).exists()]
    for path in [*system, *needed()[:3]]:
        config["mounts"].append(
            {"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}
        )
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    config["linux"]["seccomp"] = profile()
    (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
    argv = [
        "runc",
        "--root",
        str(tmp_path / "state"),
        "run",
        "--bundle",
        str(bundle),
        f"observer-{os.getpid()}",
    ]
    done = subprocess.run(argv, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 and b"observer" not in done.stderr:
        pytest.skip(f"SKIPPED: no container can be made here: {done.stderr.decode(errors='replace')[-300:]}")
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    assert b"Seccomp:\t2" in done.stdout and b"CapEff:\t0000000000000000" in done.stdout, done.stdout


# Where the engine's page lies in a replay there is nothing when it is recorded. This program looks, and when it finds the page
# calls the kernel from there, as the engine does, to make a file.
HOSTILE = """
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
static sigjmp_buf away;
static void none(int number) { siglongjmp(away, number); }
int main(int count, char **words) {
    signal(SIGSEGV, none);
    if (sigsetjmp(away, 1)) { puts("nobody watches"); return 0; }
    long result = SYS_openat;
    register long mode __asm__("r10") = 0600;
    __asm__ volatile("call *%1" : "+a"(result)
                     : "r"(0x551700000100L), "D"(AT_FDCWD), "S"(words[1]), "d"(O_CREAT | O_WRONLY), "r"(mode)
                     : "rcx", "r11", "memory");
    printf("escaped: %ld\\n", result);
    return 1;
}
"""


def test_a_program_that_attacks_the_engine_is_found_and_does_nothing(tmp_path: Path) -> None:
    program, escaped = compiled(tmp_path, HOSTILE), tmp_path / "escaped"
    place = tmp_path / "rec"
    recorded = run("record", "--replayable", "-q", "-o", place, "--", program, escaped)
    assert (recorded.returncode, recorded.stdout) == (0, b"nobody watches\n"), recorded.stderr
    told = run("replay", place, "--json")
    assert told.returncode == 16 and not escaped.exists()
    divergence = json.loads(told.stdout)["divergence"]
    assert "it makes a call where signal 11 was recorded" in divergence["what"]
