# SPDX-License-Identifier: Apache-2.0
"""What crosses between machines: bytes and sockets, no judgement."""

__all__: list[str] = []
