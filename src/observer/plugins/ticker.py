# SPDX-License-Identifier: Apache-2.0
"""Wall-time limits: the engine's epoch advances while any plugin runs against the clock.

One thread serves the process. Epochs are shared by all plugins of an engine, so each has its deadline counted in ticks.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from observer import clock

__all__ = ["Ticker"]

_TICK_S: Final = 0.02  # a limit is met within this
_NEVER: Final = 1 << 40


class Ticker:
    """Watches the time of calls into one plugin."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _watched: ClassVar[int] = 0
    _wake: ClassVar[threading.Event] = threading.Event()
    _thread: ClassVar[threading.Thread | None] = None

    def __init__(self, engine: Any) -> None:
        """Use this engine's epoch."""
        self._engine = engine
        self._deadline_ns: int | None = None

    def remaining_s(self) -> float | None:
        """Return the time that the call under way has left, s; None without a limit."""
        if self._deadline_ns is None:
            return None
        return (self._deadline_ns - clock.monotonic_ns()) / 1e9

    @contextmanager
    def watch(self, store: Any, timeout_s: float | None) -> Iterator[None]:
        """End what runs inside when this time is over; None for no limit."""
        if timeout_s is None:
            self._deadline_ns = None
            store.set_epoch_deadline(_NEVER)
            yield
            return
        self._deadline_ns = clock.monotonic_ns() + int(timeout_s * 1e9)
        store.set_epoch_deadline(math.ceil(timeout_s / _TICK_S) + 1)
        self._enter(self._engine)
        try:
            yield
        finally:
            with self._lock:
                Ticker._watched -= 1

    @classmethod
    def _enter(cls, engine: Any) -> None:
        with cls._lock:
            cls._watched += 1
            cls._wake.set()
            if cls._thread is None or not cls._thread.is_alive():
                cls._thread = threading.Thread(
                    target=cls._tick, args=(engine,), daemon=True, name="plugin-ticker"
                )
                cls._thread.start()

    @classmethod
    def _tick(cls, engine: Any) -> None:
        pause = threading.Event()
        while True:
            with cls._lock:
                if cls._watched == 0:
                    cls._wake.clear()
            cls._wake.wait()
            pause.wait(_TICK_S)
            engine.increment_epoch()
