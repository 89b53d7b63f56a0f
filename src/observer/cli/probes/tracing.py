# SPDX-License-Identifier: Apache-2.0
"""Probes of what recording and replay need: ptrace, seccomp, eBPF and their companions."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from pathlib import Path

from observer.cli.probes.calls import call, in_child, kernel_struct
from observer.cli.probes.findings import Finding

__all__ = [
    "btf",
    "cpuid_faulting",
    "ebpf",
    "perf_counters",
    "process_vm_readv",
    "ptrace",
    "ring_buffer",
    "seccomp_trace",
    "tracefs",
    "user_notification",
]

_PTRACE_CONT, _PTRACE_SEIZE = 7, 0x4206  # linux/ptrace.h
# TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACEEXIT, TRACESECCOMP: what the recorder sets.
_OPTIONS = 1 | 2 | 4 | 8 | 16 | 64 | 128
_SCOPES = {
    "0": "any process of the same user",
    "1": "own children",
    "2": "with CAP_SYS_PTRACE",
    "3": "nobody",
}


def ptrace() -> Finding:
    """Seize a child of our own with the options that recording needs."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        call("ptrace", _PTRACE_SEIZE, child, 0, _OPTIONS)
    finally:
        os.kill(child, signal.SIGKILL)
        while os.WIFSTOPPED(os.waitpid(child, 0)[1]):  # a traced child stops once more on its way out
            call("ptrace", _PTRACE_CONT, child, 0, 0)
    return Finding(True, f"may trace {_scope()}")


def _scope() -> str:
    try:
        value = Path("/proc/sys/kernel/yama/ptrace_scope").read_text(encoding="ascii").strip()
    except OSError:
        return "any process of the same user (no Yama)"
    return f"{_SCOPES.get(value, 'unknown')} (kernel.yama.ptrace_scope = {value})"


def _action_available(action: int) -> None:
    # SECCOMP_GET_ACTION_AVAIL = 2
    call("seccomp", 2, 0, kernel_struct(struct.pack("=I", action), 4))


def seccomp_trace() -> Finding:
    """Install a filter in a child, after asking for the action that stops a traced call."""
    _action_available(0x7FF00000)  # SECCOMP_RET_TRACE

    def install() -> None:
        program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000), 8)  # return ALLOW
        filter_ = struct.pack("=HxxxxxxQ", 1, ctypes.addressof(program))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
            raise OSError(ctypes.get_errno(), "prctl")
        call("seccomp", 1, 0, kernel_struct(filter_, 16))  # SECCOMP_SET_MODE_FILTER

    in_child(install)
    return Finding(True, "filters install without root; stops for a tracer are offered")


def user_notification() -> Finding:
    """Ask for the action that lets another process answer a call."""
    _action_available(0x7FC00000)  # SECCOMP_RET_USER_NOTIF
    return Finding(True, "calls can be handed to another process")


def process_vm_readv() -> Finding:
    """Read a child's memory without stopping it."""
    buffer, word = ctypes.create_string_buffer(4), ctypes.create_string_buffer(b"seen", 4)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        local = kernel_struct(struct.pack("=QQ", ctypes.addressof(buffer), 4), 16)
        remote = kernel_struct(struct.pack("=QQ", ctypes.addressof(word), 4), 16)
        call("process_vm_readv", child, local, 1, remote, 1, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return Finding(buffer.raw == b"seen", "reads arguments in one call")


def btf() -> Finding:
    """Read the magic of the kernel's own type information."""
    path = Path("/sys/kernel/btf/vmlinux")
    with path.open("rb") as file:
        magic = file.read(2)
    size = path.stat().st_size
    return Finding(magic == b"\x9f\xeb", f"{path}, {size:,} bytes")


def _close(descriptor: int, detail: str) -> Finding:
    os.close(descriptor)
    return Finding(True, detail)


def ebpf() -> Finding:
    """Load a raw tracepoint program that returns 0."""
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0), 16)
    license_ = ctypes.create_string_buffer(b"GPL")
    # union bpf_attr for BPF_PROG_LOAD: type 17 (RAW_TRACEPOINT), 2 instructions
    attributes = struct.pack("=IIQQ", 17, 2, ctypes.addressof(code), ctypes.addressof(license_))
    return _close(call("bpf", 5, kernel_struct(attributes, 120), 120), "raw tracepoint programs load")


def ring_buffer() -> Finding:
    """Create a ring buffer map of 4 KiB."""
    # BPF_MAP_CREATE = 0; type 27 (RINGBUF), no key, no value, 4096 bytes
    attributes = struct.pack("=IIII", 27, 0, 0, 4096)
    return _close(call("bpf", 0, kernel_struct(attributes, 120), 120), "BPF_MAP_TYPE_RINGBUF")


def tracefs() -> Finding:
    """Read the kernel's list of syscall trace points."""
    for root in (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing")):
        try:
            events = (root / "available_events").read_text(encoding="ascii")
        except OSError as error:
            refusal = error
            continue
        return Finding("raw_syscalls:sys_enter" in events, f"{root}, {len(events.splitlines()):,} events")
    raise refusal


def perf_counters() -> Finding:
    """Open a hardware counter of cycles for this process."""
    # struct perf_event_attr: type HARDWARE, size 128, config CPU_CYCLES; exclude_kernel, exclude_hv
    attributes = struct.pack("=IIQQQQQ", 0, 128, 0, 0, 0, 0, 1 << 5 | 1 << 6)
    try:
        descriptor = call("perf_event_open", kernel_struct(attributes, 128), 0, -1, -1, 0)
    except OSError as error:
        if error.errno == 2:  # ENOENT: the kernel knows no such counter
            return Finding(
                False, "this processor or guest offers no counters", "give the guest a virtual PMU"
            )
        paranoid = Path("/proc/sys/kernel/perf_event_paranoid")
        level = paranoid.read_text(encoding="ascii").strip() if paranoid.exists() else "absent"
        return Finding(False, f"refused (kernel.perf_event_paranoid = {level})")
    return _close(descriptor, "hardware cycles counter")


def cpuid_faulting() -> Finding:
    """Turn cpuid faulting on in a child, which replay uses to give a program its recorded processor."""
    if platform.machine() != "x86_64":
        return Finding(False, "x86-64 only", "not needed on this processor")
    in_child(lambda: call("arch_prctl", 0x1012, 0))  # ARCH_SET_CPUID, 0 = fault
    return Finding(True, "the cpuid instruction can be intercepted")
