# SPDX-License-Identifier: Apache-2.0
"""Observer: records what programs do, proves the record, and explains it."""

__version__ = "0.1.0"
