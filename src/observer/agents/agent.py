# SPDX-License-Identifier: Apache-2.0
"""The agent of one machine: opens its log, tells how the last run ended, runs the collectors, and stops in order.

What it writes is docs/spec/agent-log.md. Which collectors there are is said by the room of the operating system.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import observer
from observer import clock, ids
from observer.agents.collector import Collector, Context, Observation
from observer.agents.dumps import Dumper
from observer.agents.host import HostIdentity, read_clocks, read_host
from observer.agents.last_minute import PreviousRun, examine_previous_run, report_of, write_private
from observer.agents.link.clock_peer import ClockServer, clock_answer
from observer.agents.link.notify import notify
from observer.agents.link.status_socket import StatusSocket
from observer.agents.log_store import LogStore
from observer.agents.pipeline import AGENT_SOURCE, Pipeline, PipelineLimits
from observer.agents.positions import Positions
from observer.agents.reserve import Reserve
from observer.agents.ring import Beat, RingFile
from observer.agents.sealer import Sealer, SealerTiming
from observer.agents.settings import Settings
from observer.agents.supervisor import Supervisor, SupervisorTiming
from observer.errors import CaptureError
from observer.model.event import EventSeverity
from observer.model.event_record import EventRecord

__all__ = ["Agent", "AgentPlaces"]

_STOP_S: Final = 8.0  # below systemd's TimeoutStopSec of the unit
_TICK_S: Final = 1.0
_UPKEEP_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class AgentPlaces:
    """Where an agent keeps things.

    Attributes:
        logs: Directory of the log, made 0700 when it is missing.
        state: Directory of the checkpoint key.
        socket: The status socket; None serves none.
    """

    logs: Path
    state: Path
    socket: Path | None
    log_name: str = "guest-events.log"

    @property
    def log(self) -> Path:
        """The sealed log."""
        return self.logs / self.log_name

    def beside(self, suffix: str) -> Path:
        """Return a file beside the log, such as `guest-events.ring`."""
        return self.logs / (self.log_name.removesuffix(".log") + suffix)


@dataclass(slots=True)
class _Counters:
    started: int = field(default_factory=clock.boot_ns)
    beat_ns: int = 0
    upkeep_ns: int = 0


class Agent:
    """An agent from its start to its stop; use `run`."""

    def __init__(self, settings: Settings, places: AgentPlaces, kinds: list[type[Collector]]) -> None:
        self.settings, self.places, self._kinds = settings, places, kinds
        self.host: HostIdentity = read_host()
        self.run_id = ids.new_id().hex[:16]
        self._halt = threading.Event()
        self._signal = "none"
        self._counters = _Counters()
        for directory in (places.logs, places.state):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        part, log = settings["agent"], settings["log"]
        self._store = LogStore(places.log, places.state, log)
        self._previous = examine_previous_run(places.beside(".ring"), places.log, self.host.boot_id)
        # Before anything is written: on a disk that is nearly full the reserve must not come after the log.
        self._reserve = Reserve(places.beside(".reserve"), log.count("reserve"))
        opened = self._store.open_with(self._reserve)
        self._ring = self._open_ring(part.count("ring_entries") * 2, str(opened.identity["log"]))
        limits = PipelineLimits(
            part.count("queue"), part.count("ring_entries"), part.number("rate"), part.count("burst")
        )
        self.pipeline = Pipeline(self.host, self.run_id, self._ring, limits)
        self.positions = Positions(places.beside(".positions"))
        self._sealer = Sealer(
            self.pipeline,
            self._store,
            self.positions,
            self._reserve,
            beat=Beat(self.host.boot_id, self.run_id, read_clocks()),
            timing=SealerTiming(log.number("ring_exposed"), log.number("exposed")),
        )
        self._sealer.on_storage = self._tell_storage
        self._reserve.fill()
        self._dumper = Dumper(places.logs / "dumps", part.count("dumps"), self.pipeline)
        self.supervisor = Supervisor(
            kinds,
            self._context,
            self.pipeline,
            SupervisorTiming(part.number("hang"), part.number("retry_least"), part.number("retry_most")),
        )

    def run(self, ready: Callable[[str], None] = lambda _text: None) -> int:
        """Run until SIGTERM or SIGINT; returns 0.

        Args:
            ready: Called with a sentence once collectors have been started.

        Raises:
            CaptureError: The log or ring file cannot be written at all. [OBS300]
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGUSR1, lambda *_: self._dumper.ask("signal"))
        self._begin()
        servers = self._serve()
        self.supervisor.tend()
        notify("READY=1\nSTATUS=collecting")
        ready(f"run {self.run_id}, log {self.places.log}")
        try:
            while not self._halt.wait(_TICK_S):
                self._tick()
        finally:
            for server in servers:
                server.close()
            self._end()
        return 0

    def stop(self, reason: str = "request") -> None:
        """Make `run` return; safe from any thread."""
        self._signal = reason
        self._halt.set()

    def status(self) -> dict[str, Any]:
        """Return how the agent is, for `observer agent status`."""
        usage = _usage()
        return {
            "schema": "observer.agent-status/1",
            "run": self.run_id,
            "pid": os.getpid(),
            "version": observer.__version__,
            "boot_id": self.host.boot_id,
            "hostname": self.host.hostname,
            "log": str(self.places.log),
            "uptime_s": round((clock.boot_ns() - self._counters.started) / 1e9, 1),
            "events": self.pipeline.emitted,
            "sealed": self._sealer.sealed,
            "dropped": self.pipeline.dropped,
            "queue": self.pipeline.waiting,
            "by_source": dict(sorted(self.pipeline.counts.items())),
            "problem": self._sealer.problem,
            "reserve_bytes": self._reserve.held,
            "rss_bytes": usage[0],
            "cpu_s": round(usage[1], 3),
            "previous_end": self._previous.kind,
            "collectors": self.supervisor.states,
        }

    def _open_ring(self, slots: int, log_id: str) -> RingFile | None:
        while True:
            try:
                return RingFile.open(self.places.beside(".ring"), slots=slots, log_id=log_id)
            except CaptureError:
                # Without room for it the log alone must do; it is better than no agent.
                if not self._reserve.release():
                    return None

    def _context(self, kind: type[Collector]) -> Context:
        return Context(self.settings[kind.name], self.positions, boot_id=self.host.boot_id)

    def _begin(self) -> None:
        previous = self._previous
        beat = previous.beat
        origin, digest = self.settings.origin, self.settings.digest_of
        self._emit(
            "agent.start",
            EventSeverity.INFO,
            "Agent started",
            version=observer.__version__,
            pid=str(os.getpid()),
            kernel=os.uname().release,
            config=origin,
            config_sha256=hashlib.sha256(digest).hexdigest() if digest else None,
            previous_end=previous.kind,
            previous_boot_id=beat.boot_id if beat else None,
            previous_run=beat.run if beat else None,
            core_pattern=_core_pattern(),
            collectors=" ".join(kind.name for kind in self._kinds),
        )
        self._sealer.seal_now([one.data for one in self.pipeline.take(1)])
        unclean = previous.kind in {"agent_killed", "machine_died"}
        if unclean:
            self._sealer.declare_now(previous.overwritten, "ring_overwritten")
            self._sealer.seal_now(list(previous.missing))
            self._resume_after(previous)
        # Only now may the ring file say that this run lives: until then a crash must find the run before again.
        self._sealer.start()
        if unclean:
            self._tell_unclean(previous)
        self._store.tell_refused(self._emit)

    def _tell_unclean(self, previous: PreviousRun) -> None:
        beat = previous.beat
        if beat is None:
            return
        now = clock.wall_ns()
        report = report_of(previous, self.places.log, now)
        path, digest = None, None
        if report is not None:
            name = clock.to_datetime(now).strftime("unclean-%Y%m%dT%H%M%SZ-") + beat.boot_id[:8] + ".json"
            with contextlib.suppress(OSError):
                directory = self.places.logs / "reports"
                directory.mkdir(mode=0o700, exist_ok=True)
                path = directory / name
                digest = write_private(path, report.to_bytes())
        died = previous.kind == "machine_died"
        self._emit(
            "agent.unclean_shutdown",
            EventSeverity.CRITICAL if died else EventSeverity.ERROR,
            "Unclean shutdown of the previous run",
            kind=previous.kind,
            previous_boot_id=beat.boot_id,
            previous_run=beat.run,
            last_beat_wall_ns=str(beat.clocks.wall_ns),
            last_beat_boottime_ns=str(beat.clocks.boottime_ns),
            last_event_wall_ns=str(report.last_event_wall_ns)
            if report and report.last_event_wall_ns
            else None,
            events_last_minute=str(report.events if report else 0),
            recovered=str(len(previous.missing)),
            report=str(path) if digest else None,
            report_sha256=digest,
        )

    def _resume_after(self, previous: PreviousRun) -> None:
        """Move each collector's position past the records that the ring file gave back, so that none is read twice."""
        kinds = {kind.event_type: kind for kind in self._kinds if kind.event_type}
        for data in previous.missing:
            record = EventRecord.from_json(data)
            kind = kinds.get(record.event_type)
            position = kind.position_of(record) if kind is not None else None
            if kind is not None and position is not None:
                self.positions.set(kind.name, position)
        self.positions.save()

    def _serve(self) -> list[StatusSocket | ClockServer]:
        peer = self.settings.sections.get("peer")
        places = peer.texts("listen") if peer is not None else ()
        servers: list[StatusSocket | ClockServer] = [ClockServer(one, self.host.boot_id) for one in places]
        if self.places.socket is not None:
            server = StatusSocket(self.places.socket, self._answer)
            server.start()
            servers.append(server)
        return servers

    def _answer(self, request: dict[str, Any]) -> Iterable[bytes]:
        asked = request.get("ask")
        if asked == "buffer":
            last = request.get("last")
            lines = self.pipeline.snapshot()
            return lines[-last:] if isinstance(last, int) and last > 0 else lines
        if asked == "dump":
            return [json.dumps(self._dumper.dump("request")).encode()]
        if asked == "clocks":
            return [clock_answer(self.host.boot_id)]
        if asked == "status":
            return [json.dumps(self.status()).encode()]
        return [b'{"error":"ask for status, buffer, dump or clocks"}']

    def _tick(self) -> None:
        self.supervisor.tend()
        self.pipeline.declare_losses()
        notify("WATCHDOG=1")
        now = clock.boot_ns()
        if self.settings["agent"].flag("dump_on_critical"):
            self._dumper.watch()
        self._dumper.serve()
        if now - self._counters.beat_ns >= self.settings["agent"].number("heartbeat") * 1e9:
            self._counters.beat_ns = now
            self._heartbeat()
        if now - self._counters.upkeep_ns >= _UPKEEP_NS:
            self._counters.upkeep_ns = now
            self._store.ask_upkeep()

    def _heartbeat(self) -> None:
        rss, cpu = _usage()
        self._emit(
            "agent.heartbeat",
            EventSeverity.INFO,
            "Agent alive",
            events=str(self._sealer.sealed),
            dropped=str(self.pipeline.dropped),
            queue=str(self.pipeline.waiting),
            rss=str(rss),
            cpu=f"{cpu:.3f}",
            degraded=" ".join(self.supervisor.degraded) or None,
        )

    def _end(self) -> None:
        notify("STOPPING=1")
        self.supervisor.stop(_STOP_S / 4)
        self.pipeline.declare_losses(now=True)
        self._emit(
            "agent.stop",
            EventSeverity.INFO,
            "Agent stopped",
            signal=self._signal,
            system_state=_system_state(),
            events=str(self.pipeline.emitted),
            dropped=str(self.pipeline.dropped),
        )
        if self._sealer.stop(_STOP_S / 2):
            self.positions.close()
            self._reserve.close()
            if self._ring is not None:
                self._ring.close()

    def _tell_storage(self, state: str, detail: str) -> None:
        severity = EventSeverity.INFO if state == "restored" else EventSeverity.ERROR
        held = str(self._reserve.held)
        self._emit(
            "agent.storage",
            severity,
            "Storage of the log changed",
            state=state,
            reserve=held,
            detail=detail or None,
        )

    def _emit(self, event_type: str, severity: EventSeverity, message: str, **facts: str | None) -> None:
        self.pipeline.emit_always(Observation(event_type, AGENT_SOURCE, "Agent", severity, message, facts))

    def _on_signal(self, number: int, _frame: object) -> None:
        self.stop(signal.Signals(number).name)


def _usage() -> tuple[int, float]:
    """Return resident bytes now and CPU seconds of this process and its ended children."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return pages * resource.getpagesize(), cpu


def _core_pattern() -> str | None:
    try:
        return Path("/proc/sys/kernel/core_pattern").read_text().strip()
    except OSError:
        return None


def _system_state() -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        result = subprocess.run(
            ["systemctl", "is-system-running"], capture_output=True, text=True, check=False, timeout=2
        )
        if result.stdout.strip() not in {"", "offline"}:
            return result.stdout.strip()
    return "unknown"
