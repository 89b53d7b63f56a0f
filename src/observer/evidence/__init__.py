# SPDX-License-Identifier: Apache-2.0
"""The sealed log: lines that cannot be changed, dropped or reordered without that being found and placed.

Events come in as the exact bytes of JSON objects and lie on disk as those bytes. This room does not interpret them, keeps no
index, and never writes to a log that does not verify. The format is `docs/spec/evidence-log.md`.
"""

from observer.evidence.keys import load_hmac_key
from observer.evidence.reading import LogLine, read_log
from observer.evidence.verifying import ChainProof, verify_log
from observer.evidence.writing import SealedLog, Severity

__all__ = ["ChainProof", "LogLine", "SealedLog", "Severity", "load_hmac_key", "read_log", "verify_log"]
