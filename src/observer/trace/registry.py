# SPDX-License-Identifier: Apache-2.0
"""Traces by id: those that are being recorded here, and those that the store keeps.

Holds one recorder per active trace and nothing of what it recorded, so memory does not grow with the traces.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from observer.errors import NotFoundError, ObserverError, UsageError
from observer.evidence.keys import load_hmac_key
from observer.ids import new_id
from observer.model.identity import IdentityContext
from observer.trace.recorder import TraceRecorder, start_facts
from observer.trace.store import TraceStore

__all__ = ["TraceRegistry", "default_registry"]


class TraceRegistry:
    """The active traces of this process over a store of all traces; every method may be called from any thread."""

    def __init__(self, store: Callable[[], TraceStore] = TraceStore) -> None:
        """Use this store, asked for anew each time so that a changed `OBSERVER_HOME` counts."""
        self._store = store
        self._lock = threading.Lock()
        self._active: dict[UUID, TraceRecorder] = {}
        self._abandoned: list[TraceRecorder] = []
        os.register_at_fork(after_in_child=self._forget_all)
        atexit.register(self._flush_all)

    @property
    def store(self) -> TraceStore:
        """The store as the environment names it now."""
        return self._store()

    def start(
        self, container_id: UUID | None, plugin_id: UUID | None, identity: IdentityContext
    ) -> TraceRecorder:
        """Start a trace and return its recorder, from now on known by its id.

        Raises:
            KeyUnusable: The environment names a log key that cannot be used.
            CapabilityError: The store cannot be written.
        """
        trace_id = new_id()
        start = start_facts(trace_id, identity, source="api", container_id=container_id, plugin_id=plugin_id)
        recorder = TraceRecorder(self.store.prepare(trace_id), start, load_hmac_key())
        with self._lock:
            self._active[trace_id] = recorder
        return recorder

    def recorder(self, trace_id: UUID) -> TraceRecorder:
        """Return the recorder of a trace that is being recorded here.

        Raises:
            UsageError: The trace has ended, or another process records it.
            NotFoundError: No trace has that id.
        """
        found = self.active(trace_id)
        if found is None:
            self.store.get(trace_id)
            raise UsageError(
                f"trace {trace_id} is not being recorded by this process: it has ended or belongs to another",
                hint="start another with TraceContext.new",
            )
        return found

    def active(self, trace_id: UUID) -> TraceRecorder | None:
        """Return the recorder of a trace that is being recorded here, or None."""
        with self._lock:
            return self._active.get(trace_id)

    def end(self, trace_id: UUID, status: str, reason: str | None = None) -> None:
        """Seal the end of a trace; it is no longer active, even when sealing failed.

        Raises:
            UsageError: It has ended already.
            NotFoundError: No trace has that id.
        """
        recorder = self.recorder(trace_id)
        try:
            recorder.close(status, reason)
        finally:
            with self._lock:
                self._active.pop(trace_id, None)

    def path_of(self, trace_id: UUID) -> Path:
        """Return the directory of a trace, with everything recorded here so far sealed in it.

        Raises:
            NotFoundError: No trace has that id.
        """
        recorder = self.active(trace_id)
        if recorder is None:
            return self.store.get(trace_id)
        with contextlib.suppress(UsageError):  # another thread ended it just now: then it is all on disk
            recorder.flush()
        if not recorder.path.is_dir():
            raise NotFoundError(
                f"the recording of trace {trace_id} is gone", where={"path": str(recorder.path)}
            )
        return recorder.path

    def _flush_all(self) -> None:
        for recorder in list(self._active.values()):
            with contextlib.suppress(ObserverError, OSError):
                recorder.flush()

    def _forget_all(self) -> None:
        # In a forked child: the files and the sealing threads belong to the parent. The recorders are kept unused,
        # since dropping them would end what the parent is writing.
        self._lock = threading.Lock()
        self._abandoned.extend(self._active.values())
        self._active.clear()


_DEFAULT = TraceRegistry()


def default_registry() -> TraceRegistry:
    """Return the registry behind the functions of `observer.trace`."""
    return _DEFAULT
