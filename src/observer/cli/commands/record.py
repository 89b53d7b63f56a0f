# SPDX-License-Identifier: Apache-2.0
"""observer record: runs a command and records the syscalls of everything it starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

from observer.cli import exit_codes
from observer.cli.printing import safe, talk
from observer.cli.times import show_span
from observer.errors import CapabilityError, UsageError
from observer.trace import RecordedCommand, RecordingOptions, record_command

__all__ = ["Record"]

_STARTED: Final = UUID(int=0)  # --container without a value: the command itself starts the containers


class Record:
    """Run a command and record every syscall of it and of everything it starts.

    As root the command is recorded with eBPF, which stops nothing; without root, programs of your own are recorded
    with ptrace, and with --only a seccomp filter lets all other calls run at full speed. The command keeps this
    terminal, standard input and output; its exit status is returned (128+N when signal N ended it, 127 when it does
    not exist, 126 when it cannot be executed). What is recorded is sealed as it comes in: after a Ctrl-C or a kill
    of the recorder the recording opens and verifies.

    With WSLMON_LOG_HMAC_KEY or WSLMON_LOG_HMAC_KEY_FILE set the recording is signed; the command does not see them.

    Examples:
      observer record -- make test                    into the store; 'observer show last' shows it
      observer record -o build.rec -- make            into a directory of your choice
      observer record --only network,process -- curl http://localhost:8000/
      observer record --data 4096 -- python3 job.py   keep more of what is read and written
      observer record --replayable -- ./prog          so that 'observer replay' can execute it again, exactly
      observer record --container -- crun run web     a container from before its first instruction (eBPF, as root)
    """

    name: ClassVar[str] = "record"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options and arguments."""
        parser.usage = "observer record [-o PATH] [--force] [OPTIONS] -- COMMAND [ARGUMENT ...]"
        parser.add_argument(
            "-o", "--output", metavar="PATH", type=Path, help="directory to make for the recording"
        )
        parser.add_argument(
            "--force", action="store_true", help="replace a recording that is at PATH already"
        )
        parser.add_argument(
            "--data",
            metavar="N",
            type=_bytes,
            default=32,
            help="bytes kept of each read or write (default 32)",
        )
        parser.add_argument(
            "--only",
            metavar="SET",
            type=_words,
            action="extend",
            default=[],
            help="record only these, separated by commas: syscall names, or file descriptor network process memory "
            "signal ipc time system",
        )
        parser.add_argument(
            "--pin",
            choices=("auto", "always", "never"),
            default="auto",
            help="keep recorder and command on one processor, which is faster for a single-threaded command",
        )
        parser.add_argument(
            "--no-follow", action="store_true", help="record the command alone, not its children"
        )
        parser.add_argument(
            "--replayable",
            action="store_true",
            help="keep all that 'observer replay' needs to execute the command again, exactly, with nothing but the recording",
        )
        self._prepare_engine(parser)
        parser.add_argument("--plugin", metavar="UUID", type=UUID, help="the plugin this belongs to")
        parser.add_argument("-q", "--quiet", action="store_true", help="say nothing at the end")
        parser.add_argument(
            "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, after --"
        )

    @staticmethod
    def _prepare_engine(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--engine",
            choices=("ptrace", "ebpf", "auto"),
            help="how to record: ebpf stops nothing and costs a tenth or less, but needs root (CAP_BPF, CAP_PERFMON); "
            "ptrace needs no right; auto (the default) takes ebpf where it may, and says when not",
        )
        parser.add_argument(
            "--container",
            metavar="UUID",
            nargs="?",
            type=UUID,
            const=_STARTED,
            help="the container this belongs to; without a value: the command starts containers, seal what is known of them",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Record the command and return its exit status."""
        words = args.command[1:] if args.command[:1] == ["--"] else args.command
        if not words:
            raise UsageError("no command was given", hint="observer record -- COMMAND [ARGUMENT ...]")
        options = RecordingOptions(
            path=args.output,
            force=args.force,
            data_bytes=args.data,
            only=tuple(args.only),
            pin=args.pin,
            follow=not args.no_follow,
            replayable=args.replayable,
            container_id=None if args.container is _STARTED else args.container,
            plugin_id=args.plugin,
        )
        done, engine = _record(words, options, args)
        if not args.quiet:
            talk(f"observer: {_told(done, args.output)} ({engine})")
        return exit_codes.of_signal(done.signal) if done.signal is not None else int(done.exit_code or 0)


def _record(
    words: list[str], options: RecordingOptions, args: argparse.Namespace
) -> tuple[RecordedCommand, str]:
    """Record with the engine that was asked for, or the best that this user may; return which it was."""
    starts = args.container is _STARTED
    engine = args.engine or ("ptrace" if args.replayable else "auto")
    if args.replayable and engine != "ptrace":
        raise UsageError("--replayable needs --engine ptrace", hint="the probe does not keep what calls gave")
    if engine == "ebpf" and args.no_follow:
        raise UsageError("--no-follow needs --engine ptrace", hint="the probe follows every child")
    if engine != "ptrace" and not args.no_follow:
        from observer.trace.live import record_with_probe

        try:
            return record_with_probe(words, options, containers=starts), "eBPF"
        except CapabilityError as error:
            if engine == "ebpf":
                raise
            talk(f"observer: without eBPF ({safe(str(error))}): recording with ptrace")
    return record_command(words, options), "ptrace"


def _told(done: RecordedCommand, output: Path | None) -> str:
    name = safe(str(output)) if output is not None else str(done.trace_id)[:8]
    took = show_span(round(done.seconds * 1e9))
    return f"recorded {done.calls:,} calls and signals in {took} to {safe(str(done.path))}; see 'observer show {name}'"


def _bytes(text: str) -> int:
    if not text.isdecimal() or int(text) > 1 << 20:
        raise argparse.ArgumentTypeError("must be a number from 0 to 1048576")
    return int(text)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]
