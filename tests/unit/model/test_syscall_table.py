# SPDX-License-Identifier: Apache-2.0
"""The syscall table is whole and true: against the installed headers, the running kernel and the C library."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from observer import _native
from observer.errors import UsageError
from tools import extract_signatures, gen_syscall_docs, gen_syscalls

X86_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC_HEADER = Path("/usr/include/asm-generic/unistd.h")
# Calls that shells, compilers, servers and databases make most of the time.
COMMON_TEXT = """
read write open openat close stat fstat lstat newfstatat statx poll ppoll lseek mmap mprotect munmap brk mremap madvise
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sigaltstack ioctl pread64 pwrite64 readv writev
preadv pwritev access faccessat faccessat2 pipe pipe2 select sched_yield mincore msync dup dup2 dup3 pause nanosleep
clock_nanosleep getitimer setitimer alarm getpid gettid getppid sendfile socket connect accept accept4 sendto recvfrom
sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt clone clone3 fork vfork
execve execveat exit exit_group wait4 waitid kill tgkill tkill uname fcntl flock fsync fdatasync truncate ftruncate
getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir creat link linkat unlink unlinkat symlink
symlinkat readlink readlinkat chmod fchmod fchmodat chown fchown fchownat umask gettimeofday getrlimit prlimit64
getrusage sysinfo times getuid geteuid getgid getegid setuid setgid setresuid setresgid getresuid getgroups setgroups
getpgid setpgid getpgrp setsid getsid capget capset prctl arch_prctl futex set_tid_address set_robust_list rseq
get_robust_list epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 signalfd4 timerfd_create timerfd_settime
inotify_init1 inotify_add_watch clock_gettime clock_getres getrandom memfd_create copy_file_range splice fallocate
fadvise64 statfs fstatfs utimensat sched_getaffinity sched_setaffinity mount umount2 unshare setns pidfd_open seccomp
close_range openat2 sync syncfs setxattr getxattr listxattr io_uring_setup landlock_create_ruleset
"""
COMMON = COMMON_TEXT.split()


def table(arch: str) -> dict[str, dict[str, Any]]:
    """Return the native table by name."""
    return {call["name"]: call for call in json.loads(_native.syscall_table(arch))}


def test_generated_files_are_those_of_the_data() -> None:
    stale = [path.name for path, text in gen_syscalls.generate().items() if path.read_text() != text]
    assert not stale, "run python3 tools/gen_syscalls.py"


def test_the_page_is_that_of_the_data() -> None:
    assert gen_syscall_docs.PAGE.read_text(encoding="utf-8") == gen_syscall_docs.page(), (
        "run python3 tools/gen_syscall_docs.py"
    )


@pytest.mark.skipif(not X86_HEADER.exists(), reason="no x86-64 kernel headers (apt install linux-libc-dev)")
def test_every_x86_64_number_of_the_installed_headers_is_there_by_name() -> None:
    listed = extract_signatures.numbers(X86_HEADER.read_text())
    ours = {name: call["nr"] for name, call in table("x86_64").items()}
    assert len(listed) > 350
    assert {name: ours.get(name) for name in listed} == listed


@pytest.mark.skipif(
    not GENERIC_HEADER.exists(), reason="no generic kernel headers (apt install linux-libc-dev)"
)
def test_every_aarch64_number_of_the_installed_headers_is_there_by_name(tmp_path: Path) -> None:
    header = tmp_path / "include/uapi/asm-generic/unistd.h"
    header.parent.mkdir(parents=True)
    header.write_text(GENERIC_HEADER.read_text())
    listed = extract_signatures.generic_numbers(tmp_path)
    ours = {name: call["nr"] for name, call in table("aarch64").items()}
    assert len(listed) > 290
    assert {name: ours.get(name) for name in listed} == listed


def test_numbers_go_to_the_newest_kernel_known() -> None:
    for arch in ("x86_64", "aarch64"):
        calls = table(arch)
        assert calls["file_setattr"]["nr"] == max(call["nr"] for call in calls.values()) == 469


@pytest.fixture
def tracing(tmp_path: Path) -> Iterator[Path]:
    """Yield the kernel's tracing files, mounted for the test when they are not."""
    mounted = Path("/sys/kernel/tracing")
    if (mounted / "events" / "syscalls").is_dir():
        yield mounted
        return
    command = ["mount", "-t", "tracefs", "nodev", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("tracefs cannot be mounted: needs root and CONFIG_FTRACE_SYSCALLS")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_arity_and_names_of_arguments_are_those_of_the_running_kernel(tracing: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("compares the x86-64 table")
    ours = {
        name: [arg["name"] for arg in call["args"]] for name, call in table("x86_64").items() if call["args"]
    }
    traced = {
        name: [arg for _, arg in signature]
        for name, signature in extract_signatures.signatures_of_tracing(tracing).items()
        if signature
    }
    shared = ours.keys() & traced.keys()
    assert len(shared) > 200
    assert {name: len(ours[name]) for name in shared} == {name: len(traced[name]) for name in shared}
    same = sum(ours[name] == traced[name] for name in shared)
    assert same > 0.8 * len(shared), "kernels rename arguments now and then, but not most of them"


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_calls_that_programs_use_most_are_decoded_fully(arch: str) -> None:
    calls = table(arch)
    there = [name for name in COMMON if name in calls]
    assert len(there) >= {"x86_64": 180, "aarch64": 140}[arch]
    assert [name for name in there if calls[name]["decoded"] != "full"] == []


def test_a_call_has_the_same_meaning_on_both_architectures() -> None:
    ours, other = table("x86_64"), table("aarch64")
    for name in ours.keys() & other.keys():
        kinds = [sorted(arg["kind"] for arg in calls[name]["args"]) for calls in (ours, other)]
        assert kinds[0] == kinds[1], name
        assert ours[name]["classes"] == other[name]["classes"], name


def test_classes_say_what_a_call_touches() -> None:
    calls = table("x86_64")
    assert {"file", "descriptor"} <= set(calls["openat"]["classes"])
    assert "network" in calls["connect"]["classes"]
    assert "process" in calls["execve"]["classes"]
    assert "memory" in calls["mmap"]["classes"]
    assert "signal" in calls["kill"]["classes"]
    assert "ipc" in calls["futex"]["classes"]
    assert "time" in calls["nanosleep"]["classes"]
    assert "system" in calls["mount"]["classes"]
    assert all(call["classes"] for call in calls.values() if call["decoded"] == "full")


def test_an_architecture_without_a_table_is_an_error_with_a_reason() -> None:
    with pytest.raises(UsageError, match="riscv64"):
        _native.syscall_table("riscv64")


def test_errors_have_the_names_and_messages_of_the_c_library() -> None:
    for number, name in errno.errorcode.items():
        found = _native.error_name(number)
        assert found is not None, name
        assert getattr(errno, found[0], number) == number
        assert found[1] == os.strerror(number)
    assert _native.error_name(0) is None
    assert _native.error_name(65535) is None


def test_signals_have_their_names() -> None:
    for known in signal.Signals:
        if known.value < 32:
            assert _native.signal_label(known.value) == signal.Signals(known.value).name
    assert _native.signal_label(37) == "SIGRT_5"
    assert _native.signal_label(0) is None
    assert _native.signal_label(65) is None


def test_every_flag_that_the_c_headers_define_has_their_value(tmp_path: Path) -> None:
    headers = "fcntl.h sys/mman.h sys/socket.h sys/epoll.h poll.h sched.h signal.h sys/wait.h sys/prctl.h sys/mount.h"
    wanted = ["open_flags", "mmap_flags", "prot", "msg_flags", "epoll_events", "poll_events", "clone_flags"]
    wanted += [
        "wait_options",
        "prctl_options",
        "mount_flags",
        "socket_families",
        "madvise_advice",
        "fcntl_cmds",
    ]
    flags = gen_syscalls.load_toml("flags")
    values: dict[str, int] = {}
    for table_name in wanted:
        values |= flags[table_name].get("choices", {}) | flags[table_name].get("values", {})
    # O_SYNC holds O_DSYNC; the kernel's O_LARGEFILE and lock commands are hidden from 64-bit programs.
    kernel_only = {"O_LARGEFILE", "F_GETLK64", "F_SETLK64", "F_SETLKW64"}
    program = "#define _GNU_SOURCE\n#include <stdio.h>\n"
    program += "".join(f"#include <{header}>\n" for header in headers.split()) + "int main(void) {\n"
    for name in values.keys() - kernel_only:
        program += f'#ifdef {name}\nprintf("{name} %u\\n", (unsigned)({name}));\n#endif\n'
    source = tmp_path / "values.c"
    source.write_text(program + "}\n")
    built = subprocess.run(["cc", "-w", "-o", str(tmp_path / "values"), str(source)], check=False)
    if built.returncode != 0:
        pytest.skip("no C compiler")
    printed = subprocess.run([str(tmp_path / "values")], capture_output=True, text=True, check=True).stdout
    theirs = {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", printed, re.M)}
    assert len(theirs) > 150
    assert {name: values[name] & 0xFFFFFFFF for name in theirs} == theirs
