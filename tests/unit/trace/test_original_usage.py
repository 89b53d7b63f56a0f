# SPDX-License-Identifier: Apache-2.0
"""The usage example of the original design, line by line, and the same as a program of its own."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from observer import trace

EXAMPLE = Path(__file__).parents[3] / "examples" / "record_trace.py"


def test_original_usage(capsys: pytest.CaptureFixture[str]) -> None:
    container_id, identity_context = uuid4(), trace.IdentityContext.new("acme", "ana")

    # Create a new trace context
    trace_context = trace.TraceContext.new(
        container_id,
        None,  # plugin_id
        identity_context,
    )

    # Record a syscall trace
    trace.record_syscall(
        trace_context.trace_id,
        "open_file",
        identity_context,
        ["path/to/file", "r"],
        True,  # allowed
    )

    # Record an event
    trace.record_event(
        trace_context.trace_id,
        "container_started",
        trace.EventSeverity.INFO,
        {
            "container_id": str(container_id),
            "image": "alpine:latest",
        },
    )

    # Complete the trace
    trace.complete_trace(trace_context.trace_id)

    # Generate an LLM summary
    summary = trace.generate_llm_summary(trace_context.trace_id)
    print(f"Trace summary: {summary.integrity_assessment}")
    for risk in summary.risk_factors:
        print(f"Risk factor: {risk}")

    assert capsys.readouterr().out.startswith("Trace summary: high (100/100)")
    assert summary.trace_id == trace_context.trace_id
    assert summary.container_id == container_id
    assert (summary.syscall_count, summary.allowed_syscalls, summary.denied_syscalls) == (1, 1, 0)
    assert any("alpine:latest" in event for event in summary.key_events)
    assert summary.risk_factors == []


def test_the_example_runs(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE], env={**os.environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Risk factor: the policy denied 1 call(s): open_file(/etc/shadow, r)" in done.stdout
    assert [context.identity.user_id for context in trace.list_traces()] == ["ana"]
