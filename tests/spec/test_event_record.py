# SPDX-License-Identifier: Apache-2.0
"""docs/spec/event-record.md and its schema are those of the event types, and the code makes and reads what they say."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.errors import FormatError
from observer.model.event import EventSeverity
from observer.model.event_record import Clocks, EventRecord, Observed, clean_text
from tools import gen_event_schema

TYPES = gen_event_schema.load_types()
SCHEMA = json.loads(gen_event_schema.SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PAGE = gen_event_schema.PAGE.read_text(encoding="utf-8")
IDENTITY = [
    ("boot_id", "4fe05be0-f918-4c91-865f-3ffa1450bd07"),
    ("hostname", "build7"),
    ("machine_id", "0123456789abcdef0123456789abcdef"),
]


def made(**changes: object) -> EventRecord:
    values: dict[str, object] = {
        "event_type": "memory.oom_kill",
        "source": "resource.monitor",
        "category": "Resource",
        "severity": EventSeverity.CRITICAL,
        "message": "Kernel killed processes for lack of memory",
        "attributes": (*IDENTITY, ("kills", "1"), ("total", "3")),
        "sequence": 1,
        "run": "9f2c51ab0d77e346",
        "collector": Clocks(1795776009123901544, 81234901544, 81234901544),
    }
    return EventRecord(**(values | changes))  # type: ignore[arg-type]


def test_schema_and_page_are_generated() -> None:
    assert gen_event_schema.SCHEMA.read_text(encoding="utf-8") == gen_event_schema.schema_text(TYPES), (
        "make golden"
    )
    assert gen_event_schema.render(PAGE, TYPES) == PAGE, "make golden"


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_pages_example_is_valid_and_read() -> None:
    example = re.search(r"```json\n(.*?)```", PAGE, flags=re.S)
    assert example is not None
    VALIDATOR.validate(json.loads(example.group(1)))
    record = EventRecord.from_json(example.group(1))
    assert record.to_dict() == json.loads(example.group(1))


def test_keys_stand_in_the_order_of_the_original() -> None:
    assert list(made().to_dict())[:7] == [
        *("timestamp", "sequence", "source", "category", "severity", "message", "attributes")
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": EventSeverity.INFO},
        {"attributes": (("kills", "1"), ("total", "3"))},
        {"attributes": (*IDENTITY, ("kills", "many"), ("total", "3"))},
        {"attributes": (*IDENTITY, ("kills", "1"))},
        {"attributes": (*IDENTITY, ("kills", "1"), ("total", "3"), ("colour", "red"))},
        {"source": "kernel.kmsg"},
        {"event_type": "no.such"},
        {"sequence": 0},
    ],
)
def test_the_schema_refuses(changes: dict[str, object]) -> None:
    VALIDATOR.validate(made().to_dict())
    assert not VALIDATOR.is_valid(made(**changes).to_dict())


@given(
    message=st.text().map(clean_text),
    attributes=st.lists(st.tuples(st.text().map(clean_text), st.text().map(clean_text))),
    observed=st.none()
    | st.builds(Observed, st.integers(0, 2**62), st.none() | st.integers(0, 2**63), st.just("kmsg")),
)
def test_round_trip(message: str, attributes: list[tuple[str, str]], observed: Observed | None) -> None:
    record = made(message=message, attributes=tuple(sorted(attributes)), observed=observed)
    line = record.to_json()
    assert EventRecord.from_json(line) == record
    assert all(0x20 <= byte < 0x7F for byte in line), "a line that no terminal obeys"


@given(st.binary() | st.text().map(lambda text: json.dumps({"timestamp": text, "message": text}).encode()))
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        EventRecord.from_json(data)


def test_the_original_form_is_read() -> None:
    values = {
        "timestamp": "2026-11-27T10:40:09.123456Z",
        "sequence": 1,
        "source": "wslmon.ubuntu",
        "category": "",
        "severity": "Verbose",
        "message": "m",
        "attributes": [{"key": "b", "value": "1"}, {"key": "a", "value": "2"}],
    }
    line = json.dumps(values)
    record = EventRecord.from_json(line)
    assert (record.severity, record.category, record.get("a")) == (EventSeverity.DEBUG, "General", "2")
    assert record.wall_ns == 1795776009123456000
