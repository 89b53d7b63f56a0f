# SPDX-License-Identifier: Apache-2.0
"""observer snapshot: memory and state of processes at one instant; taken, shown, proven, compared, handed on."""

from __future__ import annotations

import argparse
import inspect
from typing import ClassVar, Final, Protocol

from observer.cli.snapshots import capturing, comparing, handing_on, layering, looking, restoring

__all__ = ["SnapshotCommand"]


class _Action(Protocol):
    """What every action provides; its docstring is its help."""

    name: ClassVar[str]

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


# In the order in which a newcomer needs them.
_ACTIONS: Final[tuple[type[_Action], ...]] = (
    capturing.Create,
    looking.ListSnapshots,
    looking.ShowSnapshot,
    looking.VerifySnapshot,
    comparing.Diff,
    looking.Strings,
    handing_on.Core,
    restoring.Restore,
    layering.Files,
    handing_on.Export,
    handing_on.Import,
    capturing.Schedule,
    capturing.Prune,
)


class SnapshotCommand:
    """Take snapshots of memory and state, prove, show, compare and hand them on.

    A snapshot is the memory and the state of a process with all its descendants, or of a container, at one instant. The
    target stands for milliseconds; what was captured is checked page by page whenever it is read. Debuggers open what
    'observer snapshot core' writes.

    Examples:
      observer snapshot create --pid 4242
      observer snapshot create --container web --format compressed-encrypted
      observer snapshot show last
      observer snapshot verify last
      observer snapshot core last -o web.core && gdb -c web.core
      observer snapshot restore last -- gdb -p {}
      observer snapshot create --recording last --at 1.5s
      observer snapshot diff 8f0e 91c2
      observer snapshot schedule --pid 4242 --every 30s --keep 10
    """

    name: ClassVar[str] = "snapshot"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's actions."""
        actions = parser.add_subparsers(
            dest="action", metavar="ACTION", required=True, parser_class=type(parser)
        )
        for kind in _ACTIONS:
            text = inspect.cleandoc(kind.__doc__ or "")
            child = actions.add_parser(
                kind.name,
                help=text.splitlines()[0].rstrip("."),
                description=text,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            action = kind()
            action.prepare_parser(child)
            child.set_defaults(action_object=action)

    def run(self, args: argparse.Namespace) -> int:
        """Do what was asked and return the exit status."""
        action: _Action = args.action_object
        return action.run(args)
