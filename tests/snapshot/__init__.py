# SPDX-License-Identifier: Apache-2.0
"""Snapshots of real processes, and their files."""
