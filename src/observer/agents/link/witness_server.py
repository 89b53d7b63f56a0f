# SPDX-License-Identifier: Apache-2.0
"""Serves a witness over HTTP, on a TCP port or a Unix socket, and asks one. One request at a time: state is on disk."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import signal
import socket
import socketserver
import stat
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from observer.errors import DeliveryError, ObserverError, UsageError
from observer.evidence.witness import MAX_REQUEST_BYTES, Answer, Witness

__all__ = ["ask", "serve"]

_TIMEOUT_S = 10.0  # a client that says nothing for so long is gone
_PATH = "/add-checkpoint"


def serve(
    witness: Witness, *, socket_path: str | None, listen: str | None, ready: Callable[[str], None]
) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        witness: Who answers.
        socket_path: Unix socket to make (0600), or None.
        listen: `HOST:PORT` to listen on, used when `socket_path` is None.
        ready: Called with the address once requests are taken.

    Returns:
        0.

    Raises:
        UsageError: The address cannot be used. [OBS100]
    """
    server = _server(witness, socket_path, listen)
    stop = threading.Thread(target=server.shutdown, daemon=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None if stop.ident else stop.start())
    try:
        ready(socket_path or _address(server))
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
        witness.close()
        if socket_path is not None:
            with contextlib.suppress(OSError):
                Path(socket_path).unlink()
    return 0


def ask(address: str, body: str, *, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Send an `add-checkpoint` request to a witness at a Unix socket's path or `HOST:PORT`.

    Raises:
        DeliveryError: The witness could not be reached or did not answer in time. [OBS800]
    """
    try:
        connection = (
            _UnixConnection(address, timeout_s)
            if "/" in address
            else http.client.HTTPConnection(address, timeout=timeout_s)
        )
        with contextlib.closing(connection):
            connection.request("POST", _PATH, body.encode(), {"Content-Type": "text/plain; charset=utf-8"})
            response = connection.getresponse()
            text = response.read(MAX_REQUEST_BYTES).decode("utf-8", "replace")
            return Answer(response.status, text, response.getheader("Content-Type", ""))
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryError(f"witness {address} cannot be asked: {error}", hint="see that it runs") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Handler(http.server.BaseHTTPRequestHandler):
    witness: Witness
    timeout = _TIMEOUT_S
    server_version = "observer-witness"
    sys_version = ""

    def do_POST(self) -> None:
        if self.path != _PATH:
            self._answer(Answer(HTTPStatus.NOT_FOUND, "POST /add-checkpoint\n"))
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > 9:
            self._answer(Answer(HTTPStatus.LENGTH_REQUIRED, "say how long the request is\n"))
        elif int(length) > MAX_REQUEST_BYTES:
            self._answer(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long\n"))
        else:
            body = self.rfile.read(int(length))
            try:
                answer = self.witness.add_checkpoint(body)
            except (ObserverError, OSError) as error:
                # The state cannot be read or written: better no cosignature than one that may be forgotten.
                answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n")
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        data = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the standard library
        """Say nothing: a request is no event worth a line."""

    def address_string(self) -> str:
        return "peer"


class _UnixServer(socketserver.UnixStreamServer):
    def server_bind(self) -> None:
        path = Path(str(self.server_address))
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        mask = os.umask(0o177)
        try:
            super().server_bind()
        finally:
            os.umask(mask)


def _address(server: socketserver.TCPServer) -> str:
    host, port = server.socket.getsockname()[:2]
    return f"{host}:{port}"


def _server(witness: Witness, socket_path: str | None, listen: str | None) -> socketserver.TCPServer:
    handler = type("Handler", (_Handler,), {"witness": witness})
    try:
        if socket_path is not None:
            return _UnixServer(socket_path, handler)
        host, _, port = (listen or "").rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"--listen wants HOST:PORT, not {listen!r}")
        return http.server.HTTPServer((host.strip("[]"), int(port)), handler)
    except OSError as error:
        raise UsageError(f"cannot serve at {socket_path or listen}: {error.strerror or error}") from error
