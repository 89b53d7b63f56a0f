# SPDX-License-Identifier: Apache-2.0
"""The actions of `observer snapshot`, by what they are for."""
