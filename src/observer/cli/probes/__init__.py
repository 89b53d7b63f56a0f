# SPDX-License-Identifier: Apache-2.0
"""What this kernel permits this user, found by trying it: each probe makes the real call and undoes it.

Probes create nothing that outlives them, need no privilege, and never ask a version number for an answer.
"""

from observer.cli.probes.findings import Capability, Finding, Probe, examine
from observer.cli.probes.table import PROBES

__all__ = ["PROBES", "Capability", "Finding", "Probe", "examine"]
