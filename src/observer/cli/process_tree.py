# SPDX-License-Identifier: Apache-2.0
"""Builds the tree of a recording's processes from its sealed lines, and draws it."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from observer.cli.times import show_span
from observer.model.safe_text import safe
from observer.trace import SealedLine

__all__ = ["ProcessNode", "build_tree", "draw_tree", "signal_name"]

_LONGEST: Final = 100  # characters of a command line in the tree
_DEEPEST: Final = 64  # levels drawn with their own indent; deeper ones share the last


@dataclass(slots=True)
class ProcessNode:
    """One process from its start to its end."""

    pid: int
    ppid: int
    record_id: str
    how: str = ""
    start_ns: int = 0
    end_ns: int | None = None
    exe: str = ""
    cwd: str = ""
    argv: list[str] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    execs: int = 0
    threads: int = 1
    exit_code: int | None = None
    signal: int | None = None
    children: list[ProcessNode] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the process as JSON values, without its children."""
        return {
            "id": self.record_id,
            "pid": self.pid,
            "ppid": self.ppid,
            "how": self.how,
            "exe": self.exe,
            "argv": self.argv,
            "cwd": self.cwd,
            **self.ids,
            "execs": self.execs,
            "threads": self.threads,
            "start_ns": self.start_ns,
            "duration_ns": None if self.end_ns is None else self.end_ns - self.start_ns,
            "exit_code": self.exit_code,
            "signal": None if self.signal is None else signal_name(self.signal),
        }


def signal_name(number: int) -> str:
    """Return a signal's name, or its number as text where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def build_tree(lines: Iterable[SealedLine]) -> tuple[list[ProcessNode], list[ProcessNode]]:
    """Return the roots of the tree, and all processes in order of their start."""
    living: dict[int, ProcessNode] = {}
    roots: list[ProcessNode] = []
    everyone: list[ProcessNode] = []
    for line in lines:
        event = line.event
        if event.get("type") != "process":
            continue
        pid, what = int(event.get("pid") or 0), event.get("what")
        node = living.get(pid)
        if what == "start" or node is None:
            node = ProcessNode(
                pid, int(event.get("ppid") or 0), line.record_id, start_ns=int(event.get("at_ns") or 0)
            )
            parent = living.get(node.ppid)
            _inherit(node, parent, event)
            (roots if parent is None else parent.children).append(node)
            everyone.append(node)
            living[pid] = node
        _update(node, event)
    return roots, everyone


def _inherit(node: ProcessNode, parent: ProcessNode | None, event: Mapping[str, Any]) -> None:
    node.how = str(event.get("how") or "")
    if parent is not None:
        node.exe, node.argv, node.cwd, node.ids = parent.exe, parent.argv, parent.cwd, dict(parent.ids)


def _update(node: ProcessNode, event: Mapping[str, Any]) -> None:
    match event.get("what"):
        case "exec":
            node.execs += 1
        case "thread_start":
            node.threads += 1
        case "exit":
            node.end_ns = int(event.get("at_ns") or 0)
            node.exit_code, node.signal = event.get("exit_code"), event.get("signal")
    node.exe, node.cwd = str(event.get("exe") or node.exe), str(event.get("cwd") or node.cwd)
    node.argv = [str(word) for word in event.get("argv") or node.argv]
    node.ids |= {key: int(event[key]) for key in ("uid", "gid", "euid", "egid") if event.get(key) is not None}


def draw_tree(roots: Iterable[ProcessNode]) -> Iterator[str]:
    """Yield the tree line by line; safe to print."""
    waiting = [(root, "", "", 0) for root in reversed(list(roots))]
    while waiting:
        node, branch, indent, depth = waiting.pop()
        yield f"{branch}{_describe(node)}"
        inner = indent if depth >= _DEEPEST else indent + ("" if depth == 0 else branch_space(branch))
        for place, child in enumerate(reversed(node.children)):
            waiting.append((child, f"{inner}{'└─ ' if place == 0 else '├─ '}", inner, depth + 1))


def branch_space(branch: str) -> str:
    """Return what stands below a branch: a bar where more siblings follow."""
    return "   " if branch.endswith("└─ ") else "│  "


def _describe(node: ProcessNode) -> str:
    command = safe(shlex.join(node.argv) or node.exe or "?")
    if len(command) > _LONGEST:
        command = f"{command[:_LONGEST]}…"
    facts = [_ended(node)]
    if node.end_ns is not None:
        facts.append(show_span(node.end_ns - node.start_ns))
    if node.threads > 1:
        facts.append(f"{node.threads} threads")
    if node.execs == 0 and node.how not in ("", "initial"):
        facts.append(f"by {node.how}, no exec")
    if node.ids.get("uid") != node.ids.get("euid"):
        facts.append(f"euid {node.ids.get('euid')}")
    return f"{node.pid} {command}  [{', '.join(facts)}]"


def _ended(node: ProcessNode) -> str:
    if node.signal is not None:
        return signal_name(node.signal)
    if node.exit_code is not None:
        return f"exit {node.exit_code}"
    return "no end recorded"
