# SPDX-License-Identifier: Apache-2.0
"""Weighs what logs say into a verdict, or says honestly that they do not decide.

Rules are data (`rules/*.toml`, one family a file): signals say which line, said by whom, means what; verdicts say which signals
prove them, support them, speak against them, and which other verdicts are only their symptoms. The engine knows no family.
"""

from observer.report.diagnosis.engine import diagnose
from observer.report.diagnosis.outcome import Alternative, Diagnosis, Evidence, Incident, Step
from observer.report.diagnosis.rules import RuleBook, load_rules

__all__ = ["Alternative", "Diagnosis", "Evidence", "Incident", "RuleBook", "Step", "diagnose", "load_rules"]
