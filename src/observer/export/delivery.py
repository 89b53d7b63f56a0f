# SPDX-License-Identifier: Apache-2.0
"""Sends an export to receivers: one request at a time, tried again with growing pauses, and counted to the last record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from observer import _native, clock
from observer.errors import DeliveryError
from observer.export.content import SIGNALS, Content, batches, open_export
from observer.export.endpoint import Endpoint
from observer.export.over_grpc import GrpcCarrier
from observer.export.over_http import Answer, HttpCarrier
from observer.trace import Recording

__all__ = ["Delivery", "deliver"]

_RECORDS: Final = 8192  # signals in one request
_BYTES: Final = 2 << 20  # of one request, about; receivers over gRPC refuse more than 4 MiB by default
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 15.0


class Carrier(Protocol):
    """What moves requests to one endpoint."""

    def send(self, body: bytes) -> Answer:
        """Send one request."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(slots=True)
class Delivery:
    """How a delivery went.

    Attributes:
        sent: Signals accepted, by kind; rejected ones are not among them.
        rejected: Signals that receivers took the request of but not them, by kind.
        reasons: The receivers' words about those, first of each kind.
        requests: Requests made.
        retries: Of these, tries after the first.
        bytes: Bytes of the accepted requests before compression.
        redacted: Secrets taken out, by rule.
    """

    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0))
    rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0))
    reasons: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    redacted: dict[str, int] = field(default_factory=dict)


def deliver(
    recording: Recording,
    targets: Mapping[str, Endpoint],
    content: Content,
    *,
    retry_for_s: float = 60.0,
    most: int = _RECORDS,
    report: Callable[[Delivery], None] = lambda _: None,
) -> Delivery:
    """Send a recording as OTLP and return how it went.

    Args:
        recording: What to send.
        targets: Where each kind of signal goes.
        content: What of it.
        retry_for_s: How long one request is tried without an answer that takes it.
        most: Signals in one request.
        report: Called after each request.

    Raises:
        DeliveryError: A receiver cannot be reached or refuses for good. [OBS800]
        IntegrityError: The recording is not what was sealed. [OBS4xx]
    """
    exporters: dict[bool, _native.OtlpExporter] = {}
    sender = _Sender(retry_for_s, report)
    for signal in (name for name in SIGNALS if name in targets and name in content.signals):
        target = targets[signal]
        as_json = target.protocol == "http/json"
        if as_json not in exporters:
            exporters[as_json] = open_export(recording, content, as_json=as_json)
        exporter = exporters[as_json]
        carrier: Carrier = GrpcCarrier(target) if target.protocol == "grpc" else HttpCarrier(target)
        try:
            for batch in batches(exporter, (signal,), most, _BYTES):
                sender.send(batch, target, carrier, 0, len(batch))
        finally:
            carrier.close()
    for exporter in exporters.values():
        for rule, count in exporter.redacted().items():
            sender.delivery.redacted[rule] = sender.delivery.redacted.get(rule, 0) + count
    return sender.delivery


class _Sender:
    def __init__(self, retry_for_s: float, report: Callable[[Delivery], None]) -> None:
        self.delivery = Delivery()
        self._retry_for_s = retry_for_s
        self._report = report

    def send(
        self, batch: _native.OtlpBatch, target: Endpoint, carrier: Carrier, first: int, last: int
    ) -> None:
        """Send a part of a batch, in two halves when the receiver finds it too large."""
        body = batch.request(first, last)
        answer = self._try(body, carrier)
        if answer.too_large and last - first > 1:
            middle = (first + last) // 2
            self.send(batch, target, carrier, first, middle)
            self.send(batch, target, carrier, middle, last)
            return
        if not answer.taken:
            raise self._failure(target, answer)
        count = last - first
        rejected = min(max(answer.rejected, 0), count)
        self.delivery.sent[target.signal] += count - rejected
        self.delivery.rejected[target.signal] += rejected
        if rejected:
            self.delivery.reasons.setdefault(target.signal, answer.why)
        self.delivery.bytes += len(body)
        self._report(self.delivery)

    def _try(self, body: bytes, carrier: Carrier) -> Answer:
        until = clock.monotonic_ns() + round(self._retry_for_s * 1e9)
        pause_s = _FIRST_PAUSE_S
        while True:
            self.delivery.requests += 1
            answer = carrier.send(body)
            if not answer.again:
                return answer
            # Jitter, so that many exporters do not come back all at once.
            wait_s = answer.after_s if answer.after_s is not None else pause_s * random.uniform(0.75, 1.25)  # noqa: S311
            if clock.monotonic_ns() + round(wait_s * 1e9) > until:
                return answer
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self.delivery.retries += 1

    def _failure(self, target: Endpoint, answer: Answer) -> DeliveryError:
        sent = ", ".join(f"{count:,} {signal}" for signal, count in self.delivery.sent.items() if count)
        text = f"{target.shown} does not take the {target.signal}: {answer.why}"
        hint = "check the endpoint and its protocol, then export again: a record sent twice has the same log.record.uid"
        if answer.again:
            text += f" (tried for {self._retry_for_s:g} s)"
        return DeliveryError(
            f"{text}; accepted before that: {sent or 'nothing'}", hint=hint, where={**self.delivery.sent}
        )
