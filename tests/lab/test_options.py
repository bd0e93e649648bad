"""Options that only Roadstead has, in policy files: tried, reported, and applied (decision 0023)."""

from __future__ import annotations

import json
import shlex
from typing import Any

import msgspec
import pytest
from lab_scenarios import made

from roadstead.lab import apply, live, policies, problems, run

CPU = {
    "TargetValue": 60.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "ScaleOutCooldown": 60,
}
LIMITED = {**CPU, "Options": {"scale-out-step-max": 1, "scale-out-datapoints:limited": "2/3"}}
RISE = made("- ramp: {from: 40, to: 400, begin: 5m, end: 6m}", "duration: 1h\ntasks: {min: 1, max: 20}\n")


def _largest_step(given: dict[str, Any]) -> int:
    (found,) = run.run(RISE, [policies.parse(given, "limited")]).runs
    return max(one.to_count - one.from_count for one in found.activities if one.is_change and one.to_count)


def test_a_policy_is_simulated_with_its_options() -> None:
    assert _largest_step(CPU) > 1
    assert _largest_step(LIMITED) == 1


def test_the_report_says_that_they_are_roadsteads() -> None:
    assert policies.parse(LIMITED, "limited").notes == (
        "options that only Roadstead has: scale-out-step-max 1, scale-out-datapoints:limited 2/3",
    )
    assert policies.parse(CPU, "cpu").notes == ()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Options must be an object"),
        ({"scale-out-step-max": 1.5}, "the option scale-out-step-max must be a whole number or a text"),
        ({"scale-out-step-max": True}, "the option scale-out-step-max must be a whole number or a text"),
    ],
)
def test_what_is_no_option(options: Any, told: str) -> None:
    with pytest.raises(problems.Invalid, match=told):
        policies.parse({**CPU, "Options": options}, "p.json")


def test_an_option_that_the_api_refuses_is_refused_in_its_words() -> None:
    unknown = policies.parse({**CPU, "Options": {"scale-out-speed": 1}}, "limited")
    with pytest.raises(problems.Invalid, match="The tag roadstead:scale-out-speed is no option of Roadstead"):
        run.run(RISE, [unknown])


def test_applied_to_aws_they_are_left_out_and_told_for_roadstead() -> None:
    (one,) = run.run(made("- constant: {rate: 60}", "duration: 20m\n"), [], fixed=[3]).runs
    wearing = msgspec.structs.replace(one, fixed=None, given=policies.parse(LIMITED, "limited").written)
    tags = {"roadstead:scale-out-step-max": "1", "roadstead:scale-out-datapoints:limited": "2/3"}
    shell = apply.aws_cli(wearing)
    assert "Options" not in shell
    assert not any("roadstead:" in line for line in shell.splitlines() if not line.startswith("#"))
    (told,) = [line for line in shell.splitlines() if "--tags" in line]
    assert json.loads(shlex.split(told.lstrip("# "))[1]) == tags
    terraform = apply.terraform(wearing)
    assert not any("roadstead:" in line for line in terraform.splitlines() if not line.startswith("  #"))
    assert '  #   "roadstead:scale-out-step-max" = "1"\n' in terraform


def test_a_running_service_is_tried_with_the_options_that_it_has() -> None:
    described = live.Described(
        cluster="default",
        service={"serviceName": "web"},
        task_definition={},
        policies=[
            {"PolicyName": "cpu", "PolicyARN": "arn:cpu", "PolicyType": "TargetTrackingScaling",
             "TargetTrackingScalingPolicyConfiguration": CPU},
        ],
        tags={"roadstead:scale-in-step-max": "2", "team": "a"},
    )  # fmt: skip
    assert live.candidate(described).tags == {"roadstead:scale-in-step-max": "2"}
