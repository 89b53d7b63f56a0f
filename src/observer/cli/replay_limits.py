# SPDX-License-Identifier: Apache-2.0
"""What a replay is kept away from and what it may use, on the command line."""

from __future__ import annotations

import argparse
import math

from observer.cli.sizes import parse_size
from observer.errors import UsageError
from observer.forensic.limits import NAMESPACES, namespaces_of
from observer.model.forensic import Breakpoint, IsolationLevel, ReplayEnvironment, ResourceLimits

__all__ = ["add_limit_options", "environment_of"]

_NONE = -1  # no limit but what was asked for


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of isolation and limits."""
    group = parser.add_argument_group(
        "isolation and limits of a recorded command's replay",
        "A replayed process can make no system call of its own, whatever the level: a filter in the kernel kills it.",
    )
    group.add_argument(
        "--isolation",
        default="full",
        metavar="LEVEL",
        help=f"namespaces it leaves on top: full, network, filesystem, or custom:NAME,… of {', '.join(NAMESPACES)} (full)",
    )
    group.add_argument("--memory", type=parse_size, metavar="SIZE", help="bytes it may use, as 256M")
    group.add_argument("--cpu-time", type=_seconds, metavar="S", help="seconds of CPU time")
    group.add_argument("--processes", type=_count, metavar="N", help="processes and threads at once")
    group.add_argument("--descriptors", type=_count, metavar="N", help="open files of a process")


def environment_of(args: argparse.Namespace, breakpoints: tuple[Breakpoint, ...] = ()) -> ReplayEnvironment:
    """Return the environment of a command line: no limits but those that it names.

    Raises:
        UsageError: The isolation level is unknown. [OBS100]
    """
    limits = ResourceLimits(
        max_memory=_NONE if args.memory is None else args.memory,
        max_cpu_time=_NONE if args.cpu_time is None else args.cpu_time,
        max_file_descriptors=_NONE if args.descriptors is None else args.descriptors,
        max_processes=_NONE if args.processes is None else args.processes,
        max_wall_time=args.timeout,
    )
    level = _level(args.isolation)
    return ReplayEnvironment(isolation_level=level, resource_limits=limits, breakpoints=breakpoints)


def _level(text: str) -> IsolationLevel:
    kind, separator, names = text.partition(":")
    if kind not in ("full", "network", "filesystem", "custom") or bool(separator) != (kind == "custom"):
        raise UsageError(
            f"unknown isolation level {text!r}", hint="full, network, filesystem, or custom:network,uts"
        )
    level = IsolationLevel(kind, tuple(name for name in names.split(",") if name))
    namespaces_of(level)
    return level


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)
