# SPDX-License-Identifier: Apache-2.0
"""observer completion: the lines that teach a shell to complete this program."""

from __future__ import annotations

import argparse
import sys
from typing import ClassVar

from argcomplete.shell_integration import shellcode

__all__ = ["Completion"]


class Completion:
    """Print the script that makes a shell complete observer's verbs and options.

    Examples:
      eval "$(observer completion bash)"                        now, in this shell
      observer completion zsh  > ~/.zfunc/_observer             for good, where that directory is in fpath
      observer completion fish > ~/.config/fish/completions/observer.fish
    """

    name: ClassVar[str] = "completion"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell to write for")

    def run(self, args: argparse.Namespace) -> int:
        """Print the script."""
        script = shellcode(["observer"], shell=args.shell)
        sys.stdout.write(script.rstrip("\n") + "\n")
        return 0
