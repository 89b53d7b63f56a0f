# SPDX-License-Identifier: Apache-2.0
"""What a plugin touched: files by name, with what was done to them, told once at the end of its recording."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final

from observer.plugins.options import Mount
from observer.plugins.recording import PluginRecorder
from observer.trace.reading import Recording

__all__ = ["touched"]

_MOST_FILES: Final = 256  # named one by one; the rest is counted
_WRITES: Final = {
    "path_create_directory": "made",
    "path_remove_directory": "removed",
    "path_unlink_file": "removed",
    "path_rename": "renamed",
    "path_link": "linked",
    "path_symlink": "linked",
    "path_filestat_set_times": "changed",
}
_ASKED: Final = [*_WRITES, "path_open", "path_filestat_get", "path_readlink"]
_CREATES, _TRUNCATES, _WRITE_RIGHT = 1, 8, 1 << 6


def touched(recorder: PluginRecorder, mounts: tuple[Mount, ...]) -> Iterator[Mapping[str, object]]:
    """Yield one fact sheet per file, in order of first touch.

    Args:
        recorder: The recording, still open; what is in it is sealed first.
        mounts: The folders, in the order of their descriptors from 3 on.
    """
    recorder.flush()
    places = {3 + index: mount.guest for index, mount in enumerate(mounts)}
    found: dict[str, dict[str, Any]] = {}
    left_out = 0
    for call in Recording(recorder.path).calls({"syscalls": _ASKED}):
        for path, action in _acts(call, places):
            if path not in found and len(found) == _MOST_FILES:
                left_out += 1
                continue
            sheet = found.setdefault(path, {"path": path, "calls": 0, "actions": [], "first": call["id"]})
            sheet["calls"] += 1
            if action not in sheet["actions"]:
                sheet["actions"].append(action)
    for sheet in found.values():
        yield {**sheet, "actions": ", ".join(sheet["actions"])}
    if left_out:
        yield {"path": f"and others, {left_out} calls"}


def _acts(call: Mapping[str, Any], places: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    arguments = {item["name"]: item["text"] for item in call["args"]}
    ok = call.get("outcome") == "ok"
    for name, folder in (("path", "fd"), ("old_path", "old_fd"), ("new_path", "new_fd")):
        if name not in arguments:
            continue
        folder = folder if folder in arguments else "fd"
        base = places.get(int(arguments.get(folder, -1)), f"[{arguments.get(folder)}]")
        path = posixpath.normpath(posixpath.join(base, arguments[name].strip('"')))
        yield (
            path,
            _action(call["syscall"], arguments) if ok else f"refused: {call.get('errno') or call['outcome']}",
        )


def _action(syscall: str, arguments: Mapping[str, str]) -> str:
    if syscall != "path_open":
        return _WRITES.get(syscall, "looked at")
    flags = int(arguments["oflags"], 16)
    writes = int(arguments["rights_base"], 16) & _WRITE_RIGHT
    return "created" if flags & _CREATES else "written" if writes or flags & _TRUNCATES else "read"
