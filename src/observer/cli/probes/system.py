# SPDX-License-Identifier: Apache-2.0
"""Probes of what snapshots, isolation and the host's own records need."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from observer.cli.probes.calls import call, in_child
from observer.cli.probes.findings import Finding

__all__ = [
    "cgroup_v2",
    "fanotify",
    "journal",
    "kernel_messages",
    "kvm",
    "pagemap_scan",
    "pressure",
    "pstore",
    "user_namespaces",
    "userfaultfd",
]

_UFFDIO_API = 0xC018AA3F  # linux/userfaultfd.h
_UFFD_WRITE_PROTECT = 1
_KVM_GET_API_VERSION = 0xAE00
_PAGEMAP_SCAN = 0xC0606610  # linux/fs.h, since 6.7
_CLONE_NEWUSER = 0x10000000
_FAN_CLASS_NOTIF, _FAN_REPORT_DFID_NAME = 0, 0x00000C00


def userfaultfd() -> Finding:
    """Open one, for faults of user mode only if need be, and ask whether it offers write protection."""
    try:
        descriptor, mode = call("userfaultfd", os.O_CLOEXEC), "faults of user and kernel mode"
    except PermissionError:
        descriptor, mode = call("userfaultfd", os.O_CLOEXEC | 1), "faults of user mode"
    try:
        answer = bytearray(struct.pack("=QQQ", 0xAA, 0, 0))
        fcntl.ioctl(descriptor, _UFFDIO_API, answer)
        features = struct.unpack("=QQQ", answer)[1]
    finally:
        os.close(descriptor)
    protect = "with" if features & _UFFD_WRITE_PROTECT else "without"
    return Finding(True, f"{mode}, {protect} write protection")


def pagemap_scan() -> Finding:
    """Scan no pages at all: the kernel answers 0 where it knows the request."""
    with Path("/proc/self/pagemap").open("rb") as file:
        # struct pm_scan_arg: size 96 and an empty range
        fcntl.ioctl(file, _PAGEMAP_SCAN, bytearray(struct.pack("=Q", 96) + bytes(88)))
    return Finding(True, "finds written pages without reading them")


def user_namespaces() -> Finding:
    """Make one in a child."""
    in_child(lambda: call("unshare", _CLONE_NEWUSER))
    return Finding(True, "unprivileged isolation")


def fanotify() -> Finding:
    """Open a notification group that reports names."""
    descriptor = call("fanotify_init", _FAN_CLASS_NOTIF | _FAN_REPORT_DFID_NAME, os.O_RDONLY)
    os.close(descriptor)
    return Finding(True, "reports file events with names")


def cgroup_v2() -> Finding:
    """Read the controllers of the version 2 hierarchy, and say whether a group could be made there."""
    for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        try:
            controllers = (root / "cgroup.controllers").read_text(encoding="ascii").split()
        except OSError as error:
            refusal = error
            continue
        rights = "writable" if os.access(root, os.W_OK) else "read-only"
        return Finding(
            True, f"{root}, {rights}, controllers: {' '.join(controllers) or 'none (hybrid mode)'}"
        )
    raise refusal


def pressure() -> Finding:
    """Read the pressure stall information of memory."""
    first = Path("/proc/pressure/memory").read_text(encoding="ascii").splitlines()[0]
    return Finding(True, first)


def kvm() -> Finding:
    """Open it and ask its version."""
    descriptor = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    try:
        version = fcntl.ioctl(descriptor, _KVM_GET_API_VERSION, 0)
    finally:
        os.close(descriptor)
    return Finding(version == 12, f"API version {version}")  # the only version there ever was


def journal() -> Finding:
    """Open the newest journal file this user may read and check its magic."""
    files: list[Path] = []
    for root in (Path("/var/log/journal"), Path("/run/log/journal")):
        files += root.glob("*/*.journal")
    if not files:
        return Finding(False, "no journal files", "run systemd-journald; persistent with Storage=persistent")
    for path in files:
        try:
            with path.open("rb") as file:
                if file.read(8) == b"LPKSHHRH":
                    return Finding(True, f"{len(files)} file(s) under {path.parent}")
        except PermissionError:
            continue
    return Finding(False, f"{len(files)} file(s), none readable")


def kernel_messages() -> Finding:
    """Read one record of the kernel's ring, or find it empty."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.read(descriptor, 8192)
    except OSError as error:
        # EPIPE: records were overwritten while we looked, which only a readable ring can say.
        if error.errno not in (errno.EAGAIN, errno.EPIPE):
            raise
    finally:
        os.close(descriptor)
    return Finding(True, "/dev/kmsg")


def pstore() -> Finding:
    """Look for a mounted store with a backend that keeps what a dying kernel writes."""
    mounted = any(line.split()[2] == "pstore" for line in Path("/proc/mounts").read_text().splitlines())
    if not mounted:
        return Finding(False, "not mounted", "mount -t pstore pstore /sys/fs/pstore")
    backend = Path("/sys/module/pstore/parameters/backend")
    name = backend.read_text(encoding="ascii").strip() if backend.exists() else "(null)"
    if name in ("", "(null)", "N"):
        return Finding(False, "mounted, no backend", "boot with EFI variables, ERST or ramoops as a backend")
    entries = len(os.listdir("/sys/fs/pstore"))  # noqa: PTH208  only the number is wanted
    return Finding(True, f"backend {name}, {entries} entries")
