# SPDX-License-Identifier: Apache-2.0
"""Carries recordings to other programs: OTLP over HTTP and gRPC, OTLP/JSON lines, JSON lines.

The contract is docs/spec/export.md. Bytes are encoded by the native core; this room decides what is exported, writes files
that are whole or not there, and speaks to receivers. It reads sealed recordings and never changes one.
"""

from observer.export.content import CALLS, SIGNALS, Content, open_export
from observer.export.delivery import Delivery, deliver
from observer.export.endpoint import PROTOCOLS, Endpoint, endpoints
from observer.export.files import FORMATS, Written, write_file

__all__ = [
    "CALLS",
    "Content",
    "Delivery",
    "Endpoint",
    "FORMATS",
    "PROTOCOLS",
    "SIGNALS",
    "Written",
    "deliver",
    "endpoints",
    "open_export",
    "write_file",
]
