"""The queries of one request or alarm, compiled together, and their computation.

In: `Query`s, each a metric with a statistic or an expression that may refer to the others by their Ids.
`compile_program` parses and checks them and finds the order in which they are computed; `Run` reads what it needs from
the series and computes. Ids must be unique and well-formed: that is the API's to refuse.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from roadstead.signals import metrics, retention, series
from roadstead.signals.math import evaluator, kinds, parser, problems, search, tree, values

SEARCHES_MAX = 100
"""SEARCH functions in one request ("as many as 100 search expressions on one graph")."""
PERIOD_SECONDS_DEFAULT = 60
"""Period of an expression that has no metric and names none itself."""
CACHED_PROGRAMS = 4096
"""Compiled programs that are kept: alarms are evaluated every minute with the same queries."""


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's statistic (a name that `percentiles.parse` knows) over periods of so many seconds."""

    metric: metrics.Metric
    statistic: str
    period_seconds: int
    unit: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One of `stat` and `expression`. `period_seconds` is an expression's own Period, where it was given."""

    id: str
    stat: Stat | None = None
    expression: str | None = None
    label: str | None = None
    period_seconds: int | None = None


class Formula(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled expression: `needs` are the Ids it is computed from; `period_seconds` is that of its metrics."""

    node: tree.Node
    kind: kinds.Kind
    needs: tuple[str, ...]
    period_seconds: int
    searches: int


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """Compiled queries; `order` are the expressions' Ids, each behind those that it needs."""

    queries: Mapping[str, Query]
    formulas: Mapping[str, Formula]
    order: tuple[str, ...]
    searches: int

    def kind(self, query_id: str) -> kinds.Kind:
        """What kind of value the query gives."""
        formula = self.formulas.get(query_id)
        return formula.kind if formula is not None else "TS"

    def period_seconds(self, query_id: str) -> int:
        """The seconds between a query's points."""
        stat = self.queries[query_id].stat
        return stat.period_seconds if stat is not None else self.formulas[query_id].period_seconds


# -- compiling


@functools.lru_cache(maxsize=CACHED_PROGRAMS)
def compile_program(queries: tuple[Query, ...]) -> Program:
    """The program of these queries. Raises MathError with CloudWatch's words where an expression is wrong."""
    by_id = {query.id: query for query in queries}
    nodes: dict[str, tree.Node] = {}
    for query in queries:
        if query.expression is not None:
            nodes[query.id] = _parse(query.id, query.expression)
    metric_ids = frozenset(query.id for query in queries if query.stat is not None)
    needs = {query_id: _needs(node, metric_ids) for query_id, node in nodes.items()}
    order = _order(needs)
    known: dict[str, kinds.Kind] = dict.fromkeys(metric_ids, "TS")
    formulas: dict[str, Formula] = {}
    for query_id in order:
        try:
            kind = kinds.check(nodes[query_id], kinds.Scope(known, metric_ids))
            if kind == "S":
                raise problems.MathError("The result must be a time series or an array of time series, not a scalar")
            periods = _periods(nodes[query_id], needs[query_id], by_id, formulas)
            formulas[query_id] = Formula(
                node=nodes[query_id],
                kind=kind,
                needs=needs[query_id],
                period_seconds=_period(by_id[query_id].period_seconds, periods),
                searches=sum(1 for _ in _calls(nodes[query_id], "SEARCH")),
            )
        except problems.MathError as problem:
            raise problems.in_expression(query_id, problem) from None
        known[query_id] = kind
    searches = sum(formula.searches for formula in formulas.values())
    if searches > SEARCHES_MAX:
        raise problems.MathError(f"The expressions have more than {SEARCHES_MAX} SEARCH functions")
    return Program(queries=by_id, formulas=formulas, order=order, searches=searches)


def _parse(query_id: str, expression: str) -> tree.Node:
    try:
        if expression.lstrip()[:6].upper() == "SELECT":
            raise problems.MathError("Roadstead does not support Metrics Insights queries")
        return parser.parse(expression)
    except problems.MathError as problem:
        raise problems.in_expression(query_id, problem) from None


def _walk(node: tree.Node) -> Iterator[tree.Node]:
    """The node and all below it."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(tree.children(current))


def _calls(node: tree.Node, name: str) -> Iterator[tree.Function]:
    for one in _walk(node):
        if isinstance(one, tree.Function) and one.name == name:
            yield one


def _needs(node: tree.Node, metric_ids: frozenset[str]) -> tuple[str, ...]:
    found = {one.id for one in _walk(node) if isinstance(one, tree.Ref)}
    for call in _calls(node, "METRICS"):
        text = call.arguments[0] if call.arguments else None
        part = text.value if isinstance(text, tree.Text) else ""
        found |= {metric_id for metric_id in metric_ids if part in metric_id}
    return tuple(sorted(found))


def _order(needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The expressions, each behind those that it needs. Raises MathError where that goes round."""
    waits = {query_id: {need for need in wanted if need in needs} for query_id, wanted in needs.items()}
    needed_by: dict[str, list[str]] = {query_id: [] for query_id in needs}
    for query_id, wanted in waits.items():
        for need in wanted:
            needed_by[need].append(query_id)
    ready = [query_id for query_id, wanted in waits.items() if not wanted]
    order: list[str] = []
    while ready:
        query_id = ready.pop()
        order.append(query_id)
        for other in needed_by[query_id]:
            waits[other].discard(query_id)
            if not waits[other]:
                ready.append(other)
    if len(order) < len(needs):
        stuck = min(query_id for query_id in needs if query_id not in set(order))
        raise problems.in_expression(
            stuck, problems.MathError("The expression refers to itself, directly or by others")
        )
    return tuple(order)


def _periods(
    node: tree.Node, needs: Iterable[str], by_id: Mapping[str, Query], formulas: Mapping[str, Formula]
) -> set[int]:
    """The periods of all that the expression is computed from."""
    periods: set[int] = set()
    for need in needs:
        stat = by_id[need].stat
        periods.add(stat.period_seconds if stat is not None else formulas[need].period_seconds)
    for call in _calls(node, "SEARCH"):
        seconds = kinds.search_period(call.arguments)
        if seconds is not None:
            periods.add(seconds)
    return periods


def _period(own: int | None, periods: set[int]) -> int:
    if len(periods) > 1:
        listed = ", ".join(map(str, sorted(periods)))
        raise problems.MathError(f"All metrics of an expression must have the same period here, not {listed}")
    if not periods:
        return PERIOD_SECONDS_DEFAULT if own is None else own
    (period,) = periods
    if own is not None and own != period:
        raise problems.MathError(f"Period must be that of the expression's metrics ({period}) here, not {own}")
    return period


# -- computing


class Run:
    """One computation over [start, end) as of `now`. Reads each metric once, and only what is asked for."""

    def __init__(self, program: Program, view: series.SeriesView, start: float, end: float, now: float) -> None:
        self._program = program
        self._view = view
        self._range = (start, end, now)
        self._budget = values.Budget()
        self._values: dict[str, values.Value] = {}
        self.is_cut = False
        """Whether a SEARCH found more than it may give."""

    def series(self, query_id: str) -> tuple[values.Series, ...]:
        """The series of a query, labelled: one, or those of an array. Raises MathError where it takes too much."""
        query = self._program.queries[query_id]
        if query.stat is not None:
            return (self._metric(query_id),)
        self._compute(query_id)
        value = self._values[query_id]
        if isinstance(value, values.Series):
            return (values.Series(value.points, query_id if query.label is None else query.label),)
        assert isinstance(value, tuple), "compile_program refuses scalars"
        before = query.label or ""
        return tuple(values.Series(one.points, f"{before} {one.label}".strip() or query_id) for one in value)

    def _metric(self, query_id: str) -> values.Series:
        present = self._values.get(query_id)
        if present is None:
            query = self._program.queries[query_id]
            assert query.stat is not None, "a metric"
            label = query.stat.metric.name if query.label is None else query.label
            present = self._values[query_id] = self._read(query.stat, label)
        assert isinstance(present, values.Series), "a metric is a series"
        return present

    def _read(self, stat: Stat, label: str) -> values.Series:
        start, end, now = self._range
        read = self._view.statistics(stat.metric, stat.unit, start, end, stat.period_seconds, (stat.statistic,), now)
        self._budget.spend(len(read))
        return values.Series({point.timestamp: point.values[stat.statistic] for point in read}, label)

    def _compute(self, query_id: str) -> None:
        """The value of an expression, with those that it needs before it."""
        wanted = self._needed(query_id)
        for one in self._program.order:
            if one not in wanted or one in self._values:
                continue
            formula = self._program.formulas[one]
            for need in formula.needs:
                if need not in self._program.formulas:
                    self._metric(need)
            try:
                self._values[one] = evaluator.evaluate(formula.node, self._context(formula))
            except problems.MathError as problem:
                raise problems.in_expression(one, problem) from None

    def _needed(self, query_id: str) -> set[str]:
        """The expression, and the expressions that it needs, by however many steps."""
        found: set[str] = set()
        waiting = [query_id]
        while waiting:
            current = waiting.pop()
            if current not in found and current in self._program.formulas:
                found.add(current)
                waiting.extend(self._program.formulas[current].needs)
        return found

    def _context(self, formula: Formula) -> evaluator.Context:
        start, end, now = self._range
        first, until = retention.round_range(start, end, formula.period_seconds, now)
        return evaluator.Context(
            known=self._values,
            periods=_MetricPeriods(self._program),
            grid=values.Grid(first, until, formula.period_seconds),
            budget=self._budget,
            metrics=self._metrics,
            search=lambda text, statistic, period: self._search(text, statistic, period or formula.period_seconds),
        )

    def _metrics(self, part: str) -> tuple[values.Series, ...]:
        queries = self._program.queries.values()
        return tuple(self._metric(query.id) for query in queries if query.stat is not None and part in query.id)

    def _search(self, text: str, statistic: str, period_seconds: int) -> tuple[values.Series, ...]:
        found = search.find(self._view, search.parse(text), self._range[2])
        self.is_cut = self.is_cut or found.cut
        return tuple(
            self._read(
                Stat(metric=one, statistic=statistic, period_seconds=period_seconds),
                search.label(one, found.metrics),
            )
            for one in found.metrics
        )


class _MetricPeriods(Mapping[str, int]):
    """The periods of a program's metrics by Id, without a copy for each expression."""

    def __init__(self, program: Program) -> None:
        self._queries = program.queries

    def __getitem__(self, query_id: str) -> int:
        stat = self._queries[query_id].stat
        if stat is None:
            raise KeyError(query_id)
        return stat.period_seconds

    def __iter__(self) -> Iterator[str]:
        return (query.id for query in self._queries.values() if query.stat is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
