# SPDX-License-Identifier: Apache-2.0
"""Measurements: every figure is a ratio against a named peer, taken in the same run on the same machine."""
