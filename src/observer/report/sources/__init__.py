# SPDX-License-Identifier: Apache-2.0
"""Readers that turn one log file, of whatever format, into a stream of `LogLine`.

What a line says is data; who said it decides what it may prove. Every reader therefore sets `LogLine.origin` from what the
transport guarantees (the kernel ring buffer's facility, journald's `_TRANSPORT`, a syslog tag), never from the text.
"""

from observer.report.sources.line import LogLine, Origin
from observer.report.sources.open import SourceKind, read_source

__all__ = ["LogLine", "Origin", "SourceKind", "read_source"]
