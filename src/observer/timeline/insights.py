# SPDX-License-Identifier: Apache-2.0
"""The original report's four insights, weighed from typed fields. They hint; the verdict (docs/spec/verdicts.md) answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from observer.evidence.sides import ORIGINS

__all__ = ["find_insights"]

_MINUTE_NS = 60 * 10**9
_MAX_SUPPORT = 50
_HIGH, _MEDIUM = 5, 3
_BURST = 3


@dataclass(frozen=True, slots=True)
class _Event:
    at: int
    origin: int
    values: Mapping[str, Any]
    attributes: Mapping[str, str]


def find_insights(surveys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Weigh the candidates that the surveys kept.

    Returns:
        `id`, `summary`, `rationale`, `confidence` (`High`, `Medium`, `Low`), `supportingEvents`; in order of their ids.
    """
    newest = max(
        (survey["newest"] for survey in surveys if survey and survey["newest"] is not None), default=None
    )
    if newest is None:
        return []
    found = list(_restarts(surveys, newest))
    for rule in _heuristics():
        found += _one(surveys, newest, rule)
    return sorted(found, key=lambda insight: str(insight["id"]))


@dataclass(frozen=True, slots=True)
class _Heuristic:
    """One of the original's insights: what it looks at, how far back, and what each event weighs."""

    name: str
    topic: str
    minutes: int
    weigh: Callable[[_Event], int]
    summary: str
    rationale: str


def _one(surveys: Sequence[Mapping[str, Any]], newest: int, rule: _Heuristic) -> Iterator[dict[str, Any]]:
    events = [(rule.weigh(event), event) for event in _within(surveys, newest, rule.topic, rule.minutes)]
    counted = [(weight, event) for weight, event in events if weight > 0]
    if counted:
        summary = f"{rule.summary} ({len(counted)} records within {rule.minutes} min)"
        weight = sum(one for one, _ in counted)
        yield _insight(rule.name, summary, rule.rationale, weight, [event for _, event in counted])


def _heuristics() -> list[_Heuristic]:
    return [
        _Heuristic(
            "cross_environment_security_intervention",
            "security",
            30,
            _security,
            "Security software was disabled or outdated",
            "a disabled product weighs 2, an outdated third-party one 1",
        ),
        _Heuristic(
            "memory_pressure_correlation",
            "pressure",
            10,
            _pressure,
            "Memory pressure before the end",
            "each record of pressure weighs 1, a critical one 2",
        ),
        _Heuristic(
            "kernel_fault_chain",
            "kernel",
            30,
            _kernel,
            "The kernel reported faults before the end",
            "each record of severity Warning weighs 1, Error 2, Critical 3",
        ),
    ]


def _restarts(surveys: Sequence[Mapping[str, Any]], newest: int) -> Iterator[dict[str, Any]]:
    events = list(_within(surveys, newest, "service", 10))
    for origin, name in enumerate(ORIGINS):
        own = [event for event in events if event.origin == origin]
        weight = sum(map(_restart, own))
        if weight > 0:
            summary = f"Services of the {name} failed or were restarted ({len(own)} records within 10 min)"
            rationale = "a restart or failure weighs 2, and a counter of three restarts or more its value"
            yield _insight(f"{name}_service_restart_burst", summary, rationale, weight, own)


def _restart(event: _Event) -> int:
    state = event.attributes.get("state", "").lower()
    changed = event.attributes.get("previous_pid", event.attributes.get("pid")) != event.attributes.get("pid")
    failed = event.values.get("type") == "systemd.unit_failed"
    counters = [event.attributes.get(name, "") for name in ("restartCount", "restarts")]
    count = max((int(text) for text in counters if text.isdigit() and len(text) < 6), default=0)
    return (2 if "restart" in state or changed or failed else 0) + (count if count >= _BURST else 0)


def _security(event: _Event) -> int:
    state = event.attributes.get("stateText", "")
    microsoft = "microsoft" in (event.attributes.get("name", "") + event.attributes.get("vendor", "")).lower()
    if "Disabled" in state:
        return 2
    return (
        1
        if "Outdated" in state
        and not microsoft
        and "defender" not in event.attributes.get("name", "").lower()
        else 0
    )


def _pressure(event: _Event) -> int:
    source, state = str(event.values.get("source", "")), event.attributes.get("state", "")
    if source.startswith(("pressure.cpu", "pressure.io")) or state == "relieved":
        return 0
    return 2 if event.values.get("severity") == "Critical" else 1


def _kernel(event: _Event) -> int:
    return {"Warning": 1, "Error": 2, "Critical": 3}.get(str(event.values.get("severity")), 0)


def _within(surveys: Sequence[Mapping[str, Any]], newest: int, topic: str, minutes: int) -> Iterator[_Event]:
    for survey in surveys:
        for at, origin, text in survey.get("candidates", {}).get(topic, ()) if survey else ():
            if newest - at > minutes * _MINUTE_NS:
                continue
            values = json.loads(text)
            pairs = values.get("attributes") or ()
            attributes = {
                str(one.get("key")): str(one.get("value")) for one in pairs if isinstance(one, dict)
            }
            yield _Event(at, origin, values, attributes)


def _insight(
    name: str, summary: str, rationale: str, weight: int, events: Sequence[_Event]
) -> dict[str, Any]:
    confidence = "High" if weight >= _HIGH else "Medium" if weight >= _MEDIUM else "Low"
    support = [{"origin": ORIGINS[event.origin], "event": event.values} for event in events[-_MAX_SUPPORT:]]
    return {
        "id": name,
        "summary": summary,
        "rationale": f"{rationale}; the sum is {weight}",
        "confidence": confidence,
        "supportingEvents": support,
    }
