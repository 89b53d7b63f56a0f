# SPDX-License-Identifier: Apache-2.0
"""The error catalogue: stable codes, exit codes by family, every class documented, every class the core raises exists."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from observer import errors
from tests.house import tree
from tools import gen_errors

CLASSES = [getattr(errors, name) for name in errors.__all__]
FAMILY_EXIT = {"0": 70, "1": 2, "9": 70, **{str(digit): 10 + digit for digit in range(2, 9)}}
# As a shell would answer: these two leave with the status that scripts expect of a launcher.
SHELL_EXIT = {"CommandNotFound": 127, "CommandNotExecutable": 126}


def test_every_class_is_public() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ObserverError)
    }
    assert defined == set(errors.__all__)


def test_codes_are_unique() -> None:
    twice = [code for code, count in Counter(cls.code for cls in CLASSES).items() if count > 1]
    assert not twice


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_class_is_complete(cls: type[errors.ObserverError]) -> None:
    assert re.fullmatch(r"OBS\d{3}", cls.code)
    assert "code" in vars(cls), "an inherited code would mean two things"
    assert cls.__doc__
    assert cls.default_hint
    assert not cls.default_hint.endswith("."), "hints have no full stop"
    assert cls.exit_code == SHELL_EXIT.get(cls.__name__, FAMILY_EXIT[cls.code[3]])


@pytest.mark.parametrize(
    "cls", [cls for cls in CLASSES if cls.__base__ is not Exception], ids=lambda cls: cls.__name__
)
def test_code_belongs_to_the_family_of_the_parent(cls: type[errors.ObserverError]) -> None:
    parent = cls.__base__
    assert issubclass(parent, errors.ObserverError)
    assert parent is errors.ObserverError or parent.code[3] == cls.code[3]


def test_catalogue_is_up_to_date() -> None:
    text = (tree.ROOT / gen_errors.TARGET).read_text(encoding="utf-8")
    assert gen_errors.render() == text, "run 'make golden'"
    assert all(f"`{cls.code}`" in text for cls in CLASSES)


def test_native_core_finds_every_class_it_raises() -> None:
    binding = tree.ROOT / "rust" / "observer-py" / "src"
    named = {
        name
        for path in sorted(binding.glob("*.rs"))
        for name in re.findall(r'"([A-Z][A-Za-z]+)"', path.read_text(encoding="utf-8"))
        if name.endswith(
            ("Error", "Mismatch", "Gap", "Broken", "Log", "Regression", "Full", "Permission", "Unusable")
        )
    }
    assert named <= set(errors.__all__), (
        f"the core names classes that do not exist: {named - set(errors.__all__)}"
    )
    import observer._native

    assert observer._native
