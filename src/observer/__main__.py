# SPDX-License-Identifier: Apache-2.0
"""Runs the command line as `python -m observer`."""

import sys

from observer.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
