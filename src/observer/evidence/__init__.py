# SPDX-License-Identifier: Apache-2.0
"""The sealed log: lines that cannot be changed, dropped or reordered without that being found and placed.

Events come in as the exact bytes of JSON objects and lie on disk as those bytes. This room does not interpret them, keeps no
index, and never writes to a log that does not verify. The format is `docs/spec/evidence-log.md`.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from observer.evidence.keys import load_hmac_key
from observer.evidence.reading import LogLine, read_log
from observer.evidence.verifying import ChainProof, verify_log
from observer.evidence.writing import LogOptions, SealedLog, Severity

if TYPE_CHECKING:
    from observer.evidence.auditing import Audit, Finding, audit_logs, load_policy
    from observer.evidence.merging import LogFile, log_files, plain_files, survey_side, write_merged
    from observer.evidence.proving import RecordProof, check_proof, prove_consistency, prove_record
    from observer.evidence.witness import Witness

# What is imported when it is asked for: who only writes a log must not wait for what reads them.
_LATER: Final = {
    "auditing": ("Audit", "Finding", "audit_logs", "load_policy"),
    "merging": ("LogFile", "log_files", "plain_files", "survey_side", "write_merged"),
    "proving": ("RecordProof", "check_proof", "prove_consistency", "prove_record"),
    "witness": ("Witness",),
}

__all__ = [
    "Audit",
    "ChainProof",
    "Finding",
    "LogFile",
    "LogLine",
    "LogOptions",
    "RecordProof",
    "SealedLog",
    "Severity",
    "Witness",
    "audit_logs",
    "check_proof",
    "load_hmac_key",
    "load_policy",
    "log_files",
    "plain_files",
    "prove_consistency",
    "prove_record",
    "read_log",
    "survey_side",
    "verify_log",
    "write_merged",
]


def __getattr__(name: str) -> Any:
    """Import the module of a name of `_LATER`."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
