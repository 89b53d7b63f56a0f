# SPDX-License-Identifier: Apache-2.0
"""Capture of real programs, compared with what independent tools see of them."""
