# SPDX-License-Identifier: Apache-2.0
"""The only door for new identifiers, so that a test can make them predictable."""

from __future__ import annotations

import uuid

__all__ = ["new_id"]


def new_id() -> uuid.UUID:
    """Return a new random UUID (version 4, RFC 9562)."""
    return uuid.uuid4()
