"""SEARCH finds what CloudWatch's page search-expression-syntax says."""

from __future__ import annotations

import pytest

from roadstead.signals import metrics, series
from roadstead.signals.math import problems, program, search

NOW = 1_700_000_040.0
KNOWN = {
    "count": metrics.metric("MyNamespace", "CustomCount1", [("Host", "a")]),
    "named": metrics.metric("MyNamespace", "Latency", [("Kind", "CustomCount1")]),
    "network": metrics.metric("Net", "Network-Errors-2", [("LoadBalancer", "net/one")]),
    "networks": metrics.metric("Net", "NetworkErrors2", [("LoadBalancer", "net/two")]),
    "cpu": metrics.metric("AWS/EC2", "CPUUtilization", [("InstanceId", "i-1234567890123456")]),
    "cpu2": metrics.metric("AWS/EC2", "CPUUtilization", [("InstanceId", "i-2")]),
    "micro": metrics.metric("AWS/EC2", "CPUUtilization", [("InstanceType", "t2.micro")]),
    "both": metrics.metric("AWS/EC2", "CPUUtilization", [("InstanceId", "i-2"), ("InstanceType", "t2.micro")]),
    "reads": metrics.metric("AWS/EBS", "VolumeReadOps", [("VolumeId", "vol-1")]),
    "disk": metrics.metric("AWS/EC2", "DiskReadOps", [("InstanceId", "ProjectA")]),
    "errors": metrics.metric("AWS/Lambda", "Errors", [("FunctionName", "plain")]),
    "calls": metrics.metric("AWS/Lambda", "Invocations", [("FunctionName", "ProjectB")]),
    "others": metrics.metric("AWS/Lambda", "Invocations", [("FunctionName", "plain")]),
    "odd": metrics.metric("My Namespace", "Custom:Name[Special_Characters", [("Dimension@Name", "x")]),
    "france": metrics.metric("Traffic", "Europe\\France Traffic(Network)"),
    "bare": metrics.metric("Plain", "Thing"),
}


def store() -> series.SeriesStore:
    made = series.SeriesStore()
    for metric in KNOWN.values():
        assert made.put(metrics.Datum(metric=metric, timestamp=NOW, values=(1.0,)), NOW)
    return made


def find(text: str) -> set[str]:
    found = search.find(store(), search.parse(text), NOW)
    assert not found.cut
    names = {metric: name for name, metric in KNOWN.items()}
    return {names[metric] for metric in found.metrics}


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("CustomCount1", ["Custom", "Count", "1"]),
        ("SDBFailure", ["SDB", "Failure"]),
        ("Project2-trial333", ["Project", "2", "trial", "333"]),
        ("couNT", ["cou", "NT"]),
    ],
)
def test_names_are_cut_into_tokens(name: str, tokens: list[str]) -> None:
    assert list(search.tokens_of(name)) == tokens


INSTANCES = {"cpu", "cpu2", "disk"}
SEARCHES: list[tuple[str, set[str]]] = [
    ('{AWS/EC2,InstanceId} MetricName="CPUUtilization"', {"cpu", "cpu2"}),
    ("{AWS/EC2,InstanceId}", INSTANCES),
    ("{AWS/EC2, InstanceType, InstanceId}", {"both"}),
    ("{AWS/EC2}", INSTANCES | {"micro", "both"}),
    ("{Plain}", {"bare"}),
    # partial matches
    ("count", {"count", "named"}),
    ("Count", {"count", "named"}),
    ("COUNT", {"count", "named"}),
    ("couNT", set()),
    ("CustomCount", {"count", "named"}),
    ("Count1", {"count", "named"}),
    ("customcount", set()),
    ("count1", set()),
    ("customcount1", {"count", "named"}),
    # exact ones
    (' {MyNamespace}, "CustomCount1" ', {"named", "count"} - {"named"} | {"named"}),
    (' {MyNamespace}, "customcount1" ', set()),
    (' {MyNamespace}, "Custom" ', set()),
    ('{Net, LoadBalancer} "Network-Errors-2" OR two ', {"network", "networks"}),
    (' {"My Namespace", "Dimension@Name"}, "Custom:Name[Special_Characters" ', {"odd"}),
    ('"Europe\\\\France Traffic\\(Network\\)"', {"france"}),
    # without a schema, with properties
    ('"AWS/EC2" MetricName="CPUUtilization"', {"cpu", "cpu2", "micro", "both"}),
    ('MetricName="CustomCount1"', {"count"}),
    ("InstanceType=micro", {"micro", "both"}),
    ('InstanceType="t2.micro" Namespace="AWS/EC2"', {"micro", "both"}),
    ('"Dimension@Name"="x"', {"odd"}),
    ('InstanceId=("i-2" OR "ProjectA")', {"cpu2", "both", "disk"}),
    # characters between tokens
    ("network/errors", {"network", "networks"}),
    ("network+errors", {"network", "networks"}),
    ("network-errors", {"network", "networks"}),
    ("Network_Errors", {"network", "networks"}),
    ('"Network_Errors_2"', set()),
    # Boolean operators
    ("{Net,LoadBalancer} network AND errors", {"network", "networks"}),
    ("{Net,LoadBalancer} network errors one", {"network"}),
    ('{AWS/EC2,InstanceId} MetricName="CPUUtilization" NOT i-1234567890123456 ', {"cpu2"}),
    ("NOT Namespace=AWS ", {"count", "named", "network", "networks", "odd", "france", "bare"}),
    ('{AWS/EC2} NOT "i-2" NOT "ProjectA"', {"cpu", "micro"}),
    ("(EC2 OR EBS) AND MetricName=ReadOps", {"reads", "disk"}),
    ("(EC2 OR EBS) MetricName=ReadOps", {"reads", "disk"}),
    ("(EC2 OR EBS) AND ReadOps AND ProjectA", {"disk"}),
    (
        '{AWS/Lambda,FunctionName} MetricName="Errors" OR (MetricName="Invocations" AND (ProjectA OR ProjectB))',
        {"errors", "calls"},
    ),
    ("one OR two AND nothing", {"network"}),
    ("and", set()),
]


@pytest.mark.parametrize(("text", "found"), SEARCHES)
def test_the_page_on_search(text: str, found: set[str]) -> None:
    assert find(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "  ", "{", "{}", "{A", "{A,}", '{A} "open', "(a", "a)", "a OR", "OR a", "a = ", "= a", "NOT", "---",
     "(" * 20 + "a" + ")" * 20, "a" * 1025],
)  # fmt: skip
def test_what_is_no_search_is_refused(text: str) -> None:
    with pytest.raises(problems.MathError):
        search.parse(text)


def compute(text: str) -> list[tuple[str, list[float]]]:
    queries = (program.Query(id="e1", expression=text),)
    run = program.Run(program.compile_program(queries), store(), NOW, NOW + 60, NOW + 60)
    return [(one.label, list(one.points.values())) for one in run.series("e1")]


def test_search_within_expressions() -> None:
    text = "SEARCH(' {AWS/EC2, InstanceId} MetricName=\"CPUUtilization\" ', 'SampleCount', 60)"
    assert compute(text) == [("i-1234567890123456", [1.0]), ("i-2", [1.0])]
    assert compute(f"SUM({text})") == [("e1", [2.0])]
    assert compute("SEARCH('{AWS/EC2, InstanceId}', 'Sum', 60) * 3")[-1] == ("ProjectA DiskReadOps", [3.0])
    assert compute('SEARCH("{AWS/EC2, InstanceId} \\"i-2\\"", "Sum")') == [("i-2", [1.0])]
    assert compute("SEARCH('{Nothing}', 'Sum', 60)") == []


def test_a_search_gives_no_more_than_it_may() -> None:
    crowd = series.SeriesStore()
    for number in range(search.SERIES_MAX + 1):
        metric = metrics.metric("Crowd", "Load", [("Host", f"h{number}")])
        crowd.put(metrics.Datum(metric=metric, timestamp=NOW, values=(1.0,)), NOW)
    queries = (program.Query(id="e1", expression="SUM(SEARCH('{Crowd, Host} Load', 'Sum', 60))"),)
    run = program.Run(program.compile_program(queries), crowd, NOW, NOW + 60, NOW + 60)
    assert [list(one.points.values()) for one in run.series("e1")] == [[500.0]]
    assert run.is_cut
