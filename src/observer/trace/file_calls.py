# SPDX-License-Identifier: Apache-2.0
"""What calls on files amount to: who reads, writes, moves, removes and disguises what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from observer.trace.rules import Sight, Words
from observer.trace.sighting import CallSeen
from observer.trace.text import parse_number, unquote
from observer.trace.world import Descriptor, Process, World, Written

__all__ = ["FileCalls"]

_PROC: Final = re.compile(r"/proc/(\d+)/")
_LIBRARY: Final = re.compile(r"/[^/]*\.so(?:\.[0-9.]+)?$")
# Read by every program before its own work; they say nothing of what it looks for.
_DULL: Final = re.compile(
    r"^/(?:proc|sys|dev|lib\w*|usr/(?:lib|share|include)\w*)/|^/etc/(?:ld\.so|locale|localtime|nsswitch|passwd|group)"
    r"|\.(?:so[.\d]*|pyc?|pyi|[cm]?js|jar|rb|p[lm]|h|class|mo|cnf|cfg|ini)$|/node_modules/"
)
_RECENT: Final = 8  # files read last that a new file may be made of
_LIBRARIES: Final = ("/lib", "/usr/", "/opt/", "/nix/", "/gnu/", "/snap/")
_SYSTEM: Final = (
    "/proc/",
    "/sys/",
    "/dev/",
    "/usr/",
    "/lib",
    "/etc/",
    "/bin/",
    "/sbin/",
    "/run/",
    "/opt/",
    "/nix/",
)
# Endings that a file gets when it is set aside, not when it is taken away.
_SET_ASIDE: Final = re.compile(
    r"[._~-](?:bak|old|orig|tmp|temp|new|save|saved|dpkg-\w+|rpm\w+|\d+|part|lock|swp|rej|log)~?$"
)


# Flags of an open that does not write over what is there: appended to, made new, or only touched.
_ADDS: Final = ("O_APPEND", "O_EXCL", "O_TMPFILE", "O_NONBLOCK", "O_PATH")
_OWN_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/(?:self|thread-self|(\d+)))/fd/(\d+)")


class FileCalls:
    """Handlers of calls that name files."""

    def __init__(self, world: World, words: Words) -> None:
        """Take the world that the calls happen in."""
        self._world = world
        self._programs = words.programs

    def handlers(self) -> dict[str, Callable[[CallSeen, Sight], Sequence[Sight]]]:
        """Return the handler of each action."""
        return {
            "open": self._open,
            "unlink": self._unlink,
            "rename": self._rename,
            "link": self._link,
            "truncate": self._truncate,
            "chmod": self._chmod,
            "times": self._times,
            "enter_directory": self._enter_directory,
            "make_node": self._make,
            "memory_file": self._memory_file,
            "map": self._map,
        }

    def _set(self, name: str) -> frozenset[str]:
        return self._programs.get(name, frozenset())

    @staticmethod
    def _writer(process: Process, sight: Sight) -> Written:
        installer = process.installer or process.fetches
        source = process.files.get(0, Descriptor()).channel
        return Written(process.program, process.networked, sight.record_id, process.life, installer, source)

    def _wrote(self, call: CallSeen, sight: Sight, path: str) -> None:
        process = call.process
        by = self._writer(process, sight)
        opened = call.name in ("open", "openat", "openat2")
        existed = opened and not any("O_CREAT" in text for text in call.texts)
        self._world.note_written(path, by, existed=existed or path in process.recent)
        process.files_written += 1
        kin = next((read for read in process.recent if path.startswith(read)), process.last_read)
        if kin:
            self._world.note_derived(kin, path, process.program)

    def _open(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        reads, writes, truncates = access(call)
        process = call.process
        named = (("reads", reads), ("writes", writes), ("removes", truncates))
        sight.traits.update(name for name, on in named if on)
        sight.paths += tuple(self._world.links[path] for path in call.paths if path in self._world.links)
        for path in call.paths:
            self._note_owner(process, path, sight)
            if not call.ok:
                continue
            if process.root and path.startswith(f"{process.root}/"):
                path = path[len(process.root) :]
            path = self._behind(process, path)
            self._note_library(process, path, sight)
            channel = f"pty:{path[9:]}" if path.startswith("/dev/pts/") else ""
            held = Descriptor(path, channel=channel, cloexec=any("O_CLOEXEC" in text for text in call.texts))
            self._world.keep(process, call.values.get("result"), held)
            if writes and not path.startswith(("/dev/", "/proc/")):
                words = " ".join(call.texts[1:])
                if (
                    not truncates
                    and not any(flag in words for flag in _ADDS)
                    and self.is_foreign(process, path)
                ):
                    sight.traits.update({"in-place", "foreign"})
                if self.is_foreign(process, path) and (reads or process.last_read == path):
                    process.rewritten.add(path)
                self._wrote(call, sight, path)
            if reads:
                process.files_read += not _DULL.search(path)
                if not path.startswith(_SYSTEM):
                    process.last_read = path
                    process.recent = (path, *process.recent[: _RECENT - 1])
                if (by := self._world.written.get(path)) is not None and by.program in self._set("archivers"):
                    sight.traits.add("archive-made-here")
        return (sight,)

    @staticmethod
    def _behind(process: Process, path: str) -> str:
        """Return what a path that names one of the process's own descriptors leads to."""
        match = _OWN_DESCRIPTOR.fullmatch(path)
        if match is None or match.group(1) not in (None, str(process.pid)):
            return path
        return process.files.get(int(match.group(2)), Descriptor()).path or path

    def _note_owner(self, process: Process, path: str, sight: Sight) -> None:
        match = _PROC.match(path)
        if match and int(match.group(1)) != process.pid:
            sight.traits.add("other-process")
            other = self._world.processes.get(int(match.group(1)))
            if other is None or int(match.group(1)) == 1:
                sight.traits.add("outside-tree")

    @staticmethod
    def _note_library(process: Process, path: str, sight: Sight) -> None:
        """Find a library that was put before all others: it is opened before the C library is. Source: ld.so(8)."""
        if (
            process.loaded
            or not path.startswith("/")
            or not process.exe.startswith(("/usr/", "/bin/", "/sbin/"))
        ):
            return
        if path.endswith("/ld.so.cache") or "/libc.so" in path or "/libc-" in path or "/ld-musl" in path:
            process.loaded = True
        elif _LIBRARY.search(path) and not path.startswith(_LIBRARIES):
            sight.traits.add("preloaded")

    def is_foreign(self, process: Process, path: str) -> bool:
        """Whether a file was there before, or was put there by somebody who writes files for their content."""
        by = self._world.origins.get(path)
        if by is None:
            return True
        return by.life != process.life and by.program in self._set("writers")

    def _unlink(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        sight.traits.add("removes")
        if call.process.exe and call.process.exe in call.paths:
            sight.traits.add("own-executable")
            if call.ok:
                self._world.note_gone(call.process.exe)
        if call.ok and call.name != "rmdir" and not any("AT_REMOVEDIR" in text for text in call.texts):
            first = tuple(self._world.moved.get(path, path) for path in call.paths)
            for path in first:
                self._note_gone(call.process, path, sight)
            sight.paths = tuple(dict.fromkeys((*first, *call.paths)))
        return (sight,)

    def _note_gone(self, process: Process, path: str, sight: Sight) -> None:
        """Tell whether a file that others wrote is gone, and whether something made of it is left."""
        if not self.is_foreign(process, path):
            return
        sight.traits.add("foreign")
        made, program = self._world.derived.get(path, ("", ""))
        if not made or program in self._set("compressors") | self._set("compilers") | self._set("archivers"):
            return
        sight.traits.add("replaced")
        if made.startswith(path) and made[len(path) : len(path) + 1] in (".", "_", "-"):
            sight.traits.add("replaced-by-kin")

    def _two_paths(self, call: CallSeen, sight: Sight, *, moves: bool) -> Sequence[Sight]:
        if len(call.paths) != 2:
            return (sight,)
        old, new = call.paths
        away = set()
        if call.ok:
            by = self._world.written.get(old)
            if moves:
                away = self._moved(call.process, old, new)
            self._world.written.pop(old if moves else "", None)
            if by is not None:
                self._world.note_written(new, by)
        gone = replace(sight, paths=(old,), traits=sight.traits | away | ({"removes"} if moves else set()))
        came = (
            sight.traits | {"writes"} | ({"replaces"} if moves or call.name.startswith("symlink") else set())
        )
        return (gone, replace(sight, paths=(new,), traits=came))

    def _moved(self, process: Process, old: str, new: str) -> set[str]:
        traits = set()
        grown = new.startswith(old) and new[len(old) : len(old) + 1] in (".", "_", "-")
        by = self._world.written.get(old)
        first = self._world.origins.get(old)
        rewritten = by is not None and (first is None or first.life != by.life)
        if (
            grown
            and by is not None
            and rewritten
            and not _SET_ASIDE.search(new)
            and by.program not in self._set("compilers")
        ):
            traits.add("rewritten-and-renamed")
        if self.is_foreign(process, old):
            traits.add("foreign")
        self._world.note_moved(old, new)
        return traits

    def _rename(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        return self._two_paths(call, sight, moves=True)

    def _link(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok and len(call.paths) == 2:
            self._world.note_link(*call.paths)
            if call.name.startswith("symlink"):
                self._world.note_made(call.paths[1], self._writer(call.process, sight))
        return self._two_paths(call, sight, moves=False)

    def _truncate(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.text(1) == "0":
            sight.traits.add("removes")
        if not sight.paths and call.text(0).isdigit():
            path = call.descriptor(0).path
            sight.paths = (path,) if path else ()
        if sight.paths and self.is_foreign(call.process, sight.paths[0]):
            sight.traits.add("foreign")
        return (sight,)

    def _chmod(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        path = call.paths[0] if call.paths else call.descriptor(0).path
        sight.traits.update({"written-here"} if path in self._world.written else ())
        return (sight,)

    def _times(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if not sight.paths and (path := call.descriptor(0).path):
            sight.paths = (path,)
        if any("tv_sec=" in text or "actime=" in text or "modtime=" in text for text in call.texts):
            sight.traits.add("explicit-time")
        by = next(filter(None, map(self._world.written.get, sight.paths)), None)
        if (
            by is not None
            and by.life == call.process.life
            and call.process.program not in ("touch", "busybox")
        ):
            sight.traits.add("own-file")
        return (sight,)

    def _enter_directory(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        number = parse_number(call.text(0))
        held = call.process.files.get(-1 if number is None else number, Descriptor()).path
        place = call.paths[0] if call.paths else held
        sight.paths = (place,) if place else ()
        if place:
            self._note_owner(call.process, f"{place}/", sight)
        if call.ok:
            call.process.cwd = place or call.process.cwd
        return (sight,)

    def _memory_file(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok:
            held = Descriptor(f"memfd:{unquote(call.text(0))}", cloexec="CLOEXEC" in call.text(1))
            self._world.keep(call.process, call.values.get("result"), held)
        return (sight,)

    def _map(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        path = call.descriptor(4).path
        sight.paths = (path,) if path else ()
        sight.traits.update({"executable"} if "PROT_EXEC" in call.text(2) else ())
        sight.traits.update({"fileless"} if path.startswith("memfd:") else ())
        if (by := self._world.written.get(path)) is not None:
            sight.traits.add("written-here")
            sight.traits.update({"downloaded"} if self._world.is_from_outside(by) else ())
            sight.traits.update({"installed"} if by.installer else ())
        return (sight,)

    def _make(self, call: CallSeen, sight: Sight) -> Sequence[Sight]:
        if call.ok:
            for path in call.paths:
                self._wrote(call, sight, path)
        return (sight,)


def access(call: CallSeen) -> tuple[bool, bool, bool]:
    """Return whether an open reads, writes, and empties the file."""
    words = " ".join(call.texts[1:])
    if "O_" in words or call.name in ("creat", "open", "openat", "openat2"):
        writes = "O_WRONLY" in words or "O_RDWR" in words or call.name == "creat"
        reads = not (
            "O_WRONLY" in words or "O_PATH" in words or "O_DIRECTORY" in words or call.name == "creat"
        )
        return reads, writes, writes and ("O_TRUNC" in words or call.name == "creat")
    mode = call.text(1).strip().lower()
    writes = "write" in call.name or any(letter in mode for letter in "wax+")
    reads = "write" not in call.name and (not writes or "r" in mode or "+" in mode)
    return reads, writes, mode.startswith("w")
