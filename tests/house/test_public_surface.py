# SPDX-License-Identifier: Apache-2.0
"""The public surface changes only on purpose: a golden file lists every public name."""

from __future__ import annotations

import importlib

import pytest

from tests.house import tree
from tools import gen_public_surface

PUBLIC = gen_public_surface.public_modules()


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_there_sorted_and_true(name: str) -> None:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None)
    assert names is not None, f"{name} needs __all__"
    assert list(names) == sorted(names), f"sort __all__ of {name}"
    missing = [public for public in names if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ names what is not there: {missing}"


def test_surface_is_the_golden_one() -> None:
    golden = (tree.ROOT / gen_public_surface.TARGET).read_text(encoding="utf-8")
    assert gen_public_surface.render() == golden, "meant? then run 'make golden' and commit the difference"
