"""Of any expression: what is written is read back, and computing raises nothing but its own error."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_world import START, stat, store_of

from roadstead.signals.math import kinds, parser, problems, program, search, tree

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

REFS = st.sampled_from(["m1", "m2", "m3", "e0"]).map(tree.Ref)
NUMBERS = st.one_of(
    st.integers(0, 100).map(lambda number: tree.Number(float(number))),
    st.floats(0, allow_nan=False, allow_infinity=False).map(tree.Number),
)
TEXTS = st.text(st.characters(exclude_characters="\\"), max_size=8).map(tree.Text)
NAMES = (
    *kinds.MAPS, *kinds.FOLDS, *kinds.MOMENTS, *kinds.ABSENT, "FILL", "FIRST", "LAST", "IF", "METRICS", "METRIC_COUNT",
    "PERIOD", "REMOVE_EMPTY", "SORT", "SLICE", "TIME_SERIES", "SEARCH", "NO_SUCH",
)  # fmt: skip
WORDS = st.sampled_from([*kinds.SORT_BY, *kinds.SORT_ORDERS, *kinds.FILLINGS]).map(tree.Word)
RANKS = [["OR"], ["AND"], ["==", "!=", "<=", ">=", "<", ">"], ["+", "-"], ["*", "/"]]


def chains(inner: st.SearchStrategy[tree.Node], other: st.SearchStrategy[tree.Node]) -> st.SearchStrategy[tree.Node]:
    def of(rank: list[str]) -> st.SearchStrategy[tree.Node]:
        steps = st.lists(st.builds(tree.Step, st.sampled_from(rank), other), min_size=1, max_size=3).map(tuple)
        return st.builds(tree.Chain, inner, steps)

    return st.sampled_from(RANKS).flatmap(of)


def above(inner: st.SearchStrategy[tree.Node]) -> st.SearchStrategy[tree.Node]:
    several = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(
        chains(inner, inner),
        st.builds(tree.Negate, inner),
        st.builds(tree.Power, inner, inner),
        st.builds(tree.Array, several),
        st.builds(tree.Function, st.sampled_from(NAMES), several),
    )


TREES = st.recursive(st.one_of(REFS, NUMBERS, TEXTS, WORDS), above, max_leaves=12)

SERIES = st.recursive(
    REFS,
    lambda inner: st.one_of(
        chains(inner, st.one_of(inner, NUMBERS)),
        st.builds(tree.Power, inner, NUMBERS),
        st.builds(tree.Function, st.sampled_from([*kinds.MAPS, *kinds.MOMENTS]), st.tuples(inner)),
        st.builds(lambda one: tree.Function("FILL", (one, tree.Word("LINEAR"))), inner),
        st.builds(lambda a, b, c: tree.Function("IF", (a, b, c)), inner, st.one_of(inner, NUMBERS), inner),
        st.builds(lambda a, b: tree.Function("SUM", (tree.Array((a, b)),)), inner, inner),
        st.builds(lambda a: tree.Function("TIME_SERIES", (tree.Function("STDDEV", (a,)),)), inner),
    ),
    max_leaves=8,
)
VALUES = st.lists(st.one_of(st.just("-"), st.floats(-(2.0**360), 2.0**360).map(repr)), min_size=1, max_size=5)


@settings(max_examples=150)
@given(TREES)
def test_what_is_written_is_read_back(node: tree.Node) -> None:
    text = tree.serialize(node)
    try:
        found = parser.parse(text)
    except problems.MathError as problem:
        assert "deeper" in problem.text or "longer" in problem.text
        return
    assert found == node


@settings(max_examples=150)
@given(st.one_of(TREES.map(tree.serialize), SERIES.map(tree.serialize), st.text(max_size=30)), VALUES, VALUES)
def test_computing_raises_nothing_but_its_own_error(text: str, first: list[str], second: list[str]) -> None:
    queries = (stat("m1"), stat("m2"), stat("m3"), *_expressions(text))
    store = store_of(m1=" ".join(first), m2=" ".join(second))
    try:
        run = program.Run(program.compile_program(queries), store, START, START + 300, START + 300)
        found = run.series("x")
    except problems.MathError as problem:
        assert problem.text
        return
    for one in found:
        assert list(one.points) == sorted(one.points)
        assert all(math.isfinite(value) for value in one.points.values())


def _expressions(text: str) -> tuple[program.Query, ...]:
    return (program.Query(id="e0", expression="FILL(m1, REPEAT) - m2"), program.Query(id="x", expression=text))


@settings(max_examples=100)
@given(SERIES)
def test_series_are_computed(node: tree.Node) -> None:
    text = tree.serialize(node)
    if len(text) > 2048:
        return
    store = store_of(m1="1 - 3 0 5", m2="2 2 - -1 8", m3="0 1 0 - 1")
    try:
        compiled = program.compile_program((stat("m1"), stat("m2"), stat("m3"), *_expressions(text)))
    except problems.MathError as problem:
        assert "deeper" in problem.text
        return
    assert compiled.kind("x") == "TS"
    (found,) = program.Run(compiled, store, START, START + 300, START + 300).series("x")
    assert all(START <= moment < START + 300 for moment in found.points)


@given(st.text(max_size=40))
def test_any_search_is_read_or_refused(text: str) -> None:
    try:
        query = search.parse(text)
    except problems.MathError:
        return
    assert search.find(store_of(m1="1"), query, START + 60).cut is False


@given(st.floats(-1e18, 1e18), st.floats(1, 5e4))
def test_any_range_is_computed_or_refused(start: float, length: float) -> None:
    compiled = program.compile_program((stat("m1"), program.Query(id="x", expression="YEAR(m1) + FILL(m1, 1)")))
    run = program.Run(compiled, store_of(m1="1"), start, start + length, START)
    try:
        run.series("x")
    except problems.MathError as problem:
        assert "periods" in problem.text


def test_the_bounds_are_aws_s() -> None:
    assert len("m1" + "+m1" * 682) == 2048
    parser.parse("m1" + "+m1" * 682)
    with pytest.raises(problems.MathError):
        parser.parse("m1" + "+m1" * 682 + " ")
