# SPDX-License-Identifier: Apache-2.0
"""Where to send what, from an argument and the variables of the OpenTelemetry specification; secrets only from the latter.

Source: opentelemetry.io/docs/specs/otel/protocol/exporter.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from observer.errors import UsageError

__all__ = ["Endpoint", "PROTOCOLS", "endpoints"]

PROTOCOLS: Final = ("http/protobuf", "http/json", "grpc")
_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_DEFAULT: Final = {
    "grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318", "http/json": "http://localhost:4318",
}  # fmt: skip
_PORTS: Final = {"grpc": 4317, "http/protobuf": 4318, "http/json": 4318}
_TIMEOUT_MS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how to send one kind of signal.

    Attributes:
        signal: `traces`, `logs` or `metrics`.
        protocol: One of `PROTOCOLS`.
        host: Name or address.
        port: Port.
        path: Path of HTTP requests.
        tls: Settings of TLS; None for plain text.
        credentials: PEM bytes for gRPC, which takes no `ssl.SSLContext`: roots, key, certificate.
        headers: Sent with each request; never shown.
        timeout_s: For one request.
        gzip: Compress requests.
    """

    signal: str
    protocol: str
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None = None
    credentials: tuple[bytes | None, bytes | None, bytes | None] = (None, None, None)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = _TIMEOUT_MS / 1000
    gzip: bool = True

    @property
    def shown(self) -> str:
        """How to name it in a sentence; holds no secret."""
        scheme = "https" if self.tls is not None else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path if self.protocol != 'grpc' else ''}"


def endpoints(
    given: str | None, protocol: str | None, signals: tuple[str, ...], environ: Mapping[str, str]
) -> dict[str, Endpoint]:
    """Return where each kind of signal goes.

    Args:
        given: URL from the command line; it goes before the environment.
        protocol: One of `PROTOCOLS` from the command line, likewise.
        signals: Which kinds.
        environ: The environment.

    Raises:
        UsageError: A URL, number, header or file that cannot be used; or a secret in an argument. [OBS100]
    """
    if given is not None and urlsplit(given).password is not None:
        raise UsageError(
            "the endpoint holds a password, which every user of this machine can see in the list of processes",
            hint=f"put an Authorization header into the variable {_PREFIX}HEADERS",
        )
    return {signal: _Settings(signal, environ).endpoint(given, protocol) for signal in signals}


class _Settings:
    """The variables for one kind of signal: its own go before the general ones."""

    def __init__(self, signal: str, environ: Mapping[str, str]) -> None:
        self._signal = signal
        self._environ = environ

    def _own(self, name: str) -> str | None:
        return self._environ.get(f"{_PREFIX}{self._signal.upper()}_{name}") or None

    def _get(self, name: str) -> str | None:
        return self._own(name) or self._environ.get(f"{_PREFIX}{name}") or None

    def endpoint(self, given: str | None, protocol: str | None) -> Endpoint:
        protocol = protocol or self._get("PROTOCOL") or "http/protobuf"
        if protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol {protocol!r}", hint=f"one of {', '.join(PROTOCOLS)}")
        own = None if given is not None else self._own("ENDPOINT")
        text = given or own or self._get("ENDPOINT") or _DEFAULT[protocol]
        url = self._split(text, protocol)
        secure = url.scheme == "https"
        path = "" if protocol == "grpc" else url.path if own else f"{url.path.rstrip('/')}/v1/{self._signal}"
        try:
            port = url.port or (443 if secure and protocol != "grpc" else _PORTS[protocol])
        except ValueError as error:
            raise UsageError(f"bad endpoint {_shown(text)}: {error}") from error
        return Endpoint(
            signal=self._signal,
            protocol=protocol,
            host=url.hostname or "localhost",
            port=port,
            path=path + (f"?{url.query}" if url.query and protocol != "grpc" else "") or "/",
            tls=self._tls() if secure else None,
            credentials=self._pem() if secure and protocol == "grpc" else (None, None, None),
            headers=self._headers(url),
            timeout_s=self._timeout_s(),
            gzip=self._gzip(),
        )

    def _split(self, text: str, protocol: str) -> SplitResult:
        if "://" not in text and protocol == "grpc":
            text = f"{'http' if (self._get('INSECURE') or '').lower() == 'true' else 'https'}://{text}"
        url = urlsplit(text)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise UsageError(
                f"bad endpoint {_shown(text)}", hint="a URL such as https://collector.example:4318"
            )
        return url

    def _timeout_s(self) -> float:
        text = self._get("TIMEOUT")
        try:
            value = _TIMEOUT_MS if text is None else float(text)
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise UsageError(f"{_PREFIX}TIMEOUT is not a number of milliseconds: {text!r}")
        return value / 1000

    def _gzip(self) -> bool:
        word = (self._get("COMPRESSION") or "gzip").lower()
        if word not in ("gzip", "none"):
            raise UsageError(f"{_PREFIX}COMPRESSION is neither 'gzip' nor 'none': {word!r}")
        return word == "gzip"

    def _headers(self, url: SplitResult) -> dict[str, str]:
        headers = {}
        if url.username is not None:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        for text in (self._environ.get(f"{_PREFIX}HEADERS"), self._own("HEADERS")):
            for item in (text or "").split(","):
                if not item.strip():
                    continue
                name, equals, value = item.partition("=")
                name, value = name.strip().lower(), unquote(value.strip())
                if not equals or not name or any(ord(letter) < 32 for letter in name + value):
                    raise UsageError(f"{_PREFIX}HEADERS is not a list of name=value")  # its text is secret
                headers[name] = value
        return headers

    def _pem(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        return (self._read("CERTIFICATE"), self._read("CLIENT_KEY"), self._read("CLIENT_CERTIFICATE"))

    def _read(self, name: str) -> bytes | None:
        path = self._get(name)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:  # noqa: PTH123  as given, no normalising
                return file.read()
        except OSError as error:
            raise UsageError(f"{_PREFIX}{name}: cannot read {path}: {error.strerror}") from error

    def _tls(self) -> ssl.SSLContext:
        roots, key, certificate = (
            self._get("CERTIFICATE"),
            self._get("CLIENT_KEY"),
            self._get("CLIENT_CERTIFICATE"),
        )
        try:
            context = ssl.create_default_context(cafile=roots)
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"the certificates that {_PREFIX}… names cannot be used: {error}") from error
        return context


def _shown(url: str) -> str:
    """Return a URL without user and password."""
    parts = urlsplit(url)
    return repr(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
