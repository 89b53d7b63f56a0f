# SPDX-License-Identifier: Apache-2.0
"""How things are printed: data on stdout, talk on stderr, and text of strangers never obeyed by the terminal.

Everything a recorded program chose (paths, arguments, names) passes through `safe` before it reaches a
terminal or a pipe as text. JSON output is escaped by JSON itself.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from observer.errors import ObserverError
from observer.model.safe_text import safe

if TYPE_CHECKING:  # rich is imported where something is drawn: a verb that says one line does not wait for it
    from rich.console import Console

__all__ = ["print_error", "print_json", "safe", "stderr_console", "stdout_console", "talk"]

_WIDE: Final = 4096  # columns when stdout is no terminal: nothing is folded or cut


def stdout_console() -> Console:
    """Return a console for data: never wider than a terminal, never cut when it is none, without markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def stderr_console() -> Console:
    """Return a console for talk, without markup."""
    from rich.console import Console

    return Console(file=sys.stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def talk(line: str, *, style: str = "") -> None:
    """Print one line of talk on stderr; `line` must already be safe."""
    if not style:
        sys.stderr.write(line + "\n")
        return
    from rich.text import Text

    stderr_console().print(Text(line, style=style))


def print_json(schema: str, message_type: str, values: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout, with its schema and message type first."""
    document = {"schema": schema, "message_type": message_type, **values}
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")


def print_error(error: ObserverError, verbosity: int) -> None:
    """Print an error and its hint on stderr, and with `-vv` the trace that leads to it."""
    if verbosity >= 2:  # -vv
        sys.stderr.write("".join(traceback.format_exception(error)))
    from rich.text import Text

    console = stderr_console()
    head = Text.assemble("observer: ", (f"error[{error.code}]", "bold red"), ": ", safe(str(error)))
    console.print(head)
    if error.hint:
        console.print(Text.assemble(("hint", "bold"), ": ", safe(error.hint)))
    if verbosity >= 1:
        for key, value in error.where.items():
            console.print(Text(f"  {safe(key)}: {safe(str(value))}"))
