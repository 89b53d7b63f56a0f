# SPDX-License-Identifier: Apache-2.0
"""The agent's Unix socket: one line of JSON asks, lines of JSON answer, and the connection ends.

Requests are `{"ask":"status"}`, `{"ask":"buffer","last":N}`, `{"ask":"dump"}` and `{"ask":"clocks"}`. Only the socket's mode
decides who may ask.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from observer.errors import DeliveryError, UsageError

__all__ = ["StatusSocket", "ask_agent"]

_MAX_REQUEST: Final = 4096
_TIMEOUT_S: Final = 5.0


class StatusSocket:
    """Serves one question at a time in a thread of its own."""

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], Iterable[bytes]]) -> None:
        """Bind the socket, mode 0660.

        Args:
            path: Where; an old socket there is replaced, anything else is not.
            answer: Given a request, returns the lines of the answer.

        Raises:
            UsageError: The address cannot be used. [OBS100]
        """
        self._path, self._answer = path, answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(path.lstat().st_mode):
                    path.unlink()
            mask = os.umask(0o117)
            try:
                self._socket.bind(os.fspath(path))
            finally:
                os.umask(mask)
            self._socket.listen(4)
        except OSError as error:
            self._socket.close()
            raise UsageError(f"cannot serve at {path}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._serve, name="status", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(_TIMEOUT_S)
                request = json.loads(_first_line(connection))
                if isinstance(request, dict):
                    connection.sendall(b"".join(line + b"\n" for line in self._answer(request)))


def ask_agent(path: Path, request: dict[str, Any]) -> Iterator[bytes]:
    """Ask a running agent and yield the lines of its answer.

    Raises:
        DeliveryError: No agent answers there. [OBS800]
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(os.fspath(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                for line in stream:
                    yield line.rstrip(b"\n")
    except OSError as error:
        raise DeliveryError(
            f"no agent answers at {path}: {error.strerror or error}", hint="see that 'wsl-monitor' runs"
        ) from error


def _first_line(connection: socket.socket) -> bytes:
    data = b""
    while b"\n" not in data and len(data) <= _MAX_REQUEST:
        piece = connection.recv(_MAX_REQUEST)
        if not piece:
            break
        data += piece
    return data.split(b"\n", 1)[0]
