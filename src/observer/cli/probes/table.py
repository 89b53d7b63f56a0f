# SPDX-License-Identifier: Apache-2.0
"""The list of probes: name, what Observer uses it for, the attempt, how to get it."""

from __future__ import annotations

from typing import Final

from observer.cli.probes import system, tracing
from observer.cli.probes.findings import Probe

__all__ = ["PROBES"]

_ROOT_BPF = "run as root or with CAP_BPF and CAP_PERFMON, on a kernel with CONFIG_BPF_SYSCALL"

PROBES: Final = (
    Probe(
        "ptrace",
        "observer record",
        tracing.ptrace,
        "set kernel.yama.ptrace_scope to 1 or less; in a container allow ptrace (--cap-add SYS_PTRACE)",
    ),
    Probe(
        "seccomp",
        "observer record without stopping at every call",
        tracing.seccomp_trace,
        "a kernel with CONFIG_SECCOMP_FILTER",
    ),
    Probe(
        "process_vm_readv",
        "reading arguments fast",
        tracing.process_vm_readv,
        "allow ptrace; a kernel with CONFIG_CROSS_MEMORY_ATTACH",
    ),
    Probe(
        "seccomp_user_notification",
        "answering calls in replay",
        tracing.user_notification,
        "Linux 5.0 or newer with CONFIG_SECCOMP_FILTER",
    ),
    Probe(
        "cpuid_faulting",
        "replay on another processor",
        tracing.cpuid_faulting,
        "a processor with cpuid faulting (Intel since Ivy Bridge, AMD since Zen 4), also in the guest",
    ),
    Probe("btf", "eBPF capture", tracing.btf, "a kernel with CONFIG_DEBUG_INFO_BTF"),
    Probe("ebpf", "eBPF capture of the whole machine", tracing.ebpf, _ROOT_BPF),
    Probe(
        "bpf_ring_buffer",
        "eBPF capture without loss",
        tracing.ring_buffer,
        f"Linux 5.8 or newer; {_ROOT_BPF}",
    ),
    Probe(
        "tracefs", "trace points", tracing.tracefs, "mount -t tracefs tracefs /sys/kernel/tracing, as root"
    ),
    Probe(
        "pmu",
        "exact positions in replay",
        tracing.perf_counters,
        "set kernel.perf_event_paranoid to 2 or less; in a guest, a virtual PMU",
    ),
    Probe(
        "userfaultfd",
        "live memory snapshots",
        system.userfaultfd,
        "a kernel with CONFIG_USERFAULTFD; set vm.unprivileged_userfaultfd to 1 for faults of kernel mode",
    ),
    Probe("pagemap_scan", "incremental snapshots", system.pagemap_scan, "Linux 6.7 or newer"),
    Probe(
        "user_namespaces",
        "isolated replay without root",
        system.user_namespaces,
        "set user.max_user_namespaces above 0 and kernel.unprivileged_userns_clone to 1",
    ),
    Probe(
        "cgroup_v2",
        "limits of replay, capture of one container",
        system.cgroup_v2,
        "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    ),
    Probe("psi", "pressure of memory, CPU and disks", system.pressure, "boot with psi=1 (CONFIG_PSI)"),
    Probe(
        "fanotify",
        "files as they change",
        system.fanotify,
        "Linux 5.13 or newer with CONFIG_FANOTIFY, or run as root",
    ),
    Probe("journal", "the machine's own records", system.journal, "join the group systemd-journal or adm"),
    Probe(
        "kmsg",
        "the kernel's messages",
        system.kernel_messages,
        "run as root or set kernel.dmesg_restrict to 0",
    ),
    Probe("pstore", "the last words of a kernel that died", system.pstore, "mount pstore, as root"),
    Probe(
        "kvm",
        "replay in a machine of its own",
        system.kvm,
        "join the group kvm; in a guest, nested virtualisation",
    ),
)
