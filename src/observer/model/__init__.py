# SPDX-License-Identifier: Apache-2.0
"""Plain values that every room shares: identities, events, traces. No I/O, no clock, no policy."""

__all__: list[str] = []
