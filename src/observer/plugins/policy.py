# SPDX-License-Identifier: Apache-2.0
"""The host's own imports `env.log`, `env.get_env` and `env.syscall`, and the policy that decides on each call.

A decision is made before anything is done, has a reason, and is recorded with the call whether it allowed or refused.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from observer import clock
from observer.model.event import EventSeverity

__all__ = ["Decision", "HostCalls", "PluginPolicy"]

_SEVERITIES: Final = (
    EventSeverity.DEBUG,
    EventSeverity.INFO,
    EventSeverity.WARNING,
    EventSeverity.ERROR,
    EventSeverity.CRITICAL,
)
_MOST_STATE_BYTES: Final = 16 << 20  # keys and values together; a snapshot carries them
_MOST_RANDOM_BYTES: Final = 65_536
REFUSED: Final = -1
UNKNOWN: Final = -2


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call may go ahead, and why.

    Attributes:
        allowed: The decision.
        reason: One line.
    """

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PluginPolicy:
    """What the host's own imports may do for a plugin.

    Attributes:
        syscalls: Names that `env.syscall` may be called with.
        environment: Names that `env.get_env` may be asked for; None for all that the plugin was given.
        decide: Asked last, with the import's name and its first argument; may refuse with a reason.
    """

    syscalls: frozenset[str] = frozenset(
        {"state_get", "state_put", "state_remove", "time_now", "crypto_hash", "crypto_random"}
    )
    environment: frozenset[str] | None = None
    decide: Callable[[str, str], Decision | None] | None = None

    def judge(self, name: str, argument: str, given: Mapping[str, str]) -> Decision:
        """Return the decision on one call."""
        if name == "get_env" and self.environment is not None and argument not in self.environment:
            return Decision(False, f"the policy does not let the plugin read {argument}")
        if name == "get_env" and argument not in given:
            return Decision(False, f"{argument} was not given to the plugin")
        if name == "syscall" and argument not in self.syscalls:
            return Decision(False, f"the policy does not grant {argument}")
        asked = self.decide(name, argument) if self.decide is not None else None
        return asked if asked is not None else Decision(True, f"granted: {name}")


@dataclass(slots=True)
class HostCalls:
    """What answers the host's own imports.

    Attributes:
        policy: Decides.
        environment: What the plugin was given.
        tell: Called with type, severity and data for `env.log`.
        state: The plugin's own map, which snapshots carry.
    """

    policy: PluginPolicy
    environment: Mapping[str, str]
    tell: Callable[[str, EventSeverity, Mapping[str, object]], None]
    state: dict[str, bytes] = field(default_factory=dict)

    def log(self, level: int, message: str) -> Decision:
        """Record a line of the plugin's own; levels 0 debug to 4 critical."""
        decision = self.policy.judge("log", message[:80], self.environment)
        if decision.allowed:
            severity = _SEVERITIES[min(max(level, 0), len(_SEVERITIES) - 1)]
            self.tell("plugin_log", severity, {"message": message[:4096]})
        return decision

    def get_env(self, key: str) -> tuple[Decision, bytes | int]:
        """Return the decision and the value, or -1."""
        decision = self.policy.judge("get_env", key, self.environment)
        return decision, self.environment[key].encode() if decision.allowed else REFUSED

    def syscall(self, name: str, args: bytes) -> tuple[Decision, bytes | int]:
        """Return the decision and the answer: bytes, or -1 refused, -2 unknown or impossible."""
        decision = self.policy.judge("syscall", name, self.environment)
        if not decision.allowed:
            return decision, REFUSED
        answer = _ANSWERS.get(name)
        return decision, UNKNOWN if answer is None else answer(self.state, args)


def put_state(state: dict[str, bytes], args: bytes) -> bytes | int:
    """Keep a value: `key NUL value`."""
    key, separator, value = args.partition(b"\0")
    total = sum(len(name.encode()) + len(content) for name, content in state.items())
    if not separator or total + len(args) > _MOST_STATE_BYTES:
        return UNKNOWN
    state[key.decode(errors="replace")] = value
    return b""


def remove_state(state: dict[str, bytes], args: bytes) -> bytes | int:
    """Forget a value."""
    return UNKNOWN if state.pop(args.decode(errors="replace"), None) is None else b""


def _get(state: dict[str, bytes], args: bytes) -> bytes | int:
    return state.get(args.decode(errors="replace"), UNKNOWN)


def _random(_: dict[str, bytes], args: bytes) -> bytes | int:
    count = int(args) if args.isdigit() and len(args) < 7 else 0
    return os.urandom(count) if 0 < count <= _MOST_RANDOM_BYTES else UNKNOWN


_ANSWERS: Final[Mapping[str, Callable[[dict[str, bytes], bytes], bytes | int]]] = {
    "state_get": _get,
    "state_put": put_state,
    "state_remove": remove_state,
    "time_now": lambda _, __: str(clock.wall_ns()).encode(),
    "crypto_hash": lambda _, args: hashlib.sha256(args).hexdigest().encode(),
    "crypto_random": _random,
    "system_info": lambda _, __: f"{platform.system()} {platform.machine()}".encode(),
}
