# SPDX-License-Identifier: Apache-2.0
"""Reads what a Linux kernel prints when it finds a fault, and names it: a title and a type.

The grammar is data: `formats/*.toml` says how each kind of report begins and where its culprit stands, `frames.toml` says which
functions only carry the fault. Titles and types use the words of the public labelled sets of kernel logs.
"""

from observer.report.kernel.collector import ReportCollector
from observer.report.kernel.report import KernelReport

__all__ = ["KernelReport", "ReportCollector"]
