# SPDX-License-Identifier: Apache-2.0
"""Tests that load the eBPF probe into the running kernel."""
