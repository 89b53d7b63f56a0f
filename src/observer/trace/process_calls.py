# SPDX-License-Identifier: Apache-2.0
"""What calls on processes amount to: users, namespaces, roots, signals, clocks, memory of others, names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Final

from observer.trace.rules import Sight
from observer.trace.sighting import CallSeen
from observer.trace.text import parse_number, unquote
from observer.trace.world import Descriptor, World

__all__ = ["ProcessCalls", "looks_like_kernel_thread"]

_UNCHANGED: Final = frozenset({None, -1, 0xFFFFFFFF})  # what setresuid(2) is given for "leave it"
_KERNEL_THREAD: Final = re.compile(
    r"\[?(?:kworker|kthreadd|ksoftirqd|migration|rcu_\w+|kswapd|kblockd|kdevtmpfs|khugepaged|kcompactd|kauditd|kintegrityd"
    r"|watchdogd?|jbd2|ext4-rsv|scsi_\w+|irq|cpuhp|idle_inject|md|netns|oom_reaper|writeback|ata_sff|kpsmoused|ksmd)\b[/:\d\w-]*\]?"
    r"|\[[\w/:.-]+\]"
)


_MOST_ALIASES: Final = 1_024  # further names of programs that are remembered


class ProcessCalls:
    """Handlers of calls that change processes or act on others."""

    def __init__(self, world: World, threads: set[int]) -> None:
        """Take the world that the calls happen in, and the threads known so far."""
        self._world = world
        self._threads = threads

    def handlers(self) -> dict[str, Callable[[CallSeen, Sight], Sequence[Sight]]]:
        """Return the handler of each action."""
        return {
            "set_user": self._set_user,
            "namespace": self._namespace,
            "process_handle": self._process_handle,
            "mount": self._mount,
            "change_root": self._change_root,
            "signal": self._signal,
            "clock": self._clock,
            "trace": self._trace,
            "set_name": self._set_name,
        }

    def _set_user(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        process, group = call.process, "gid" in call.name
        known = {process.gid, process.egid} if group else {process.uid, process.euid}
        wanted = {
            number for text in call.texts if (number := parse_number(text)) not in (None, -1, 0xFFFFFFFF)
        }
        if wanted - known:
            sight.traits.add("other-user")
        if not group and 0 in wanted and process.euid not in (0, None) and process.uid != 0:
            sight.traits.add("to-root")
        if call.ok and not group and not call.name.startswith("setfs"):
            real, effective = (
                parse_number(call.text(0)),
                parse_number(call.text(1 if len(call.texts) > 1 else 0)),
            )
            process.uid = process.uid if real in _UNCHANGED else real
            process.euid = process.euid if effective in _UNCHANGED else effective
        return (sight,)

    def _namespace(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        flags = " ".join(call.texts)
        if call.name in ("setns", "ns_enter"):
            sight.traits.update({"namespace", "joins"})
            path = call.descriptor(0).path
            sight.paths = (path,) if path else sight.paths
            if path.startswith("/proc/") and not path.startswith(("/proc/self/", "/proc/thread-self/")):
                owner = parse_number(path.split("/")[2])
                if owner is not None and (owner == 1 or owner not in self._world.processes):
                    sight.traits.add("outside-tree")
        elif "CLONE_NEW" in flags:
            sight.traits.add("namespace")
            sight.traits.update({"new-user-namespace"} if "CLONE_NEWUSER" in flags else ())
        return (sight,)

    def _process_handle(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok:
            # By such a handle setns(2) enters all namespaces of the process.
            held = Descriptor(f"/proc/{call.text(0)}/ns/all", cloexec=True)
            self._world.keep(call.process, call.values.get("result"), held)
        return (sight,)

    def _mount(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok and unquote(call.text(0)) == "/proc/self/exe" and len(self._world.aliases) < _MOST_ALIASES:
            # Container runtimes make a second name for themselves, which what they start cannot write through.
            self._world.aliases[unquote(call.text(1))] = call.process.exe
        return (sight,)

    def _change_root(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok and call.name == "chroot" and call.paths:
            root = call.paths[0]
            call.process.root = "" if root in ("/", ".") else posixpath.normpath(call.process.root + root)
            call.process.cwd = "/" if call.process.cwd == root else call.process.cwd
        return (sight,)

    def _signal(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        target = parse_number(call.text(0))
        pid = None if target is None or call.name == "pidfd_send_signal" else abs(target)
        known = pid in self._world.processes or pid in self._threads
        if pid is not None and pid != 0 and not known and call.texts[-1] != "0":
            sight.traits.add("outside-tree")
        return (sight,)

    def _trace(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.name == "ptrace" and call.text(0) == "PTRACE_TRACEME":
            sight.traits.add("asks-to-be-traced")
            return (sight,)
        target = parse_number(call.text(1 if call.name == "ptrace" else 0))
        if call.name == "pidfd_getfd":
            target = parse_number(call.descriptor(0).path.removeprefix("/proc/").partition("/")[0])
        other = self._world.processes.get(target or 0)
        if target == call.process.pid:
            sight.traits.add("itself")
        elif (other is None and target not in self._threads) or (
            other is not None and other.container != call.process.container
        ):
            sight.traits.add("outside-tree")
        if call.name == "process_vm_writev" or "POKE" in call.text(0) or "SETREGS" in call.text(0):
            sight.traits.add("writes")
        return (sight,)

    def _clock(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if "settime" in call.name or not any("modes=0" in text for text in call.texts):
            sight.traits.add("sets-clock")
        return (sight,)

    def _set_name(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.text(0) == "PR_SET_NAME" and looks_like_kernel_thread(unquote(call.text(1))):
            sight.traits.add("kernel-name")
        return (sight,)


def looks_like_kernel_thread(name: str) -> bool:
    """Tell whether a name is one that only threads of the kernel have."""
    return _KERNEL_THREAD.fullmatch(name.strip()) is not None
