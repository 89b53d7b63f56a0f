# SPDX-License-Identifier: Apache-2.0
"""One watch: what to watch, how, and how it went."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from observer import _native, clock
from observer.evidence.keys import load_hmac_key
from observer.ids import new_id
from observer.model.identity import IdentityContext
from observer.trace.calls import encode
from observer.trace.capture import Place, caller, carry
from observer.trace.live.containers import Container
from observer.trace.live.rule_triggers import PREFIX, conditions_of_rule
from observer.trace.recorder import start_facts
from observer.trace.store import TraceStore

__all__ = ["PreTrigger", "Watch", "WatchOptions", "WatchReport"]

_NAP_S = 0.05  # how late the end of a watch is noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTrigger:
    """Keep the past in memory and seal it only when something happens.

    Attributes:
        before_s: Seconds before the trigger.
        after_s: Seconds after it; a trigger inside them extends the window.
        memory_bytes: Most memory for the past, compressed.
        conditions: What fires, in the language of docs/spec/conditions.md, or `rule:` and the id of a risk rule.
        control: Path of a Unix socket to make; a line sent to it fires, by this user or root.
        windows: End after sealing so many windows; 0 goes on.
    """

    before_s: float = 60.0
    after_s: float = 5.0
    memory_bytes: int = 256 << 20
    conditions: tuple[str, ...] = ()
    control: Path | None = None
    windows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What to watch and how.

    Attributes:
        path: Directory to make for the recording; None for a place in the store.
        force: Replace a recording that is already there.
        everything: The whole machine but the recorder itself.
        pids: Processes, with all they start.
        cgroups: Directories of cgroups, with all below them.
        containers: Containers, with all in them.
        command: A command to start and watch: its executable, then its argument vector.
        env: Environment of the command; None passes on this process's.
        only: Names of syscalls or classes; empty for all.
        data_bytes: Bytes kept of each read and write buffer, at most 4096.
        string_bytes: Bytes kept of each path or string, at most 4096.
        buffer_bytes: Size of the kernel's ring buffer, a power of two.
        pre_trigger: Keep the past until something happens; None seals everything as it comes.
        container_id: The container the trace belongs to; None takes that of the first of `containers`.
        plugin_id: The plugin the trace belongs to.
        identity: On whose behalf; None for the calling user on this machine.
        stall_ms: For tests of the accounting: take nothing for so long after the start.
    """

    path: Path | None = None
    force: bool = False
    everything: bool = False
    pids: tuple[int, ...] = ()
    cgroups: tuple[Path, ...] = ()
    containers: tuple[Container, ...] = ()
    command: tuple[str, Sequence[str]] | None = None
    env: Sequence[tuple[str, str]] | None = None
    only: tuple[str, ...] = ()
    data_bytes: int = 32
    string_bytes: int = 4096
    buffer_bytes: int = 16 << 20
    pre_trigger: PreTrigger | None = None
    container_id: UUID | None = None
    plugin_id: UUID | None = None
    identity: IdentityContext | None = None
    stall_ms: int = 0


@dataclass(frozen=True, slots=True)
class WatchReport:
    """How a watch goes or went.

    Attributes:
        calls: Calls recorded; with a pre-trigger, calls seen.
        received: Messages that arrived from the kernel.
        seen: Messages that the kernel's own counters say there were.
        lost: What was declared lost, of all kinds.
        seconds: How long it went.
        recordings: Recordings made.
        kept_bytes: Memory that the kept past takes.
        kept_s: Seconds it reaches back.
        root: Process id of the command.
        exit_code: Exit status of the command.
        signal: Signal that ended it.
    """

    calls: int
    received: int
    seen: int
    lost: int
    seconds: float
    recordings: tuple[Path, ...]
    kept_bytes: int
    kept_s: float
    root: int | None
    exit_code: int | None
    signal: int | None

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return the report that the native core gave."""
        values = json.loads(text)
        values["recordings"] = tuple(Path(path) for path in values["recordings"])
        return cls(**values)


class Watch:
    """A running watch; from its construction on, everything is recorded.

    Attributes:
        trace_id: Its trace.
        path: Its recording, or the first of them.
    """

    def __init__(self, options: WatchOptions) -> None:
        """Load the probe, take stock of what already runs, and begin.

        Raises:
            CapabilityError: This user or kernel cannot; the hint says what is missing. [OBS200]
            NotFoundError: A process or cgroup is not there. [OBS700]
            UsageError: Nothing was named, or a word means nothing. [OBS100]
        """
        self.trace_id = new_id()
        store = TraceStore()
        self.path = store.prepare(self.trace_id) if options.path is None else options.path.absolute()
        config = encode(_config(self.path, self.trace_id, options))
        with Place(self.path, force=options.force):
            self._session = _native.WatchSession(config, load_hmac_key())
        if options.path is not None:
            store.register(self.trace_id, self.path)

    def status(self) -> tuple[WatchReport, bool]:
        """Return how it goes, and whether it is over."""
        report, over = self._session.status()
        return WatchReport.from_json(report), over

    def trigger(self, reason: Mapping[str, Any]) -> None:
        """Seal the kept past and what follows, for a reason found outside the probe."""
        self._session.trigger(encode(dict(reason)))

    def note(self, line: Mapping[str, Any]) -> None:
        """Seal a line of low volume about now; it has a `type`."""
        self._session.note(encode(dict(line)))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over by itself or the time is; return whether it is over."""
        until = None if timeout_s is None else clock.monotonic_ns() + round(timeout_s * 1e9)
        while not self._session.status()[1]:
            if until is not None and clock.monotonic_ns() >= until:
                return False
            time.sleep(_NAP_S)
        return True

    def stop(self, reason: str = "asked to stop") -> WatchReport:
        """End it, wait until everything is sealed and return how it went.

        Raises:
            StorageFull: The disk filled up; what had been sealed is kept. [OBS301]
            CommandNotFound: The command does not exist. [OBS302]
        """
        return WatchReport.from_json(self._session.stop(reason))


def _config(path: Path, trace_id: UUID, options: WatchOptions) -> dict[str, Any]:
    first = options.containers[0] if options.containers else None
    start = start_facts(
        trace_id,
        options.identity or caller(),
        source="ebpf",
        container_id=options.container_id or (first.trace_container_id if first else None),
        plugin_id=options.plugin_id,
        command=None if options.command is None else options.command[1],
    )
    start["containers"] = [container.to_dict() for container in options.containers]
    start["memory_read"] = "at_exit"  # docs/spec/bpf-abi.md §7: the time-of-check limit
    inside = [container.cgroup for container in options.containers if container.cgroup is not None]
    # A container without a cgroup of its own is told by its pid namespace; both ways also see what is executed into it later.
    # One that has neither is told by its first process and what that starts.
    bare = [c for c in options.containers if c.cgroup is None]
    own = Path("/proc/self/ns/pid").stat().st_ino
    spaces = [c.namespaces["pid"] for c in bare if c.namespaces.get("pid", own) != own]
    pids = [c.pid for c in bare if c.namespaces.get("pid", own) == own]
    return {
        "path": carry(str(path)),
        "start": start,
        "all": options.everything,
        "pids": [*options.pids, *pids],
        "namespaces": spaces,
        "cgroups": [str(place) for place in (*options.cgroups, *inside)],
        "command": _command(options),
        "only": list(options.only),
        "data_bytes": options.data_bytes,
        "string_bytes": options.string_bytes,
        "ring_bytes": options.buffer_bytes,
        "pre_trigger": _pre_trigger(options.pre_trigger),
        "containers": [
            {"cgroup": container.cgroup_path, "container_id": container.container_id}
            for container in options.containers
        ],
        "stall_ms": options.stall_ms,
    }


def _command(options: WatchOptions) -> dict[str, Any] | None:
    if options.command is None:
        return None
    executable, argv = options.command
    env = options.env
    return {
        "executable": carry(executable),
        "argv": [carry(word) for word in argv],
        "env": None if env is None else [[carry(name), carry(value)] for name, value in env],
    }


def _pre_trigger(wanted: PreTrigger | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    table = json.loads(_native.syscall_table(os.uname().machine))
    calls = frozenset(call["name"] for call in table)
    wished = [word.removeprefix(PREFIX) for word in wanted.conditions if word.startswith(PREFIX)]
    rules = {condition: rule for rule in wished for condition in conditions_of_rule(rule, calls)}
    plain = [word for word in wanted.conditions if not word.startswith(PREFIX)]
    return {
        "before_s": wanted.before_s,
        "after_s": wanted.after_s,
        "memory_bytes": wanted.memory_bytes,
        "conditions": [*plain, *rules],
        "rules": rules,
        "control": None if wanted.control is None else str(wanted.control.absolute()),
        "windows": wanted.windows,
    }
