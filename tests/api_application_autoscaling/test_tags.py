"""Tags of scalable targets (behaviour.md 1.1.12)."""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.base import errors


@pytest.fixture
def arn(world: Any) -> str:
    """The ARN of `web`'s target, which has the tag a=1."""
    answer = world.on_web("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10, Tags={"a": "1"})
    found: str = answer["ScalableTargetARN"]
    return found


def listed(world: Any, arn: str) -> dict[str, str]:
    found: dict[str, str] = world.call("ListTagsForResource", ResourceARN=arn)["Tags"]
    return found


@pytest.mark.rule("1.1#12")
def test_tags_are_added_replaced_and_taken(world: Any, arn: str) -> None:
    assert listed(world, arn) == {"a": "1"}
    assert world.call("TagResource", ResourceARN=arn, Tags={"a": "2", "b": ""}) == {}
    assert listed(world, arn) == {"a": "2", "b": ""}
    assert world.call("UntagResource", ResourceARN=arn, TagKeys=["a", "z"]) == {}
    assert listed(world, arn) == {"b": ""}


def test_a_target_has_at_most_50_tags_and_none_of_aws(world: Any, arn: str) -> None:
    world.call("TagResource", ResourceARN=arn, Tags={f"k{n}": "v" for n in range(49)})
    with pytest.raises(errors.Refusal) as caught:
        world.call("TagResource", ResourceARN=arn, Tags={"one-more": "v"})
    assert (caught.value.code, caught.value.members) == ("TooManyTagsException", {"ResourceName": arn})
    with pytest.raises(errors.Refusal) as caught:
        world.call("TagResource", ResourceARN=arn, Tags={"aws:x": "v"})
    assert caught.value.code == "ValidationException"
    assert len(listed(world, arn)) == 50


@pytest.mark.parametrize("name", ["TagResource", "UntagResource", "ListTagsForResource"])
@pytest.mark.parametrize(
    "other",
    [
        "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/0123",
        "arn:aws:application-autoscaling:eu-west-1:123456789012:scalable-target/{id}",
        "arn:aws:application-autoscaling:us-east-1:210987654321:scalable-target/{id}",
    ],
)
def test_other_targets_are_not_found(world: Any, arn: str, name: str, other: str) -> None:
    text = other.replace("{id}", arn.rpartition("/")[2])
    more = {"TagResource": {"Tags": {"b": "1"}}, "UntagResource": {"TagKeys": ["a"]}}.get(name, {})
    with pytest.raises(errors.Refusal) as caught:
        world.call(name, ResourceARN=text, **more)
    assert (caught.value.code, caught.value.members) == ("ResourceNotFoundException", {"ResourceName": text})
    assert listed(world, arn) == {"a": "1"}
