# SPDX-License-Identifier: Apache-2.0
"""Replays as JSON: how a job is handed over and how its result is kept."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from observer.model.comparison import (
    DifferenceKind,
    Divergence,
    OutcomeDifference,
    ReplayComparison,
    SyscallDifference,
    TimingDifference,
)
from observer.model.forensic import (
    Breakpoint,
    BreakpointAction,
    IsolationLevel,
    ReplayEnvironment,
    ResourceLimits,
)

__all__ = [
    "call_from_dict",
    "comparison_from_dict",
    "comparison_to_dict",
    "environment_from_dict",
    "environment_to_dict",
]


def environment_to_dict(value: ReplayEnvironment) -> dict[str, Any]:
    """Return an environment as JSON values; bytes in base64."""
    limits = value.resource_limits
    return {
        "isolation_level": {"kind": value.isolation_level.kind, "names": list(value.isolation_level.names)},
        "resource_limits": {name: getattr(limits, name) for name in ResourceLimits.__slots__},
        "simulated_inputs": {
            key: base64.b64encode(data).decode() for key, data in value.simulated_inputs.items()
        },
        "breakpoints": [
            {
                "syscall": place.syscall,
                "condition": place.condition,
                "action": place.action.kind,
                "changes": dict(place.action.changes),
            }
            for place in value.breakpoints
        ],
    }


def environment_from_dict(value: Mapping[str, Any]) -> ReplayEnvironment:
    """Return the environment that `environment_to_dict` wrote."""
    level = value["isolation_level"]
    return ReplayEnvironment(
        isolation_level=IsolationLevel(level["kind"], tuple(level["names"])),
        resource_limits=ResourceLimits(**value["resource_limits"]),
        simulated_inputs={key: base64.b64decode(data) for key, data in value["simulated_inputs"].items()},
        breakpoints=tuple(
            Breakpoint(
                place["syscall"], place["condition"], BreakpointAction(place["action"], place["changes"])
            )
            for place in value["breakpoints"]
        ),
    )


def comparison_to_dict(value: ReplayComparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""

    def fields(item: Any) -> dict[str, Any]:
        return {name: getattr(item, name) for name in type(item).__slots__}

    first = value.first_divergence
    return {
        "match_percentage": value.match_percentage,
        "syscall_differences": [
            fields(item) | {"kind": item.kind.value} for item in value.syscall_differences
        ],
        "timing_differences": [fields(item) for item in value.timing_differences],
        "outcome_differences": [fields(item) for item in value.outcome_differences],
        "first_divergence": first
        and fields(first)
        | {
            "difference": fields(first.difference) | {"kind": first.difference.kind.value},
            "backtrace": list(first.backtrace),
            "backtrace_replay": list(first.backtrace_replay),
        },
    }


def comparison_from_dict(value: Mapping[str, Any]) -> ReplayComparison:
    """Return the comparison that `comparison_to_dict` wrote."""
    calls = [call_from_dict(item) for item in value["syscall_differences"]]
    first = value.get("first_divergence")
    return ReplayComparison(
        match_percentage=value["match_percentage"],
        syscall_differences=tuple(calls),
        timing_differences=tuple(TimingDifference(**item) for item in value["timing_differences"]),
        outcome_differences=tuple(OutcomeDifference(**item) for item in value["outcome_differences"]),
        first_divergence=_first(first) if first else None,
    )


def call_from_dict(value: Mapping[str, Any]) -> SyscallDifference:
    """Return one differing call."""
    return SyscallDifference(**{**value, "kind": DifferenceKind(value["kind"])})


def _first(value: Mapping[str, Any]) -> Divergence:
    told = {**value, "difference": call_from_dict(value["difference"])}
    traces = {name: tuple(told[name]) for name in ("backtrace", "backtrace_replay")}
    return Divergence(**{**told, **traces})
