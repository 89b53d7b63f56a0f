# SPDX-License-Identifier: Apache-2.0
"""The merged report: the logs of host and guest as one timeline, each claim about them proven or its doubt stated.

`sides` finds and judges the files, `clocks` maps readings to one time with an error bar, `insights` weighs the original report's
four heuristics, `master` writes the report. The contract is `docs/spec/master-report.md`.
"""

from observer.timeline.master import MasterReport, ReportOptions, make_report
from observer.timeline.places import GUEST_LOG, HOST_LOG, chosen_logs

__all__ = ["GUEST_LOG", "HOST_LOG", "MasterReport", "ReportOptions", "chosen_logs", "make_report"]
