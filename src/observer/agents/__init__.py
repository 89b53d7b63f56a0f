# SPDX-License-Identifier: Apache-2.0
"""Agents that watch a machine; the collectors feed sealed logs, the link speaks to the other side."""

__all__: list[str] = []
