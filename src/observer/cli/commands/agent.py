# SPDX-License-Identifier: Apache-2.0
"""observer agent: watches this machine, and tells how it is."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from observer.cli.printing import print_json, safe, talk
from observer.errors import CapabilityError, DeliveryError, UsageError

if TYPE_CHECKING:
    from observer.agents.agent import AgentPlaces

__all__ = ["AgentCommand"]

_CONFIG: Final = Path("/etc/wsl-monitor/agent.toml")
_LOGS: Final = "/var/log/wsl-monitor"
_STATE: Final = "/var/lib/wsl-monitor"
_SOCKET: Final = "/run/wsl-monitor/agent.sock"


class AgentCommand:
    """Watch this machine: record what leads up to its end, so that it can be told afterwards.

    'run' is the service wsl-monitor: it collects from the journal, the kernel, /proc and more, seals each event in
    /var/log/wsl-monitor/guest-events.log, and keeps the newest in a ring file that neither a crash nor a power cut takes.
    After an unclean end it writes a report of the last 60 seconds at its next start.

    Examples:
      observer agent run                                    as the service does, with the defaults
      observer agent run --logs ./logs --state ./state --socket ./agent.sock
      observer agent status                                 how it is; from the ring file when it does not run
      observer agent status --buffer 20                     the newest 20 events, one JSON object per line
      observer agent dump                                   write the rolling buffer to a file now
      observer agent collectors                             what is collected, and whether it can be here
      observer agent check-config /etc/wsl-monitor/agent.toml
      observer agent check-config --defaults                every setting, explained
    """

    name: ClassVar[str] = "agent"

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add the actions and their options."""
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        run = actions.add_parser("run", help="collect until SIGTERM")
        run.add_argument("--config", metavar="FILE", help=f"settings (default: {_CONFIG}, where it exists)")
        run.add_argument(
            "--state", metavar="DIR", default=_STATE, help="key of the checkpoints (default: %(default)s)"
        )
        status = actions.add_parser("status", help="tell how the agent is")
        status.add_argument(
            "--buffer", metavar="N", type=int, help="the newest N events instead; 0 for all it holds"
        )
        dump = actions.add_parser("dump", help="have the agent write its rolling buffer to a file")
        for action in (run, status, dump):
            action.add_argument(
                "--logs", metavar="DIR", default=_LOGS, help="where the log lies (default: %(default)s)"
            )
            action.add_argument(
                "--socket", metavar="PATH", default=_SOCKET, help="status socket (default: %(default)s)"
            )
        collectors = actions.add_parser("collectors", help="list what is collected")
        check = actions.add_parser("check-config", help="read a configuration as 'run' would")
        check.add_argument("file", nargs="?", metavar="FILE", help=f"default: {_CONFIG}")
        check.add_argument("--defaults", action="store_true", help="print a configuration of all defaults")
        for action in (status, dump, collectors, check):
            action.add_argument("--json", action="store_true", help="one JSON object per line on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Do what was asked."""
        actions = {
            "run": _run,
            "status": _status,
            "dump": _dump,
            "collectors": _collectors,
            "check-config": _check_config,
        }
        return actions[args.action](args)


def _places(args: argparse.Namespace) -> AgentPlaces:
    from observer.agents.agent import AgentPlaces

    return AgentPlaces(Path(args.logs), Path(getattr(args, "state", _STATE)), Path(args.socket))


def _run(args: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        raise CapabilityError("this agent is for Linux", hint="on Windows use the host agent")
    from observer.agents.agent import Agent
    from observer.agents.linux import enabled_collectors
    from observer.agents.settings import load_settings

    path = Path(args.config) if args.config else _CONFIG if _CONFIG.exists() else None
    settings = load_settings(path)
    os.umask(0o077)
    agent = Agent(settings, _places(args), enabled_collectors(settings))
    return agent.run(lambda text: talk(f"observer agent: {text}"))


def _status(args: argparse.Namespace) -> int:
    from observer.agents.link.status_socket import ask_agent

    if args.buffer is not None:
        for line in ask_agent(Path(args.socket), {"ask": "buffer", "last": args.buffer}):
            sys.stdout.write(line.decode("ascii", "backslashreplace") + "\n")
        return 0
    try:
        answer = json.loads(b"".join(ask_agent(Path(args.socket), {"ask": "status"})))
    except DeliveryError as error:
        return _status_of_the_dead(args, error)
    if args.json:
        print_json(answer.pop("schema"), "agent_status", {"running": True, **answer})
        return 0
    _print_status(answer)
    return 0


def _print_status(answer: dict[str, Any]) -> None:
    lines = [
        f"running     pid {answer['pid']}, for {answer['uptime_s']:.0f} s; version {answer['version']}",
        f"log         {answer['log']}",
        "events      {events} taken, {sealed} sealed, {queue} waiting, {dropped} dropped".format(**answer),
        f"costs       {answer['rss_bytes'] / 2**20:.1f} MiB resident, {answer['cpu_s']:.2f} s of CPU",
        f"last run    {answer['previous_end'].replace('_', ' ')}",
    ]
    if answer["problem"]:
        lines.append(f"PROBLEM     {answer['problem']}")
    for one in answer["collectors"]:
        detail = f"  {one['detail']}" if one["detail"] else ""
        lines.append(f"{one['state']:<11} {one['name']}{detail}")
    sys.stdout.write("\n".join(safe(line) for line in lines) + "\n")


def _status_of_the_dead(args: argparse.Namespace, error: DeliveryError) -> int:
    """Tell what the ring file knows of an agent that does not answer."""
    from observer import clock
    from observer.agents.ring import read_ring

    path = _places(args).beside(".ring")
    try:
        content = read_ring(path)
    except OSError:
        raise error from None
    beat = content.beat
    if beat is None:
        raise error
    age_s = (clock.wall_ns() - beat.clocks.wall_ns) / 1e9
    facts = {
        "running": False,
        "boot_id": beat.boot_id,
        "run": beat.run,
        "this_boot": beat.boot_id == clock.boot_id(),
        "ended_in_order": beat.clean,
        "last_beat_wall_ns": beat.clocks.wall_ns,
        "age_s": round(age_s, 3),
        "records": len(content.records),
        "records_after_last_sync": sum(number > beat.sealed for number, _ in content.records),
    }
    if args.json:
        print_json("observer.agent-status/1", "agent_status", facts)
    else:
        end = "ended in order" if beat.clean else "WITHOUT AN END"
        when = clock.to_datetime(beat.clocks.wall_ns).isoformat()
        sys.stdout.write(
            f"not running; the last run {end}\nlast sign   {when}, {age_s:.0f} s ago"
            f"{'' if facts['this_boot'] else ', in another boot'}\nring file   {len(content.records)} events\n"
        )
    return error.exit_code


def _dump(args: argparse.Namespace) -> int:
    from observer.agents.link.status_socket import ask_agent

    answer = json.loads(b"".join(ask_agent(Path(args.socket), {"ask": "dump"})))
    if "error" in answer:
        raise DeliveryError(str(answer["error"]))
    if args.json:
        print_json("observer.agent-dump/1", "agent_dump", answer)
    else:
        sys.stdout.write(f"{safe(answer['path'])}  {answer['events']} events, sha256 {answer['sha256']}\n")
    return 0


def _collectors(args: argparse.Namespace) -> int:
    from observer.agents.collector import Context
    from observer.agents.linux import COLLECTORS
    from observer.agents.positions import Positions
    from observer.agents.settings import load_settings

    settings = load_settings()
    for kind in COLLECTORS:
        collector = kind(Context(settings[kind.name], Positions()))
        try:
            collector.check_compatible()
            state, detail = "yes", ""
        except CapabilityError as error:
            state, detail = "no", f"{error}; {error.hint}"
        finally:
            collector.release()
        text = (kind.__module__ and sys.modules[kind.__module__].__doc__) or ""
        about = text.strip().splitlines()[0]
        if args.json:
            values = {"name": kind.name, "available": state == "yes", "detail": detail, "about": about}
            print_json("observer.agent-collectors/1", "collector", values)
        else:
            sys.stdout.write(safe(f"{kind.name:<10} {state:<4} {about}") + "\n")
            if detail:
                sys.stdout.write(safe(f"                {detail}") + "\n")
    return 0


def _check_config(args: argparse.Namespace) -> int:
    from observer.agents.linux import enabled_collectors
    from observer.agents.settings import default_text, load_settings

    if args.defaults:
        if args.file:
            raise UsageError("--defaults prints the defaults; it takes no file")
        sys.stdout.write(default_text())
        return 0
    path = Path(args.file) if args.file else _CONFIG
    names = [kind.name for kind in enabled_collectors(load_settings(path))]
    if args.json:
        print_json(
            "observer.agent-config/1", "agent_config", {"path": str(path), "valid": True, "collectors": names}
        )
    else:
        sys.stdout.write(safe(f"{path}: good; collectors: {' '.join(names)}") + "\n")
    return 0
