# SPDX-License-Identifier: Apache-2.0
"""What calls on sockets, pipes and terminals amount to: who is connected to whom, and which shell is operated through it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from observer.trace.rules import Sight, Words
from observer.trace.sighting import CallSeen, clothe
from observer.trace.text import parse_address, parse_number, unquote
from observer.trace.world import Descriptor, Process, World

__all__ = ["SocketCalls", "feeds", "relay_of"]

_PAIR: Final = re.compile(r"\[(\d+), (\d+)\]")
_TERMINAL: Final = re.compile(r"\[(\d+)\]")
# The first piece of what a message says.
_FIRST_PIECE: Final = re.compile(r'iov_base=("(?:[^"\\\\]|\\\\.)*")')
_INTERNET: Final = ("AF_INET", "AF_INET6", "PF_INET", "PF_INET6")


class SocketCalls:
    """Handlers of calls that make, join and duplicate descriptors without a path."""

    def __init__(self, world: World, words: Words) -> None:
        """Take the world that the calls happen in."""
        self._world = world
        self._programs = words.programs

    def handlers(self) -> dict[str, Callable[[CallSeen, Sight], Sequence[Sight]]]:
        """Return the handler of each action."""
        return {
            "socket": self._socket,
            "connect": self._connect,
            "bind": self._connect,
            "accept": self._accept,
            "duplicate": self._duplicate,
            "pair": self._pair,
            "terminal": self._terminal,
            "send": self._send,
        }

    def _socket(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if "SOCK_RAW" in call.text(1) and call.text(0) in (*_INTERNET, "AF_PACKET"):
            sight.traits.add("raw")
        if call.ok and call.text(0) in _INTERNET:
            kind = "stream" if "SOCK_STREAM" in call.text(1) else "datagram"
            held = Descriptor(socket=kind, cloexec="SOCK_CLOEXEC" in call.text(1))
            self._world.keep(call.process, call.values.get("result"), held)
        return (sight,)

    def _connect(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        address = next(filter(None, map(parse_address, call.texts)), None)
        if address is None:
            return (sight,)
        if call.values.get("errno") == "EINPROGRESS":
            sight.outcome = "ok"
        sight.subjects["address"] = address.text
        sight.arguments = {**sight.arguments, "address": address.text, "port": str(address.port or "")}
        sight.paths = (self._world.resolve(call.process, address.path),) if address.path else ()
        number = parse_number(call.text(0))
        socket = call.process.files.get(-1 if number is None else number, Descriptor())
        stream = socket.socket == "stream" or number is None
        outside = address.scope == "external" or (address.scope == "any" and sight.action == "bind")
        sight.traits.add("external" if outside else "loopback" if address.scope != "unix" else "unix")
        sight.traits.update({"stream"} if stream else ())
        if sight.action == "connect" and address.scope != "unix" and self._feeds_archive(call.process):
            sight.traits.add("archive-flows-in")
        if sight.action == "connect" and sight.outcome == "ok" and address.scope != "unix":
            self._world.keep(call.process, number, replace(socket, remote=stream))
            if stream:
                self._world.join_network(call.process)
                self._world.fills_from_network(call.process)
                return (sight, *self._relayed(call.process, sight))
        return (sight,)

    def _accept(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        listener = call.descriptor(0)
        if call.ok and listener.socket:
            held = replace(listener, remote=True, cloexec="SOCK_CLOEXEC" in call.text(3))
            self._world.keep(call.process, call.values.get("result"), held)
            call.process.accepted = True
            self._world.join_network(call.process)
            return (sight, *self._relayed(call.process, sight))
        return (sight,)

    def _relayed(self, process: Process, sight: Sight) -> Iterator[Sight]:
        """Yield a sight for each living shell that this newly connected process operates."""
        if process.pid not in self._world.networked:
            return
        for shell in list(self._world.shells.values()):
            if relay_of(shell, [process], self._world.processes.values()) is not None:
                found = Sight("exec", sight.record_id, traits={"shell", "interactive", "relayed"})
                found.subjects.update(program=shell.exe, path=shell.exe)
                yield clothe(found, shell)
        for reader, number in list(self._world.readers.values()):
            if feeds(process, reader, number):
                found = Sight("exec", sight.record_id, traits={"script-from-network"})
                found.subjects.update(program=reader.exe, path=reader.exe)
                yield clothe(found, reader)

    def _feeds_archive(self, process: Process) -> bool:
        """Whether the standard input of a process is a pipe that a program packing archives writes into."""
        return process.files.get(0, Descriptor()).channel in self._world.packed

    def _duplicate(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        held, new = call.descriptor(0), call.values.get("result")
        if not call.ok or (call.name == "fcntl" and "F_DUPFD" not in call.text(1)):
            if call.ok and call.text(1) == "F_SETFD":
                self._world.keep(
                    call.process, parse_number(call.text(0)), replace(held, cloexec="CLOEXEC" in call.text(2))
                )
            return (sight,)
        self._world.keep(call.process, new, replace(held, cloexec="CLOEXEC" in "".join(call.texts[1:])))
        files = call.process.files
        shell = call.process.names & self._programs["shells"]
        ends = [files.get(number, Descriptor()).remote for number in (0, 1, 2)]
        if shell and held.remote and ends[0] and (ends[1] or ends[2]):
            sight.traits.update({"shell", "input-from-socket"})
            return (sight, replace(sight, kind="exec", subjects={**sight.subjects}))
        return (sight,)

    def _pair(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        match = next(filter(None, map(_PAIR.search, call.texts)), None)
        if call.ok and match:
            channel = self._world.new_channel(call.name)
            cloexec = any("CLOEXEC" in text for text in call.texts)
            for number in match.groups():
                self._world.keep(call.process, int(number), Descriptor(channel=channel, cloexec=cloexec))
        return (sight,)

    def _send(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        held = call.descriptor(0)
        whole = call.name == "sendmsg"
        named = call.text(1).partition(", msg_iov")[0] if whole else call.text(4)
        if (address := parse_address(named)) is not None:
            sight.subjects["address"] = address.text
            sight.traits.update({"external"} if address.scope == "external" else ())
            sight.traits.update({"stream"} if held.socket == "stream" else ())
        if held.socket or held.remote:
            sight.traits.add("to-network")
        first = _FIRST_PIECE.search(call.text(1)) if whole else None
        said = first.group(1) if first else call.text(1)
        sight.arguments = {**sight.arguments, "text": unquote(said)}
        return (sight,)

    def _terminal(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        master = parse_number(call.text(0))
        if not call.ok or master is None:
            return (sight,)
        if call.text(1) == "TIOCGPTN" and (match := _TERMINAL.search(call.text(2))):
            held = call.descriptor(0)
            self._world.keep(call.process, master, replace(held, channel=f"pty:{match.group(1)}"))
        elif call.text(1) == "FIOCLEX":
            self._world.keep(call.process, master, replace(call.descriptor(0), cloexec=True))
        elif call.text(1) == "TIOCGPTPEER":
            self._world.keep(
                call.process, call.values.get("result"), Descriptor(channel=call.descriptor(0).channel)
            )
        return (sight,)


def relay_of(shell: Process, connected: Sequence[Process], between: Iterable[Process] = ()) -> Process | None:
    """Return the connected process that holds the other ends of a shell's input and output, if one does.

    Args:
        shell: Whose input and output.
        connected: Those that may hold the ends.
        between: Processes that may pass on what they read, as `cat` does in a pipeline.
    """
    inward, outward = _ends(shell, (0,)), _ends(shell, (1, 2))
    if not inward or not outward:
        return None
    for process in between:
        if process.alive and process.pid != shell.pid:
            source, target = _ends(process, process.files.keys() - {1, 2}), _ends(process, (1, 2))
            inward = inward | source if target & inward else inward
            outward = outward | target if source & outward else outward
    for process in connected:
        held = _ends(process, process.files) if process.pid != shell.pid else set()
        if inward & held and outward & held:
            return process
    return None


def feeds(process: Process, reader: Process, number: int) -> bool:
    """Whether a process holds the other end of what one of a reader's descriptors leads to."""
    return process.pid != reader.pid and bool(_ends(reader, (number,)) & _ends(process, process.files))


def _ends(process: Process, numbers: Iterable[int]) -> set[str]:
    """Return what descriptors lead to, by a name that both ends share: channels, and the paths of named pipes."""
    found = set()
    for number in numbers:
        held = process.files.get(number, Descriptor())
        name = held.channel or held.path
        if name and not name.startswith("/dev/"):
            found.add(name)
    return found
