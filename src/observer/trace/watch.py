# SPDX-License-Identifier: Apache-2.0
"""Turns calls and lines into sights: what the rules may ask about, with the traits that only the whole story tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from observer.trace.executions import Executions
from observer.trace.file_calls import FileCalls
from observer.trace.process_calls import ProcessCalls
from observer.trace.reading import SealedLine
from observer.trace.rules import Sight, Words
from observer.trace.sighting import CallSeen, clothe
from observer.trace.socket_calls import SocketCalls
from observer.trace.text import unquote
from observer.trace.world import Process, World

__all__ = ["CallSeen", "Watch"]

_CRASHES: Final = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV", 31: "SIGSYS"}
_LOW_TRUST: Final = 0.3  # the least that any default policy asks for
_SHOWN_CALL: Final = 120  # characters of a call in a sentence


class Watch:
    """Follows one trace and says what each thing in it amounts to."""

    def __init__(self, words: Words) -> None:
        """Begin before the first line."""
        self.world = World(words.programs)
        self._words = words
        threads: set[int] = set()
        self._threads = threads
        self._executions = Executions(self.world, words)
        self._handlers: dict[str, Callable[[CallSeen, Sight], Sequence[Sight]]] = {
            **FileCalls(self.world, words).handlers(),
            **SocketCalls(self.world, words).handlers(),
            **ProcessCalls(self.world, threads).handlers(),
            "execute": self._executions.attempted,
        }

    def opened(self) -> dict[int, int]:
        """Return how many files each process opened, for reading or for writing, whichever are more."""
        return {
            pid: max(process.files_read, process.files_written)
            for pid, process in self.world.processes.items()
        }

    # Lines -----------------------------------------------------------------------------------------------------------

    def see_line(self, line: SealedLine) -> Sight | None:
        """Take in a sealed line; return what it amounts to, or None when no rule could ask about it."""
        event = line.event
        kind = event.get("type")
        if kind == "process":
            return self._see_process(line)
        if kind == "event":
            sight = Sight("event", line.record_id)
            if event.get("severity") in ("error", "critical"):
                sight.traits.add("bad")
            sight.subjects["text"] = f"{event.get('event_type')} ({event.get('severity')})"
            return sight
        if kind == "loss":
            words = f"{event.get('count', '?')} {event.get('what', 'records')}: {event.get('reason', 'no reason given')}"
            return Sight("loss", line.record_id, subjects={"text": words})
        return None

    def _see_process(self, line: SealedLine) -> Sight | None:
        event, what = line.event, line.event.get("what")
        pid = int(event.get("pid") or 0)
        self._threads.add(int(event.get("tid") or pid))
        if what == "start":
            self.world.begin(event)
        elif what == "exec":
            return self._executions.happened(line, pid)
        elif what == "exit":
            return self._exit(line, pid)
        return None

    def _exit(self, line: SealedLine, pid: int) -> Sight | None:
        process, signal = self.world.process(pid), line.event.get("signal")
        operated = self._executions.operated_until_now(pid, line.record_id)
        self.world.end(pid)
        if signal not in _CRASHES:
            return operated
        text = f"{process.exe or pid} ({_CRASHES[signal]})"
        sight = Sight("exit", line.record_id, traits={"crash"}, subjects={"text": text})
        return clothe(sight, process)

    # Calls -----------------------------------------------------------------------------------------------------------

    def see_call(self, values: Mapping[str, Any]) -> Sequence[Sight]:
        """Take in a call; return what it amounts to."""
        arguments = values.get("args") or ()
        texts = tuple(str(item["text"]) if isinstance(item, Mapping) else str(item) for item in arguments)
        process = self.world.process(int(values.get("pid") or 0))
        call = CallSeen(values, process, texts, self._paths(process, arguments, texts))
        action = self._words.actions.get(call.name, "")
        sight = Sight("call", f"s{values['record']}", action, str(values.get("outcome")), values.get("errno"))
        sight.paths = call.paths
        clothe(sight, process)
        names = [str(item.get("name", "")) for item in arguments if isinstance(item, Mapping)]
        sight.arguments = dict(zip(names or map(str, range(len(texts))), texts, strict=False))
        sight.subjects.update(call=_shown(call), program=process.exe or process.program)
        if process.installer:
            sight.traits.add("by-installer")
        self._note_decision(values, sight)
        handler = self._handlers.get(action)
        return (sight,) if handler is None else handler(call, sight)

    def _paths(self, process: Process, arguments: Sequence[Any], texts: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for index, item in enumerate(arguments):
            if not isinstance(item, Mapping):
                if index == 0 and "/" in texts[0]:
                    found.append(self.world.resolve(process, texts[0]))
            elif item.get("class") == "path" and texts[index].startswith('"'):
                before = texts[index - 1] if index and not texts[index - 1].startswith('"') else None
                found.append(self.world.resolve(process, unquote(texts[index]), before))
        return tuple(found)

    @staticmethod
    def _note_decision(values: Mapping[str, Any], sight: Sight) -> None:
        if "allowed" not in values:
            return
        sight.traits.add("decided" if values["allowed"] else "forbidden")
        score, trust = values.get("trust_score"), (values.get("identity") or {}).get("trust")
        if score is not None and score < _LOW_TRUST:
            sight.traits.add("low-trust")
        if trust == "compromised":
            sight.traits.add("compromised")
        if values.get("violation_action") == "quarantine" or values.get("result") == "QUARANTINED":
            sight.traits.add("quarantined")


def _shown(call: CallSeen) -> str:
    errno = call.values.get("errno")
    text = f"{call.name}({', '.join(call.texts)})"
    if len(text) > _SHOWN_CALL:
        text = f"{text[:_SHOWN_CALL]}…)"
    return f"{text} = {errno}" if errno else text
