# SPDX-License-Identifier: Apache-2.0
"""Asks another agent for its clocks, and answers that one question: a line of JSON each way (docs/spec/agent-log.md section 7).

The answer says when the question came and when it was answered, so that the time on the way bounds the error. It changes nothing
on either side; a peer that lies can only make itself look wrong, for raw times are never changed.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from observer.agents.host import read_clocks
from observer.errors import DeliveryError, UsageError
from observer.model.event_record import Clocks

__all__ = ["ClockServer", "PeerClocks", "ask_clocks", "clock_answer"]

_MOST_BYTES: Final = 4096
_TIMEOUT_S: Final = 2.0
_REQUEST: Final = b'{"ask":"clocks"}\n'
_BOOT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VSOCK: Final = re.compile(r"vsock:(?:(\d{1,10}):)?(\d{1,10})")
_INET: Final = re.compile(r"(\[[0-9a-fA-F:.%\w]{2,64}\]|[\w.-]{1,253}):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class PeerClocks:
    """One question and its answer.

    Attributes:
        sent, received: Own clocks when the question went out and when the answer came.
        peer_received, peer_sent: The peer's clocks when the question came and when it answered.
        boot_id: The peer's boot.
    """

    sent: Clocks
    received: Clocks
    peer_received: Clocks
    peer_sent: Clocks
    boot_id: str


def ask_clocks(address: str, clocks: Callable[[], Clocks] = read_clocks) -> PeerClocks:
    """Ask an agent at a Unix socket's path, `HOST:PORT` or `vsock:CID:PORT`.

    Raises:
        UsageError: The address is none of these. [OBS100]
        DeliveryError: Nobody answers there, or not with clocks. [OBS800]
    """
    family, where = _place(address)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(where)
            sent = clocks()
            connection.sendall(_REQUEST)
            data = _line(connection)
            received = clocks()
    except OSError as error:
        raise DeliveryError(f"no agent answers at {address}: {error.strerror or error}") from error
    return _parsed(address, data, sent, received)


def clock_answer(boot_id: str) -> bytes:
    """Return the answer to the question: one line without its end."""
    received = read_clocks()
    answer: dict[str, Any] = {
        "schema": "observer.clocks/1",
        "boot_id": boot_id,
        "received": _fields(received),
    }
    answer["sent"] = _fields(read_clocks())
    return json.dumps(answer, separators=(",", ":")).encode()


class ClockServer:
    """Answers the question on a TCP or vsock port, one at a time, in a thread of its own; and no other."""

    def __init__(self, address: str, boot_id: str) -> None:
        """Listen at `HOST:PORT` or `vsock:PORT`.

        Raises:
            UsageError: The address cannot be used. [OBS100]
        """
        self._boot_id = boot_id
        family, where = _place(address, serve=True)
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(where)
            self._socket.listen(4)
        except OSError as error:
            self._socket.close()
            raise UsageError(f"cannot answer at {address}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._serve, name="clocks", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port taken."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_TIMEOUT_S)
                if _line(connection).strip() == _REQUEST.strip():
                    connection.sendall(clock_answer(self._boot_id) + b"\n")


def _place(address: str, *, serve: bool = False) -> tuple[int, Any]:
    if address.startswith("/") and not serve:
        return socket.AF_UNIX, str(Path(address))
    if (found := _VSOCK.fullmatch(address)) and bool(found[1]) is not serve:
        return socket.AF_VSOCK, (int(found[1] or socket.VMADDR_CID_ANY), int(found[2]))
    if (found := _INET.fullmatch(address)) and int(found[2]) < 65_536:
        host = found[1].strip("[]")
        return socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(found[2]))
    wanted = "HOST:PORT or vsock:PORT" if serve else "/PATH, HOST:PORT or vsock:CID:PORT"
    raise UsageError(f"{address!r} is no address", hint=f"give {wanted}")


def _line(connection: socket.socket) -> bytes:
    data = b""
    while b"\n" not in data and len(data) <= _MOST_BYTES:
        piece = connection.recv(_MOST_BYTES)
        if not piece:
            break
        data += piece
    return data.split(b"\n", 1)[0]


def _parsed(address: str, data: bytes, sent: Clocks, received: Clocks) -> PeerClocks:
    try:
        answer = json.loads(data)
        boot_id = str(answer["boot_id"])
        first, last = (_clocks(answer[key]) for key in ("received", "sent"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DeliveryError(f"what answers at {address} tells no clocks") from error
    if not _BOOT_ID.fullmatch(boot_id) or last.boottime_ns < first.boottime_ns:
        raise DeliveryError(f"what answers at {address} tells no clocks")
    return PeerClocks(sent, received, first, last, boot_id)


def _clocks(values: dict[str, Any]) -> Clocks:
    found = [values[key] for key in ("wall_ns", "monotonic_ns", "boottime_ns")]
    if not all(type(one) is int and 0 <= one < 1 << 63 for one in found):
        raise ValueError("no clock")
    return Clocks(*found)


def _fields(clocks: Clocks) -> dict[str, int]:
    return {
        "wall_ns": clocks.wall_ns,
        "monotonic_ns": clocks.monotonic_ns,
        "boottime_ns": clocks.boottime_ns,
    }
