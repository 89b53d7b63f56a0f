# SPDX-License-Identifier: Apache-2.0
"""Reports: what happened to a machine, told from its logs with every claim cited.

`sources` turns files of many formats into lines with an origin, a time and a digest. `kernel` reads the reports a kernel
prints when it finds a fault. `diagnosis` weighs rules, kept as data, into a verdict or an abstention. `why` ties them together.

The room never writes to what it reads, never evaluates text found in a log, and holds a bounded amount of it in memory.
"""

__all__: list[str] = []
