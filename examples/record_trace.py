# SPDX-License-Identifier: Apache-2.0
"""Records a trace from within a program: what it decided, what happened, and what that amounts to.

Run it with `.venv/bin/python examples/record_trace.py`; then `observer show last` shows what it kept.
"""

from uuid import UUID, uuid4

from observer import trace


def record(container_id: UUID) -> UUID:
    """Record a trace of one container and return its id."""
    identity_context = trace.IdentityContext.new("acme", "ana").with_agent("api")

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

    # The same with what a policy knows of its decision
    trace.record_syscall(
        trace_context.trace_id,
        "open_file",
        identity_context,
        ["/etc/shadow", "r"],
        False,
        reason="not in the policy's list of files",
        trust_score=0.4,
        policy_version="2026-03",
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
    return trace_context.trace_id


def main() -> None:
    """Record a trace and print its summary."""
    trace_id = record(uuid4())

    # Generate an LLM summary
    summary = trace.generate_llm_summary(trace_id)
    print(f"Trace summary: {summary.integrity_assessment}")
    for risk in summary.risk_factors:
        print(f"Risk factor: {risk}")


if __name__ == "__main__":
    main()
