# SPDX-License-Identifier: Apache-2.0
"""Carries one request over gRPC and says what the answer means. The requests are encoded already; grpcio moves them."""

from __future__ import annotations

import importlib
import re
from typing import Any, Final

from observer import __version__, _native
from observer.errors import UsageError
from observer.export.endpoint import Endpoint
from observer.export.over_http import Answer

__all__ = ["GrpcCarrier"]

_METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
# Source: OTLP specification, "Failures" of OTLP/gRPC.
_AGAIN: Final = frozenset({
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
})  # fmt: skip
_DETAILS: Final = "grpc-status-details-bin"
_RETRY_INFO: Final = b"type.googleapis.com/google.rpc.RetryInfo"


class GrpcCarrier:
    """A channel to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Make the channel; it connects when it is used.

        Raises:
            UsageError: The extra `grpc` is not installed. [OBS100]
        """
        try:
            grpc: Any = importlib.import_module("grpc")  # it has no types of its own
        except ImportError as error:
            raise UsageError(
                "OTLP over gRPC needs the Python package grpcio",
                hint="pip install 'forgeone-observer[grpc]', or use --protocol http/protobuf",
            ) from error
        self._grpc = grpc
        self._endpoint = endpoint
        self._metadata = tuple(endpoint.headers.items())
        self._channel = self._open()
        self._call = self._channel.unary_unary(_METHODS[endpoint.signal])

    def _open(self) -> Any:
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        place = f"{host}:{self._endpoint.port}"
        options = [
            ("grpc.primary_user_agent", f"OTel-OTLP-Exporter-Observer/{__version__}"),
            ("grpc.enable_retries", 0),  # the delivery retries, and reports it
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        compression = (
            self._grpc.Compression.Gzip if self._endpoint.gzip else self._grpc.Compression.NoCompression
        )
        if self._endpoint.tls is None:
            return self._grpc.insecure_channel(place, options, compression)
        credentials = self._grpc.ssl_channel_credentials(*self._endpoint.credentials)
        return self._grpc.secure_channel(place, credentials, options, compression)

    def send(self, body: bytes) -> Answer:
        """Send one request and return what became of it."""
        try:
            answer = self._call(body, timeout=self._endpoint.timeout_s, metadata=self._metadata)
        except self._grpc.RpcError as error:
            return _judge(error)
        rejected, why = _native.otlp_rejected(answer)
        return Answer(taken=True, rejected=rejected, why=why)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _judge(error: Any) -> Answer:
    name, details = error.code().name, str(error.details() or "")
    after = _retry_delay(error)
    too_large = name == "RESOURCE_EXHAUSTED" and "larger than max" in details
    again = name in _AGAIN or (name == "RESOURCE_EXHAUSTED" and after is not None)
    return Answer(again=again, too_large=too_large, after_s=after, why=f"gRPC {name}: {details[:200]}")


def _retry_delay(error: Any) -> float | None:
    """Return the seconds of a `google.rpc.RetryInfo` in the status details, when there is one."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and _RETRY_INFO in value:
            # RetryInfo { Duration retry_delay = 1 }, Duration { int64 seconds = 1; int32 nanos = 2 }
            inside = value[value.index(_RETRY_INFO) + len(_RETRY_INFO) :]
            match = re.search(rb"\x08([\x00-\x7f])", inside)
            return float(match.group(1)[0]) if match else 0.0
    return None
