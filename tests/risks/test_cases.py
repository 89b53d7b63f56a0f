# SPDX-License-Identifier: Apache-2.0
"""Each rule marks a behaviour that was really executed, and spares a like one; both ways of recording give the same."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from observer.trace.rules import load_rules
from tests.kernel.conftest import REFUSAL
from tests.risks.executing import risks_of

CASES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())["case"]
NAMES = [f"{case['rule']}-{index}" for index, case in enumerate(CASES)]
# What cannot be made to happen on a machine that is to live on is told as calls in tests/unit/trace/test_watch.py.
TOLD = {
    "accounts-changed", "device-read", "device-written", "kernel-changed", "clock-changed", "bpf-program",
    "driver-loaded", "host-mounted", "root-of-another", "root-of-others", "root-of-others-refused", "namespace-entered",
    "kernel-log-cleared", "privilege-gained", "keys-watched", "network-outbound", "network-datagram", "network-tried",
    "network-loopback", "package-configured", "container-client", "mount-refused", "namespaces-refused",
    "kernel-helper-refused", "foreign-process-refused", "permission-refused", "debugger", "unseen-operations", "loss",
    "not-closed", "unsealed-tail", "failed-trace", "bad-events", "policy-denied", "compromised-identity",
    "low-trust-allowed", "quarantined",
}  # fmt: skip


def need(case: dict[str, Any]) -> None:
    if case.get("root") and os.getuid() != 0:
        pytest.skip(f"THE RULE {case['rule']} IS NOT TRIED: its behaviour needs root")
    if (
        case["rule"] == "namespaces"
        and subprocess.run(["unshare", "-Ur", "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("THIS KERNEL PERMITS NO USER NAMESPACES: see 'observer doctor user_namespaces'")


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_marked(case: dict[str, Any]) -> None:
    need(case)
    found = risks_of(case["does"], private=case.get("private", False))
    assert case["rule"] in found, sorted(found)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_spared(case: dict[str, Any]) -> None:
    need(case)
    found = risks_of(case["spares"], private=case.get("private", False))
    assert case["rule"] not in found, str(found.get(case["rule"]))


SAME = (
    "shell-on-socket",
    "shell-relayed",
    "mass-encryption",
    "persistence",
    "exec-without-file",
    "sensitive-file-read",
    "downloaded-then-run",
)


@pytest.mark.skipif(REFUSAL is not None, reason=f"THE PROBE IS NOT TRIED: {REFUSAL}")
@pytest.mark.parametrize("rule", SAME)
def test_the_probe_sees_what_ptrace_sees(rule: str) -> None:
    case = next(case for case in CASES if case["rule"] == rule)
    found = {engine: set(risks_of(case["does"], engine=engine)) for engine in ("ptrace", "ebpf")}
    assert found["ebpf"] == found["ptrace"]


def test_every_rule_is_tried_or_told() -> None:
    rules = {rule.id for rule in load_rules() if not rule.hidden}
    tried = {case["rule"] for case in CASES}
    assert tried <= rules
    assert rules - tried - TOLD == set()
    assert not TOLD & tried
