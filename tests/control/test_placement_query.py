"""The cluster query language (behaviour.md 5.11; ECS-CQL's examples)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.control import worlds

from roadstead.control import placement
from roadstead.control.placement import picture, query
from roadstead.model import container_instances

REGISTERED = 1529360908.0  # 2018-06-18T22:28:28Z


def matches(text: str) -> bool:
    """Whether the expression chooses the instance that all examples are about."""
    subject = worlds.new_store()
    one = worlds.instance(
        "i1",
        zone="us-east-1a",
        registered_at=REGISTERED,
        attributes={
            "ecs.instance-type": "t2.small",
            "ecs.availability-zone": "us-east-1a",
            "size": "10",
            "env": None,
            "a/b.c-d_e": "x y",
        },
        version_info=container_instances.VersionInfo(agent_version="1.105.1"),
    )
    worlds.put(
        subject,
        one,
        worlds.task("t1", one, group="service:production"),
        worlds.task("t2", one, group="web"),
        worlds.task("t3", one, group="gone", desired="STOPPED"),
    )
    node = picture.Picture(subject.view(), worlds.CLUSTER).node_by_id("i1")
    assert node is not None
    return placement.query.parse(text).matches(node)


TRUE = """
attribute:ecs.instance-type == t2.small
attribute:ecs.availability-zone in [us-east-1a, us-east-1b]
attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone != us-east-1d
task:group == service:production
not(task:group == database)
runningTasksCount == 3
runningTasksCount >= 3
runningTasksCount > 2
runningTasksCount less_than 4
runningTasksCount <= 3
runningTasksCount != 1
agentConnected == true
agentConnected in [true]
agentVersion >= 1.9.0
agentVersion == 1.105.1
agentVersion > 1.105
agentVersion less_than_equal 1.105.1
ec2InstanceId in ['ec2-i1', 'i-wxyx7890']
ec2InstanceId == ec2-i1
ec2InstanceId =~ ec2-i[0-9]+
ec2InstanceId !in [i-1, i-2]
registeredAt == 2018-06-18T22:28:28+00:00
registeredAt == 2018-06-18T22:28:28Z
registeredAt == 2018-06-18T22:28:28
registeredAt greater_than 2018-06-18
registeredAt < 2018-06-19
attribute:env exists
attribute:missing !exists
attribute:missing not_exists
attribute:missing != anything
attribute:missing !in [a, b]
attribute:missing !~ .*
attribute:size > 9
attribute:size less_than 11
attribute:size >= 10
attribute:a/b.c-d_e == 'x y'
attribute:ecs.instance-type equals t2.small
attribute:ecs.instance-type not_equals t2.large
attribute:ecs.instance-type not_in [t2.large]
attribute:ecs.instance-type matches t2.(small|micro)
attribute:ecs.instance-type =~ 't2\\.(small|micro)'
attribute:ecs.instance-type not_matches small
attribute:ecs.instance-type==t2.small&&attribute:size==10
task:group in [x, web]
task:group != gone
task:group =~ service:.*
task:group exists
(attribute:size == 9 || attribute:size == 10) && !(task:group == x)
attribute:size == 9 and attribute:size == 8 or attribute:size == 10
! attribute:size == 9
not not attribute:size == 10
"""


@pytest.mark.parametrize("text", [line for line in TRUE.splitlines() if line])
def test_it_chooses_the_instance(text: str) -> None:
    assert matches(text)
    assert not matches(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "attribute:x",
        "attribute: == 1",
        "nothing == 1",
        "attribute:x == ",
        "attribute:x == 'open",
        "attribute:x in [a, b",
        "(attribute:x == 1",
        "attribute:x == 1)",
        "attribute:x == 1 and",
        "attribute:x =~ [",
        "attribute:x =~ '('",
        "attribute:x ~ 1",
        "attribute:x like 1",
        "agentConnected > true",
        "agentVersion =~ 1.*",
        "agentVersion == new",
        "runningTasksCount in [1]",
        "runningTasksCount == many",
        "registeredAt > yesterday",
        "ec2InstanceId > i-1",
        "ec2InstanceId exists",
        "x" * 2001,
        "(" * 200 + "attribute:x exists" + ")" * 200,
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(query.InvalidExpression):
        query.parse(text)


@given(st.text(alphabet="ab:=!<>~()[]', &|attribue.", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        query.parse(text)
    except query.InvalidExpression as error:
        assert 0 <= error.position <= len(text)
