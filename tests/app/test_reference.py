"""The table of operations is sound, and the page made from it is fresh."""

from __future__ import annotations

import collections
import pathlib

import pytest

from roadstead.api import operation, reference, registry
from roadstead.wire import acceptance, services

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md"
KNOWN = services.Services()


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == reference.text(), "make it anew: make reference"


def test_each_operation_is_served_once() -> None:
    counts = collections.Counter((one.service, one.name) for one in registry.all_operations())
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("one", registry.all_operations(), ids=lambda one: f"{one.service}.{one.name}")
def test_what_an_operation_accepts_exists_in_the_model(one: operation.Operation) -> None:
    acceptance.compile_checker(KNOWN, one.service, one.name, one.accepts)


def test_paths_are_split_as_far_up_as_they_hold() -> None:
    paths = ("a", "a.b", "a.c", "a.c.d", "e", "e.f", "g", "g.h")
    accepted, refused = reference.split(paths, frozenset({"a.b", "e"}))
    assert accepted == ["a.b", "e"]
    assert refused == ["a.c", "g"]


def test_every_path_of_every_operation_is_on_exactly_one_side() -> None:
    for one in registry.all_operations():
        paths = acceptance.member_paths(KNOWN, one.service, one.name)
        accepted, refused = reference.split(paths, one.accepts)
        assert set(accepted) <= one.accepts and not set(accepted) & set(refused)
        for path in paths:
            covering = [top for top in (*accepted, *refused) if path == top or path.startswith(f"{top}.")]
            below = [top for top in (*accepted, *refused) if top.startswith(f"{path}.")]
            assert len(covering) == 1 or below, f"{one.name}: {path} is on no side"
