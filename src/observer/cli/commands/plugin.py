# SPDX-License-Identifier: Apache-2.0
"""observer plugin: runs WASI plugins so that their recordings replay exactly."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

from observer.cli import exit_codes
from observer.cli.printing import print_json, safe, talk
from observer.errors import CapabilityError, FormatError, NotFoundError, ObserverError, UsageError
from observer.plugins import Mount, PluginLimits, PluginOptions, PluginOutcome, RecordingPlace
from observer.plugins import Plugin as Host

__all__ = ["Plugin"]

_GRACE_S: Final = 2.0  # a call into the host that does not come back this long after the limit is given up
_UNITS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SCHEMA: Final = "observer.plugin/1"


class Plugin:
    """Run a WASI plugin and record everything that goes between it and its host.

    The plugin is a WebAssembly module for WASI preview 1, a command (_start) or a reactor (_initialize, init, start, stop,
    unload). It sees no files, no variables and no network but what is given here, and its limits are enforced: a limit or
    a trap ends it with a word of what happened. The recording holds the plugin itself and every byte it was handed, so
    'observer replay' runs it again with no host at all.

    Exit status: the plugin's own; 134 after a trap, 124 at a limit, 15 when the module cannot be run.

    Examples:
      observer plugin run hello.wasm
      observer plugin run --dir ./data::/data sqlite3.wasm -- /data/app.db 'select 1'
      observer plugin run --dir ./data::/data::ro --env LANG=C --timeout 5 --memory 64M job.wasm
      observer plugin run --fuel 100000000 --deny path_open untrusted.wasm
    """

    name: ClassVar[str] = "plugin"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.usage = "observer plugin run [--dir HOST::GUEST] [--env NAME=VALUE] [LIMITS] PLUGIN.wasm [-- ARGUMENT ...]"
        parser.add_argument("action", choices=("run",), metavar="run", help="what to do")
        parser.add_argument("module", metavar="PLUGIN.wasm", type=Path, help="the module")
        parser.add_argument(
            "arguments", nargs="*", metavar="ARGUMENT", help="the plugin's arguments, after --"
        )
        parser.add_argument(
            "--dir",
            action="append",
            default=[],
            metavar="HOST::GUEST",
            help="let it see a folder; add ::ro to let it only read",
        )
        parser.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="give it a variable; NAME alone copies yours",
        )
        _add_limits(parser)
        _add_recording(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Run the plugin and return its exit status."""
        code = _read(args.module)
        plugin = Host(
            args.name or args.module.name,
            _options(args),
            RecordingPlace(path=args.output, plugin_id=args.plugin_id, container_id=args.container),
        )
        outcome = _attended(plugin, code, args.timeout)
        if args.json:
            told = {
                "trace_id": str(plugin.trace_id),
                "plugin_id": str(plugin.plugin_id),
                "path": str(plugin.path),
            }
            sys.stdout.flush()
            print_json(_SCHEMA, "outcome", told | outcome.to_dict() | {"exit_status": outcome.exit_status})
        if outcome.kind == "refused":
            raise FormatError(outcome.message, where={"recording": str(plugin.path)})
        if not args.quiet and not args.json:
            name = safe(str(args.output)) if args.output is not None else str(plugin.trace_id)[:8]
            end = f"; {safe(outcome.message)}" if outcome.message else ""
            talk(
                f"observer: plugin {outcome.kind}{end}; see 'observer show {name}', replay with 'observer replay {name}'"
            )
        return outcome.exit_status


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fuel", type=int, metavar="N", help="instructions it may execute, roughly (default no limit)"
    )
    parser.add_argument(
        "--memory",
        type=_bytes,
        default=128 << 20,
        metavar="BYTES",
        help="memory it may use; K, M, G (default 128M)",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds each call into it may take (default no limit)"
    )
    parser.add_argument(
        "--files", type=int, default=64, metavar="N", help="descriptors it may have open (default 64)"
    )
    parser.add_argument(
        "--deny", action="append", default=[], metavar="FUNCTION", help="refuse a function always"
    )


def _add_recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name", metavar="NAME", help="its name and first argument (default the file's name)"
    )
    parser.add_argument(
        "--plugin-id", type=UUID, metavar="UUID", help="its id on every record (default a new one)"
    )
    parser.add_argument("--container", type=UUID, metavar="UUID", help="the container it belongs to")
    parser.add_argument(
        "-o", "--output", metavar="PATH", type=Path, help="directory to make for the recording"
    )
    parser.add_argument(
        "--json", action="store_true", help="end with the outcome as one JSON object on stdout"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing at the end")


def _attended(plugin: Host, code: bytes, timeout_s: float | None) -> PluginOutcome:
    """Run the plugin in a thread of its own, so that Ctrl-C and a stuck host call still seal the recording."""
    found: list[PluginOutcome | BaseException] = []
    ran = threading.Event()

    def work() -> None:
        try:
            outcome = plugin.load(code)
            ran.set()
            outcome = plugin.run() if outcome.ok else outcome
            plugin.close(outcome)
            found.append(outcome)
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            found.append(error)
        finally:
            ran.set()

    thread = threading.Thread(target=work, daemon=True, name="plugin")
    thread.start()
    try:
        ran.wait()
        thread.join(None if timeout_s is None else 4 * timeout_s + _GRACE_S)  # a reactor has up to four calls
    except KeyboardInterrupt:
        _give_up(
            plugin,
            PluginOutcome("trapped", "interrupted", "interrupted from the keyboard"),
            exit_codes.INTERRUPTED,
        )
    if thread.is_alive():
        _give_up(plugin, PluginOutcome("limit", "time", f"stuck in its host after {timeout_s} s"), 124)
    if isinstance(found[0], BaseException):
        if not isinstance(found[0], ObserverError):
            plugin.abandon(PluginOutcome("trapped", "host", f"{type(found[0]).__name__}: {found[0]}"))
        raise found[0]
    return found[0]


def _give_up(plugin: Host, outcome: PluginOutcome, status: int) -> None:
    plugin.abandon(outcome)
    talk(f"observer: plugin {outcome.kind}; {outcome.message}; recorded to {safe(str(plugin.path))}")
    os._exit(status)  # the thread that is stuck in the host cannot be ended in any other way


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no plugin at {path}", hint="give the path of a .wasm file", where={"path": str(path)}
        ) from error
    except OSError as error:
        raise CapabilityError(f"cannot read {path}: {error.strerror}", where={"path": str(path)}) from error


def _options(args: argparse.Namespace) -> PluginOptions:
    mounts = tuple(Mount.parse(text) for text in args.dir)
    for mount in mounts:
        if not Path(mount.host).is_dir():
            raise NotFoundError(
                f"no folder at {mount.host}", hint="--dir takes HOST::GUEST", where={"path": mount.host}
            )
    words = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
    return PluginOptions(
        arguments=tuple(words),
        environment=dict(_variable(text) for text in args.env),
        mounts=mounts,
        limits=PluginLimits(
            memory_bytes=args.memory, fuel=args.fuel, timeout_s=args.timeout, open_files=args.files
        ),
        stdin="inherit",
        denied=frozenset(args.deny),
    )


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or (not separator and name not in os.environ):
        raise UsageError(f"cannot read the variable {text!r}", hint="write it as NAME=VALUE")
    return name, value if separator else os.environ[name]


def _bytes(text: str) -> int:
    unit = _UNITS.get(text[-1:].lower(), 1)
    digits = text[:-1] if unit > 1 else text
    if not digits.isdigit():
        raise argparse.ArgumentTypeError("a number of bytes, with K, M or G behind it if you like")
    return int(digits) * unit
