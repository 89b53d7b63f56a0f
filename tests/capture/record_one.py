# SPDX-License-Identifier: Apache-2.0
"""Records one command in a process of its own: `python record_one.py CONFIG.json`; prints the report."""

import sys
from pathlib import Path

from observer import _native

sys.stdout.write(_native.record_command(Path(sys.argv[1]).read_bytes(), None).decode())
