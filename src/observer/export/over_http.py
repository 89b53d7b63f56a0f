# SPDX-License-Identifier: Apache-2.0
"""Carries one request over HTTP, on a connection that is kept, and says what the answer means."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http.client
import json
from dataclasses import dataclass
from typing import Final

from observer import __version__, _native, clock
from observer.export.endpoint import Endpoint

__all__ = ["Answer", "HttpCarrier"]

_AGAIN: Final = frozenset({429, 502, 503, 504})  # source: OTLP specification, "Retryable Response Codes"
_TOO_LARGE: Final = 413
_ANSWER_BYTES: Final = 4 << 20  # of a body that is read; no honest answer is longer
_SHOWN: Final = 200  # characters of a refusal


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        taken: Accepted, if perhaps not all of it.
        again: Worth another try.
        too_large: Worth another try in smaller pieces.
        after_s: How long the receiver asks to wait first.
        rejected: Signals of an accepted request that were not taken.
        why: The receiver's words; text of a stranger.
    """

    taken: bool = False
    again: bool = False
    too_large: bool = False
    after_s: float | None = None
    rejected: int = 0
    why: str = ""


class HttpCarrier:
    """A connection to one endpoint, made when needed and again after it broke."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect to nothing yet."""
        self._endpoint = endpoint
        self._connection: http.client.HTTPConnection | None = None
        kind = "application/json" if endpoint.protocol == "http/json" else "application/x-protobuf"
        self._headers = {
            "user-agent": f"OTel-OTLP-Exporter-Observer/{__version__}", **endpoint.headers, "content-type": kind,
        }  # fmt: skip
        if endpoint.gzip:
            self._headers["content-encoding"] = "gzip"

    def send(self, body: bytes) -> Answer:
        """Send one request and return what became of it; a broken connection is an answer too."""
        payload = gzip.compress(body, compresslevel=1) if self._endpoint.gzip else body
        try:
            connection = self._connect()
            connection.request("POST", self._endpoint.path, payload, self._headers)
            response = connection.getresponse()
            text = response.read(_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            certificate = "CERTIFICATE_VERIFY_FAILED" in str(error) or "WRONG_VERSION_NUMBER" in str(error)
            return Answer(again=not certificate, why=f"{type(error).__name__}: {error}")
        if response.will_close:
            self.close()
        return self._judge(response, text)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            place, timeout = (self._endpoint.host, self._endpoint.port), self._endpoint.timeout_s
            if self._endpoint.tls is None:
                self._connection = http.client.HTTPConnection(*place, timeout=timeout)
            else:
                self._connection = http.client.HTTPSConnection(
                    *place, timeout=timeout, context=self._endpoint.tls
                )
        return self._connection

    def _judge(self, response: http.client.HTTPResponse, text: bytes) -> Answer:
        if 200 <= response.status < 300:
            rejected, why = self._rejected(text)
            return Answer(taken=True, rejected=rejected, why=why)
        words = f"HTTP {response.status} {response.reason}"
        if self._endpoint.protocol == "http/json" or response.getheader("content-type", "").startswith(
            "text/"
        ):
            words += f": {text.decode('utf-8', 'replace').strip()[:_SHOWN]}"
        return Answer(
            again=response.status in _AGAIN,
            too_large=response.status == _TOO_LARGE,
            after_s=_retry_after(response.getheader("retry-after")),
            why=words,
        )

    def _rejected(self, text: bytes) -> tuple[int, str]:
        if self._endpoint.protocol != "http/json":
            return _native.otlp_rejected(text)
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            partial = json.loads(text or b"{}").get("partialSuccess") or {}
            keys = ("rejectedSpans", "rejectedLogRecords", "rejectedDataPoints")
            return sum(int(partial.get(key) or 0) for key in keys), str(partial.get("errorMessage") or "")
        return 0, ""

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which has a number or a date (RFC 9110 §10.2.3)."""
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - clock.wall_ns() / 1e9)
    return None
