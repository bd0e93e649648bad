"""Metric math computes what CloudWatch's page using-metric-math says (behaviour.md 2.5): its examples, one by one."""

from __future__ import annotations

from typing import Any

import pytest
from math_world import START, compute, one, run, stat, store_of

from roadstead.signals import metrics, series
from roadstead.signals.math import parser, problems, program, values

M1, M2 = "30 20 0 0", "20 - 20 -"


@pytest.mark.parametrize(
    ("expression", "result"),
    [("metric1 < metric2", "0 0 1 0"), ("metric1 >= 30", "1 0 0 0"), ("(metric1 > 15 AND metric2 > 15)", "1 0 0 0")],
)
def test_the_page_on_comparisons(expression: str, result: str) -> None:
    assert one(expression, metric1=M1, metric2=M2) == result
    assert one(expression.replace("AND", "&&"), metric1=M1, metric2=M2) == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("m1 == m2", "0 0 0 1 1"),
        ("m1 != m2", "1 1 1 0 0"),
        ("m1 <= m2", "1 0 0 1 1"),
        ("m1 > m2", "0 1 1 0 0"),
        ("m1 OR m2", "1 1 1 0 1"),
        ("m1 || m2", "1 1 1 0 1"),
        ("m1 AND m2", "1 0 1 0 1"),
        ("m1 < 5 OR m1 > 5 AND m2 > 5", "1 0 0 1 0"),
        ("2 < m1", "0 1 1 0 1"),
    ],
)
def test_operators_that_compare_and_join(expression: str, result: str) -> None:
    assert one(expression, m1="1 6 7 0 5", m2="2 - -1 0 5") == result


IF_TABLES = [
    ("IF(m1, m2, m3)", "30 0 20 - -"),
    ("IF(m1, 5, m3)", "5 5 20 - -"),
    ("IF(m1, m2, 5)", "30 0 5 5 -"),
    ("IF(m1, m2)", "30 0 - - -"),
    ("IF(m1, 5)", "5 5 - - -"),
    ("IF(m1, 5, 6)", "5 5 6 6 -"),
    ("IF(m1 > 0, m2, m3)", "30 0 20 - -"),
    ("IF(m1 - 1, 10, 20)", "20 20 10 10 -"),
    ("IF(PERIOD(m1) > 60, m2, m3)", "0 0 20 - 20"),
    ("IF(PERIOD(m1) > 60, m2)", "- - - - -"),
    ("IF(PERIOD(m1) == 60, m2)", "30 - 0 0 30"),
]


@pytest.mark.parametrize(("expression", "result"), IF_TABLES)
def test_the_page_on_if(expression: str, result: str) -> None:
    assert one(expression, m1="1 1 0 0 -", m2="30 - 0 0 30", m3="0 0 20 - 20") == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("IF(metric1<400, metric1)", "100 - 399 -"),
        ("IF(metric1<400, 10, 2)", "10 2 10 -"),
        ("IF(latency>threshold, 1, 0)", "1 0 0 0"),
    ],
)
def test_the_page_on_the_uses_of_if(expression: str, result: str) -> None:
    assert one(expression, metric1="100 400 399 -", latency="9 1 2 -", threshold="5 5 5 5") == result


ARITHMETIC = [
    ("5 * m1", ["5 10 - 0"]),
    ("m1 - m2", ["-3 2 -8 -5"]),
    ("m1 + m2", ["5 2 8 5"]),
    ("m1 / m2", ["0.25 - 0 0"]),  # by zero, and by a missing value: dropped
    ("m2 / m1", ["4 0 - -"]),
    ("100 / m1", ["100 50 - -"]),
    ("-5*m1", ["-5 -10 - 0"]),
    ("-m1", ["-1 -2 - 0"]),
    ("m1^2", ["1 4 - 0"]),
    ("2^m1", ["2 4 - 1"]),
    ("-m1^2", ["-1 -4 - 0"]),
    ("m1 ^ -1", ["1 0.5 - -"]),
    ("(0-m1) ^ 0.5", ["- - - 0"]),
    ("TIME_SERIES(2^3^0 - 1 - 4/2*3)", ["-5 -5 -5 -5"]),
    ("m1 + TIME_SERIES(1/0)", ["1 2 - 0"]),
    ("m1 * (1/0)", ["- - - -"]),
    ("PERIOD(m1)/60 * m1", ["1 2 - 0"]),
    ("m1/PERIOD(m1)", ["0.0166667 0.0333333 - 0"]),
    ("SUM(100/[m1, m2])", ["125 50 12.5 20"]),
    ("AVG([m1,m2]/m3)", ["0.25 0.1 0.4 0.25"]),
    ("METRICS()*100", ["100 200 - 0", "400 - 800 500", "1000 1000 1000 1000"]),
    ("METRICS()/100", ["0.01 0.02 - 0", "0.04 - 0.08 0.05", "0.1 0.1 0.1 0.1"]),
    ("SUM(-[m1, m2])", ["-5 -2 -8 -5"]),
    ("m3 - [m1, m2]", ["9 8 10 10", "6 10 2 5"]),
    ("1e2 + .5 * m1", ["100.5 101 - 100"]),
]


@pytest.mark.parametrize(("expression", "results"), ARITHMETIC)
def test_the_page_on_arithmetic(expression: str, results: list[str]) -> None:
    assert compute(expression, m1="1 2 - 0", m2="4 - 8 5", m3="10 10 10 10") == results


FUNCTIONS = [
    ("ABS(m1-m2)", ["1 6 1"]),
    ("MIN(ABS([m1, m2]))", ["1.5 2 2"]),
    ("ABS(METRICS())", ["1.5 4 2", "2.5 2 3"]),
    ("SUM([m1,m2])/AVG(m2)", ["1.6 -0.8 2"]),
    ("AVG(METRICS())", ["2 -1 2.5"]),
    ("CEIL(m1)", ["2 -4 2"]),
    ("CEIL(METRICS())", ["2 -4 2", "3 2 3"]),
    ("SUM(CEIL(METRICS()))", ["5 -2 5"]),
    ("FLOOR(m1)", ["1 -4 2"]),
    ("FLOOR(METRICS())", ["1 -4 2", "2 2 3"]),
    ("SUM(m1) / DATAPOINT_COUNT(m1) + m2", ["2.33333 1.83333 2.83333"]),
    ("DATAPOINT_COUNT(METRICS())", ["2 2 2"]),
    ("m1-MIN(m1)", ["5.5 0 6"]),
    ("MIN(METRICS())", ["1.5 -4 2"]),
    ("MAX(m1)/m1", ["1.33333 -0.5 1"]),
    ("MAX(METRICS())", ["2.5 2 3"]),
    ("m1-AVG(m1)", ["1.66667 -3.83333 2.16667"]),
    ("SUM(METRICS())/SUM(m2)", ["0.533333 -0.266667 0.666667"]),
    ("m1/METRIC_COUNT(METRICS())", ["0.75 -2 1"]),
    ("LOG(METRICS())", ["0.405465 - 0.693147", "0.916291 0.693147 1.09861"]),
    ("LOG10(m2 * 40)", ["2 1.90309 2.07918"]),
    ("DIFF(m1)", ["- -5.5 6"]),
    ("DIFF_TIME(METRICS())", ["- 60 60", "- 60 60"]),
    ("RATE(m1)", ["- -0.0916667 0.1"]),
    ("RATE(METRICS())", ["- -0.0916667 0.1", "- -0.00833333 0.0166667"]),
    ("RUNNING_SUM([m1,m2])", ["1.5 -2.5 -0.5", "2.5 4.5 7.5"]),
    ("m1/STDDEV(m2)", ["3.67423 -9.79796 4.89898"]),
    ("STDDEV(METRICS())", ["0.5 3 0.5"]),
    ("TIME_SERIES(MAX(m1))", ["2 2 2"]),
    ("TIME_SERIES(5*AVG(m2))", ["12.5 12.5 12.5"]),
    ("TIME_SERIES(10)", ["10 10 10"]),
    ("IF(FIRST(SORT(METRICS(), AVG, DESC))>2, 1, 0)", ["1 0 1"]),
    ("LAST(SORT(METRICS(), AVG, DESC))", ["1.5 -4 2"]),
    ("SORT(METRICS(), AVG, DESC, 10)", ["2.5 2 3", "1.5 -4 2"]),
    ("SORT(METRICS(), MAX, ASC)", ["1.5 -4 2", "2.5 2 3"]),
    ("SORT(METRICS(), MIN, DESC, 1)", ["2.5 2 3"]),
    ("SLICE(SORT(METRICS(), SUM, DESC), 0, 1)", ["2.5 2 3"]),
    ("SLICE(SORT(METRICS(), AVG, ASC), 1)", ["2.5 2 3"]),
    ("SLICE(METRICS(), 5)", []),
    ("REMOVE_EMPTY([m1, IF(m1 > 100, m1), m2])", ["1.5 -4 2", "2.5 2 3"]),
]


@pytest.mark.parametrize(("expression", "results"), FUNCTIONS)
def test_the_page_on_functions(expression: str, results: list[str]) -> None:
    assert compute(expression, m1="1.5 -4 2", m2="2.5 2 3") == results


def test_metrics_are_chosen_by_their_ids() -> None:
    given: Any = {"errors4xx": "1 2", "errors5xx": "3 4", "requests": "100 50"}
    assert one('SUM(METRICS("errors"))', **given) == "4 6"
    assert one('SUM(METRICS("errors"))/SUM(METRICS("requests"))*100', **given) == "4 12"
    assert one('SUM([METRICS("4xx"), METRICS("5xx")])', **given) == "4 6"
    assert compute('METRICS("none")', **given) == []
    assert one('SUM(METRICS("none"))', **given) == "- -"


@pytest.mark.parametrize(
    ("expression", "results"),
    [
        ("FILL(m1,10)", ["10 2 10 10 8 10"]),
        ("FILL(METRICS(), 0)", ["0 2 0 0 8 0", "7 7 7 - 7 7".replace("-", "0")]),
        ("FILL(METRICS(), m2)", ["7 2 7 - 8 7", "7 7 7 - 7 7"]),
        ("FILL(m1, m2)", ["7 2 7 - 8 7"]),
        ("FILL(m1, MIN(m1))", ["2 2 2 2 8 2"]),
        ("FILL(m1, REPEAT)", ["- 2 2 2 8 8"]),
        ("FILL(METRICS(), LINEAR)", ["- 2 4 6 8 -", "7 7 7 7 7 7"]),
        ("DIFF(m1)", ["- - - - 6 -"]),
        ("DIFF_TIME(m1)", ["- - - - 180 -"]),
        ("RATE(m1)", ["- - - - 0.0333333 -"]),
        ("RUNNING_SUM(m1)", ["- 2 - - 10 -"]),
        ("AVG(METRICS())", ["3.5 4.5 3.5 - 7.5 3.5"]),
        ("MIN(METRICS())", ["7 2 7 - 7 7"]),
        ("DATAPOINT_COUNT(METRICS())", ["1 2 1 - 2 1"]),
        ("TIME_SERIES(DATAPOINT_COUNT(m1))", ["2 2 2 2 2 2"]),
        ("TIME_SERIES(AVG(m1))", ["5 5 5 5 5 5"]),
    ],
)
def test_gaps(expression: str, results: list[str]) -> None:
    assert compute(expression, m1="- 2 - - 8 -", m2="7 7 7 - 7 7") == results


def test_an_empty_series_has_no_average_but_a_sum() -> None:
    assert one("TIME_SERIES(AVG(m1))", m1="- -") == "- -"
    assert one("TIME_SERIES(MAX(m1) + 1)", m1="- -") == "- -"
    assert one("TIME_SERIES(SUM(m1))", m1="- -") == "0 0"
    assert one("FILL(m1, AVG(m1))", m1="- -") == "- -"
    assert compute("SORT(METRICS(), MIN, DESC)", m1="- -", m2="1 1", m3="2 2") == ["2 2", "1 1", "- -"]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("MINUTE", 0, 59), ("HOUR", 0, 0), ("DAY", 2, 2), ("DATE", 14, 14), ("MONTH", 11, 11), ("YEAR", 2023, 2023)],
)
def test_moments_are_utc_and_need_no_point(name: str, first: int, last: int) -> None:
    (found,) = run(f"{name}(m1)", minutes=60, m1="1").series("x")
    assert [found.points[START], found.points[START + 59 * 60]] == [first, last]
    assert len(found.points) == 60


def test_the_week_begins_on_monday_and_hours_go_round() -> None:
    queries = (stat("m1", 3600), program.Query(id="x", expression="DAY(m1) * 100 + HOUR(m1)"))
    end = START + 7 * 86400
    (found,) = program.Run(program.compile_program(queries), store_of(m1="1"), START, end, end).series("x")
    days = [2, 3, 4, 5, 6, 7, 1]
    assert list(found.points.values()) == [day * 100 + hour for day in days for hour in range(24)]


def test_the_page_on_weekdays_and_april() -> None:
    assert one("IF(DAY(m1)<6,m1)", m1="1 2") == "1 2", "a Tuesday"
    assert one("IF(MONTH(m1) == 4,m1)", m1="1 2") == "- -", "November"
    assert one("IF((DAY(m1)<6 AND (HOUR(m1)>=9 AND HOUR(m1)<17)),m1)", m1="1 2") == "- -", "midnight"
    (found,) = run("EPOCH(m1)", minutes=2, m1="1").series("x")
    assert found.points == {START: START, START + 60: START + 60}


# -- several queries


def ask(*queries: program.Query, query_id: str, **given: str) -> list[tuple[str, list[float]]]:
    subject = program.Run(program.compile_program(queries), store_of(**given), START, START + 120, START + 120)
    return [(one.label, list(one.points.values())) for one in subject.series(query_id)]


def expression(query_id: str, text: str, **more: str | int) -> program.Query:
    return program.Query(id=query_id, expression=text, **more)  # type: ignore[arg-type]


def test_expressions_use_expressions_whatever_their_order() -> None:
    queries = (expression("e3", "e2 - e1"), expression("e2", "e1 * 2"), stat("m1"), expression("e1", "m1 + 1"))
    assert ask(*queries, query_id="e3", m1="1 2") == [("e3", [2.0, 3.0])]


def test_a_long_way_of_expressions_is_no_deep_stack() -> None:
    queries = [stat("m1"), expression("e0", "m1")]
    queries += [expression(f"e{number}", f"e{number - 1} + 1") for number in range(1, 499)]
    assert ask(*queries, query_id="e498", m1="1 2") == [("e498", [499.0, 500.0])]
    terms = "+".join(["m1"] * 600)
    assert ask(stat("m1"), expression("e1", terms), query_id="e1", m1="1 2") == [("e1", [600.0, 1200.0])]


@pytest.mark.parametrize(
    ("label", "labels"), [(None, ["Errors", "m2"]), ("Filled With 0:", ["Filled With 0: Errors", "Filled With 0: m2"])]
)
def test_the_series_of_an_array_carry_both_labels(label: str | None, labels: list[str]) -> None:
    errors = program.Query(id="m1", stat=stat("m1").stat, label="Errors")
    query = program.Query(id="e1", expression="FILL(METRICS(), 0)", label=label)
    found = ask(errors, stat("m2"), query, query_id="e1", m1="1 -", m2="- 2")
    assert found == [(labels[0], [1.0, 0.0]), (labels[1], [0.0, 2.0])]


def test_metrics_means_metrics_and_not_expressions() -> None:
    queries = (stat("m1"), stat("m2"), expression("e1", "m1 * 100"), expression("e2", "SUM(METRICS())"))
    assert ask(*queries, query_id="e2", m1="1 2", m2="1 1") == [("e2", [2.0, 3.0])]


class Counting(series.SeriesStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def statistics(self, metric: metrics.Metric, *rest: object) -> list[series.Point]:
        self.read.append(metric.name)
        return super().statistics(metric, *rest)  # type: ignore[arg-type]


def test_each_metric_is_read_once_and_only_if_it_is_needed() -> None:
    queries = (*map(stat, ("m1", "m2", "m3")), expression("e1", "m1 * m1 + m2"), expression("e2", "m3"))
    store = Counting()
    subject = program.Run(program.compile_program(queries), store, START, START + 120, START + 120)
    subject.series("e1")
    subject.series("m1")
    assert sorted(store.read) == ["m1", "m2"]


# -- refusals


REFUSED = [
    ("m1 +", "Invalid syntax: unexpected end"),
    ("m1 ? 2", "Invalid syntax: unexpected '?' at 3"),
    ("(m1", "Invalid syntax: unexpected end"),
    ("m1)", "Invalid syntax: unexpected ')' at 2"),
    ("5m1", "Invalid syntax: unexpected 'm1' at 1"),
    ("'m1", "Invalid syntax: unexpected ''' at 0"),
    ("AVG", "Invalid syntax: unexpected AVG"),
    ("'text'", "Invalid syntax: unexpected 'text'"),
    ("1e999 * m1", "The number 1e999 is too large"),
    ("m9 + m1", "Undefined variable 'm9'"),
    ("ANOMALY_DETECTOR(m1)", "Function 'ANOMALY_DETECTOR' not found"),
    ("avg(m1)", "Invalid syntax: unexpected '(' at 3"),
    ("AVG(m1)", "The result must be a time series or an array of time series, not a scalar"),
    ("5", "The result must be a time series or an array of time series, not a scalar"),
    (
        "METRICS() + METRICS()",
        "Unsupported operand type(s) for +: 'Array[TimeSeries]' and 'Array[TimeSeries]'",
    ),
    (
        "METRICS() > 5",
        "Unsupported operand type(s) for >: 'Array[TimeSeries]' and 'Scalar'",
    ),
    ("[]", "An array must have at least one time series"),
    ("[m1, 5]", "An array can have time series only, not a scalar"),
    ("ABS(5)", "Unsupported type for argument 1 of function 'ABS': 'Scalar'"),
    ("ABS(m1, m1)", "Function 'ABS' takes 1 argument(s), not 2"),
    ("ABS()", "Function 'ABS' takes 1 argument(s), not 0"),
    ("DAY(METRICS())", "Unsupported type for argument 1 of function 'DAY': 'Array[TimeSeries]'"),
    ("FIRST(m1)", "Unsupported type for argument 1 of function 'FIRST': 'TimeSeries'"),
    ("FILL(m1, FORWARD)", "Invalid syntax: unexpected FORWARD"),
    ("FILL(m1, METRICS())", "Unsupported type for argument 2 of function 'FILL': 'Array[TimeSeries]'"),
    ("IF(1, 2, 3)", "Unsupported type for argument 2 of function 'IF': 'Scalar'"),
    ("IF(m1)", "Function 'IF' takes 2 to 3 argument(s), not 1"),
    ("IF(METRICS(), m1)", "Unsupported type for argument 1 of function 'IF': 'Array[TimeSeries]'"),
    ("METRICS(m1)", "Unsupported type for argument 1 of function 'METRICS'"),
    (
        "m1 / PERIOD(m1 + m1)",
        "Function 'PERIOD' takes the Id of a metric, not the result of an expression",
    ),
    ("SORT(METRICS(), STDDEV, ASC)", "Argument 2 of function 'SORT' must be one of AVG, MIN, MAX, SUM"),
    ("SORT(METRICS(), AVG, UP)", "Argument 3 of function 'SORT' must be one of ASC, DESC"),
    ("SLICE(METRICS(), m1)", "Unsupported type for argument 2 of function 'SLICE': 'TimeSeries'"),
    ("TIME_SERIES(m1)", "Unsupported type for argument 1 of function 'TIME_SERIES': 'TimeSeries'"),
    ("SEARCH(m1, 'Sum')", "Function 'SEARCH' takes a search expression and a statistic, both in quotes"),
    ("SEARCH('cpu', 'Middle', 60)", "The statistic 'Middle' is not supported"),
    ("SEARCH('cpu', 'Sum', 61)", "The period of function 'SEARCH' must be 1, 5, 10, 20, 30 or a multiple of 60"),
    ("SEARCH('', 'Sum', 60)", "Invalid search expression: it needs a metric schema or a search term"),
    (
        "ANOMALY_DETECTION_BAND(m1)",
        "Function 'ANOMALY_DETECTION_BAND' is not supported: Roadstead has no anomaly detection",
    ),
    (
        "INSIGHT_RULE_METRIC('r', 'Sum')",
        "Function 'INSIGHT_RULE_METRIC' is not supported: Roadstead has no Contributor Insights",
    ),
    ("SERVICE_QUOTA(m1)", "Function 'SERVICE_QUOTA' is not supported: Roadstead has no Service Quotas"),
    ("LAMBDA('f')", "Function 'LAMBDA' is not supported: Roadstead has no Lambda data sources"),
    (
        "DB_PERF_INSIGHTS('RDS', 'db', 'x')",
        "Function 'DB_PERF_INSIGHTS' is not supported: Roadstead has no Performance Insights",
    ),
    ("SELECT AVG(CPUUtilization) FROM \"AWS/EC2\"", "Roadstead does not support Metrics Insights queries"),
    ("x + m1", "The expression refers to itself, directly or by others"),
    ("(" * 33 + "m1" + ")" * 33, "The expression is nested deeper than 32"),
    ("-" * 33 + "m1", "The expression is nested deeper than 32"),
    ("m1" + "+m1" * 700, "The expression is longer than 2048 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "refusal"), REFUSED)
def test_what_is_refused_says_why(text: str, refusal: str) -> None:
    with pytest.raises(problems.MathError) as caught:
        program.compile_program((stat("m1"), expression("x", text)))
    assert caught.value.text == f"Error in expression 'x': {refusal}"


def test_expressions_that_go_round_are_refused() -> None:
    queries = (stat("m1"), expression("a", "b + 1"), expression("b", "m1 + c"), expression("c", "a"))
    with pytest.raises(problems.MathError, match="Error in expression 'a': The expression refers to itself"):
        program.compile_program(queries)


def test_periods_of_one_expression_are_the_same() -> None:
    with pytest.raises(problems.MathError, match="the same period here, not 60, 300"):
        program.compile_program((stat("m1"), stat("m2", 300), expression("e1", "m1 + m2")))
    with pytest.raises(problems.MathError, match="the same period here, not 60, 300"):
        program.compile_program((stat("m1"), expression("e1", "SUM(SEARCH('x', 'Sum', 300)) + m1")))
    with pytest.raises(
        problems.MathError, match=r"Period must be that of the expression's metrics \(60\) here, not 300"
    ):
        program.compile_program((stat("m1"), expression("e1", "m1 * 2", period_seconds=300)))
    apart = program.compile_program((stat("m1"), stat("m2", 300), expression("e1", "m1"), expression("e2", "m2")))
    assert [apart.period_seconds(one) for one in ("m1", "e1", "e2")] == [60, 60, 300]
    alone = program.compile_program((expression("e1", "TIME_SERIES(1)", period_seconds=300),))
    assert alone.period_seconds("e1") == 300


def test_too_much_is_refused() -> None:
    long = program.compile_program((stat("m1"), expression("x", "FILL(m1, 0)")))
    subject = program.Run(long, store_of(m1="1"), START, START + 60 * 100_801, START)
    with pytest.raises(problems.MathError, match="Error in expression 'x': The range has more than 100800 periods"):
        subject.series("x")
    with pytest.raises(problems.MathError, match="computes more than 10 data points"):
        values.Budget(10).spend(11)
    searches = [expression(f"e{number}", "SEARCH('x', 'Sum', 60)") for number in range(101)]
    with pytest.raises(problems.MathError, match="more than 100 SEARCH"):
        program.compile_program(tuple(searches))


def test_the_deepest_expression_computes() -> None:
    deep = "m1"
    for _ in range(10):
        deep = f"(1 > 2 OR 1 AND 2 + 2 * -({deep}))"
    parser.parse(deep)
    assert one(deep, m1="1 2") == "1 0"
