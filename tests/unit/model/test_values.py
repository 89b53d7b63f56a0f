# SPDX-License-Identifier: Apache-2.0
"""Statuses, severities and findings behave as the words promise."""

import pytest

from observer.errors import FormatError
from observer.model.event import EventSeverity
from observer.model.summary import KeyEvent, RiskFactor
from observer.model.trace import SyscallType, TraceStatus


def test_a_status_has_a_reason_exactly_when_it_failed() -> None:
    assert str(TraceStatus.failed("disk gone")) == "failed: disk gone"
    assert TraceStatus.failed("x").is_failed
    assert not TraceStatus.ACTIVE.is_failed
    for kind, reason in [("failed", None), ("completed", "why"), ("sleeping", None)]:
        with pytest.raises(FormatError):
            TraceStatus(kind, reason)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("INFO", "info"),
        ("", "info"),
        ("Verbose", "debug"),
        ("trace", "debug"),
        (" High ", "error"),
        ("medium", "warning"),
    ],
)
def test_severity_words_of_neighbours(text: str, severity: str) -> None:
    assert EventSeverity.parse(text) is EventSeverity(severity)


def test_severities_are_ordered() -> None:
    assert EventSeverity.DEBUG < EventSeverity.INFO < EventSeverity.WARNING
    assert EventSeverity.ERROR <= EventSeverity.CRITICAL
    with pytest.raises(FormatError):
        EventSeverity.parse("loud")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("open_file", SyscallType.FILE),
        ("file_open", SyscallType.FILE),
        ("net_connect", SyscallType.NETWORK),
        ("socket_bind", SyscallType.NETWORK),
        ("proc_create", SyscallType.PROCESS),
        ("crypto_sign", SyscallType.CRYPTO),
        ("ns_enter", SyscallType.OTHER),
    ],
)
def test_syscall_types_by_word(name: str, kind: SyscallType) -> None:
    assert SyscallType.of(name) is kind


def test_a_risk_prints_as_its_sentence() -> None:
    risk = RiskFactor.found(KeyEvent("read /etc/shadow", ["s4", "s9"]), rule="r", severity="high", deduct=15)
    assert f"Risk factor: {risk}" == "Risk factor: read /etc/shadow"
    assert (risk.text, risk.record_ids, risk.support) == ("read /etc/shadow", ("s4", "s9"), 2)
    assert risk.to_dict()["severity"] == "high"
