# SPDX-License-Identifier: Apache-2.0
"""The verbs, one file each; a verb is a class whose docstring is its help."""

from __future__ import annotations

import argparse
from typing import ClassVar, Protocol

__all__ = ["Command"]


class Command(Protocol):
    """What every verb provides.

    The class's docstring is its help: the first line is the summary that `observer --help` shows, the rest is
    shown by `observer VERB --help` as written.
    """

    name: ClassVar[str]

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit status; errors are raised, never printed."""
        ...
