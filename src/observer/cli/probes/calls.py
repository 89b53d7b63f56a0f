# SPDX-License-Identifier: Apache-2.0
"""System calls that Python has no function for, through libc's `syscall`, and a child to try things in."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from typing import Final

__all__ = ["NUMBERS", "call", "in_child", "kernel_struct"]

# Numbers from the kernel's syscall tables (arch/x86/entry/syscalls/syscall_64.tbl, scripts/syscall.tbl).
_TABLES: Final = {
    "x86_64": {
        "ptrace": 101,
        "process_vm_readv": 310,
        "seccomp": 317,
        "bpf": 321,
        "userfaultfd": 323,
        "perf_event_open": 298,
        "fanotify_init": 300,
        "unshare": 272,
        "arch_prctl": 158,
    },
    "aarch64": {
        "ptrace": 117,
        "process_vm_readv": 270,
        "seccomp": 277,
        "bpf": 280,
        "userfaultfd": 282,
        "perf_event_open": 241,
        "fanotify_init": 262,
        "unshare": 97,
    },
}
NUMBERS: Final = _TABLES.get(platform.machine(), {})
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call by name and return what it returned.

    Raises:
        OSError: The kernel refused, or this processor's table does not have the call (ENOSYS).
    """
    if name not in NUMBERS:
        raise OSError(38, os.strerror(38))
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    ctypes.set_errno(0)
    result = int(_LIBC.syscall(ctypes.c_long(NUMBERS[name]), *words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def kernel_struct(content: bytes, size: int) -> ctypes.Array[ctypes.c_char]:
    """Return a zero-filled buffer of `size` bytes that starts with `content`."""
    return ctypes.create_string_buffer(content, size)


def in_child(action: Callable[[], object]) -> None:
    """Run the action in a child process, so that what it changes dies with the child.

    Raises:
        OSError: The action raised it in the child, or the child died.
    """
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except OSError as error:
            number = error.errno or 127
            os._exit(number if number < 127 else 127)
        except BaseException:  # noqa: BLE001  nothing may escape from a forked child
            os._exit(127)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        number = code if 0 < code < 127 else 5  # EIO stands for "the child died"
        raise OSError(number, os.strerror(number))
