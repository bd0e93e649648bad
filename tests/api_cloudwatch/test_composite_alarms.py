"""Composite alarms as clients see them: rules over other alarms, their reasons, suppression, deletion (2.6.5)."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from cloudwatch_world import POLICY, START, World

ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:"
TOPIC = "arn:aws:sns:us-east-1:123456789012:pager"
DAY_SECONDS = 86_400
"""The period of the metric alarms here: they are evaluated, and go back, once an hour at most."""


@pytest.fixture
def pair(world: World) -> World:
    """Two metric alarms, `cpu` and `disk`, that stay in the state that SetAlarmState gives them."""
    for name in ("cpu", "disk"):
        world.put_alarm(name, TreatMissingData="ignore", Period=DAY_SECONDS, EvaluationPeriods=1)
        set_state(world, name, "OK")
    return world


def set_state(world: World, name: str, state: str) -> None:
    world.call("SetAlarmState", AlarmName=name, StateValue=state, StateReason="test")
    world.settle()


def put(world: World, name: str, rule: str, **more: Any) -> None:
    world.call("PutCompositeAlarm", AlarmName=name, AlarmRule=rule, **more)
    world.settle()


def shown(world: World, name: str) -> Any:
    (alarm,) = world.call("DescribeAlarms", AlarmNames=[name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    return alarm


def state(world: World, name: str) -> str:
    found: str = shown(world, name)["StateValue"]
    return found


def history(world: World, name: str, kind: str) -> list[str]:
    """Summaries, oldest first."""
    params = {"AlarmName": name, "AlarmTypes": ["CompositeAlarm"], "HistoryItemType": kind}
    items = world.call("DescribeAlarmHistory", **params, ScanBy="TimestampAscending")["AlarmHistoryItems"]
    assert all(item["AlarmType"] == "CompositeAlarm" for item in items)
    return [item["HistorySummary"] for item in items]


def refusal(world: World, rule: str, **more: Any) -> str:
    code, text = world.refused("PutCompositeAlarm", **{"AlarmName": "both", "AlarmRule": rule, **more})
    assert code == "ValidationError"
    return text


# -- state, and why


def test_it_begins_without_data_and_is_evaluated_at_once(pair: World) -> None:
    pair.now += 14.394
    set_state(pair, "disk", "ALARM")
    pair.call("PutCompositeAlarm", AlarmName="both", AlarmRule="ALARM(cpu) OR ALARM(disk)", AlarmDescription="any")
    new = shown(pair, "both")
    assert (new["StateValue"], new["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    pair.now += 1
    pair.settle()
    alarm = shown(pair, "both")
    at = datetime.datetime.fromtimestamp(pair.now, datetime.UTC).replace(
        microsecond=alarm["StateUpdatedTimestamp"].microsecond
    )
    assert json.loads(alarm.pop("StateReasonData")) == {
        "triggeringAlarms": [
            {"arn": f"{ARN}disk", "state": {"value": "ALARM", "timestamp": "2023-11-14T22:14:14.394+0000"}},
            {"arn": f"{ARN}cpu", "state": {"value": "OK", "timestamp": "2023-11-14T22:14:00.000+0000"}},
        ]
    }
    assert alarm == {
        "AlarmName": "both",
        "AlarmArn": f"{ARN}both",
        "AlarmDescription": "any",
        "AlarmConfigurationUpdatedTimestamp": new["AlarmConfigurationUpdatedTimestamp"],
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "AlarmRule": "ALARM(cpu) OR ALARM(disk)",
        "StateValue": "ALARM",
        "StateReason": f"{ARN}both was created and its alarm rule evaluates to ALARM",
        "StateUpdatedTimestamp": at,
        "StateTransitionedTimestamp": at,
    }


def test_it_follows_its_children_and_names_the_one_that_changed(pair: World) -> None:
    put(pair, "both", f'ALARM(cpu) AND ALARM("{ARN}disk")')
    assert state(pair, "both") == "OK"
    set_state(pair, "cpu", "ALARM")
    assert state(pair, "both") == "OK"
    pair.now += 60
    set_state(pair, "disk", "ALARM")
    alarm = shown(pair, "both")
    assert alarm["StateValue"] == "ALARM"
    assert alarm["StateReason"] == f"{ARN}disk transitioned to ALARM at Tuesday 14 November, 2023 22:15:00 UTC"
    (told,) = json.loads(alarm["StateReasonData"])["triggeringAlarms"]
    assert told == {"arn": f"{ARN}disk", "state": {"value": "ALARM", "timestamp": "2023-11-14T22:15:00.000+0000"}}
    assert history(pair, "both", "StateUpdate") == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
    ]


def test_composite_alarms_nest(pair: World) -> None:
    put(pair, "any", "ALARM(cpu) OR ALARM(disk)")
    put(pair, "quiet", "NOT ALARM(any)")
    put(pair, "top", "OK(quiet) AND AT_LEAST(50%, ALARM, (any, cpu, disk))")
    assert [state(pair, name) for name in ("any", "quiet", "top")] == ["OK", "ALARM", "OK"]
    set_state(pair, "cpu", "ALARM")
    assert [state(pair, name) for name in ("any", "quiet", "top")] == ["ALARM", "OK", "ALARM"]


def test_an_update_keeps_the_state_until_the_new_rule_is_evaluated(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)", Tags=[{"Key": "team", "Value": "web"}])
    pair.now += 5
    pair.call("PutCompositeAlarm", AlarmName="both", AlarmRule="NOT ALARM(cpu)", Tags=[{"Key": "x", "Value": "y"}])
    assert state(pair, "both") == "OK"
    pair.settle()
    alarm = shown(pair, "both")
    assert alarm["StateValue"] == "ALARM"
    assert alarm["StateReason"] == f"{ARN}both was updated and its new alarm rule evaluates to ALARM"
    tags = pair.call("ListTagsForResource", ResourceARN=f"{ARN}both")["Tags"]
    assert tags == [{"Key": "team", "Value": "web"}]


def test_a_state_that_was_set_lasts_until_a_child_changes(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)")
    set_state(pair, "both", "ALARM")
    pair.run(START + 3600)
    assert (state(pair, "both"), shown(pair, "both")["StateReason"]) == ("ALARM", "test")
    set_state(pair, "disk", "ALARM")
    assert state(pair, "both") == "ALARM"
    set_state(pair, "cpu", "INSUFFICIENT_DATA")
    assert state(pair, "both") == "OK"


def test_a_state_that_was_set_ends_with_a_new_configuration(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)")
    set_state(pair, "both", "ALARM")
    put(pair, "both", "ALARM(cpu) AND TRUE")
    assert state(pair, "both") == "OK"


def test_a_restart_changes_nothing(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)")
    set_state(pair, "both", "ALARM")
    before = pair.store.revision
    pair.stepper.start(pair.now)
    pair.settle()
    assert (pair.store.revision, state(pair, "both")) == (before, "ALARM")


# -- cycles


def test_alarms_in_a_cycle_keep_their_state_until_it_is_broken(pair: World) -> None:
    put(pair, "b", "ALARM(cpu)")
    put(pair, "a", "NOT ALARM(b)")
    put(pair, "above", "ALARM(a)")
    put(pair, "b", "ALARM(a)")  # each would turn the other round for ever
    assert [state(pair, name) for name in ("a", "b", "above")] == ["ALARM", "OK", "ALARM"]
    set_state(pair, "b", "ALARM")
    assert [state(pair, name) for name in ("a", "b")] == ["ALARM", "ALARM"]
    for name in ("a", "b"):
        assert pair.refused("DeleteAlarms", AlarmNames=[name])[0] == "ValidationError"
    put(pair, "b", "FALSE")
    assert [state(pair, name) for name in ("a", "b", "above")] == ["ALARM", "OK", "ALARM"]
    put(pair, "b", "TRUE")
    assert [state(pair, name) for name in ("a", "b", "above")] == ["OK", "ALARM", "OK"]


def test_an_alarm_that_stands_in_its_own_rule_rests_and_can_not_be_deleted(pair: World) -> None:
    put(pair, "self", "ALARM(cpu)")
    put(pair, "self", "NOT ALARM(self)")
    assert state(pair, "self") == "OK"
    assert pair.refused("DeleteAlarms", AlarmNames=["self"]) == (
        "ValidationError",
        "Cannot delete self as there are composite alarm(s) depending on it.",
    )


# -- actions and their suppression


def test_actions_are_told_as_failed_because_nothing_delivers_them(pair: World) -> None:
    put(
        pair, "both", "ALARM(cpu)", AlarmActions=[TOPIC], OKActions=["arn:aws:lambda:us-east-1:123456789012:function:f"]
    )
    set_state(pair, "cpu", "ALARM")
    assert history(pair, "both", "Action") == [
        "Failed to execute action arn:aws:lambda:us-east-1:123456789012:function:f",
        f"Failed to execute action {TOPIC}",
    ]
    items = pair.call("DescribeAlarmHistory", AlarmTypes=["CompositeAlarm"], HistoryItemType="Action")
    data = json.loads(items["AlarmHistoryItems"][0]["HistoryData"])
    assert (data["actionState"], data["error"]) == ("Failed", "This server does not deliver alarm actions.")


def test_actions_that_are_disabled_do_not_run_later(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)", AlarmActions=[TOPIC])
    pair.call("DisableAlarmActions", AlarmNames=["both"])
    set_state(pair, "cpu", "ALARM")
    assert shown(pair, "both")["ActionsEnabled"] is False
    pair.call("EnableAlarmActions", AlarmNames=["both"])
    pair.settle()
    assert history(pair, "both", "Action") == []
    assert shown(pair, "both")["ActionsEnabled"] is True


@pytest.fixture
def suppressed(pair: World) -> World:
    """`both` follows `cpu` and is suppressed by `disk`: it waits 120 s for it, 180 s after it. Its begin is over."""
    put(
        pair, "both", "ALARM(cpu)", AlarmActions=[TOPIC], ActionsSuppressor="disk",
        ActionsSuppressorWaitPeriod=120, ActionsSuppressorExtensionPeriod=180,
    )  # fmt: skip
    pair.run(START + 600)
    assert suppression(pair) == (None, 0)
    return pair


def suppression(world: World) -> tuple[str | None, int]:
    """What suppresses the actions, and how many have run."""
    return shown(world, "both").get("ActionsSuppressedBy"), len(history(world, "both", "Action"))


def test_actions_run_after_the_wait_period_when_the_suppressor_stays_quiet(suppressed: World) -> None:
    set_state(suppressed, "cpu", "ALARM")
    assert suppression(suppressed) == ("WaitPeriod", 0)
    assert shown(suppressed, "both")["ActionsSuppressedReason"] == "Actions suppressed by WaitPeriod"
    suppressed.run(START + 719)
    assert suppression(suppressed) == ("WaitPeriod", 0)
    suppressed.run(START + 720)
    assert suppression(suppressed) == (None, 1)


def test_a_restart_in_a_period_changes_nothing(suppressed: World) -> None:
    set_state(suppressed, "cpu", "ALARM")
    suppressed.run(START + 660)
    suppressed.stepper.start(suppressed.now)
    suppressed.run(START + 719)
    assert suppression(suppressed) == ("WaitPeriod", 0)
    suppressed.run(START + 720)
    assert suppression(suppressed) == (None, 1)


def test_a_suppressor_that_comes_in_time_stops_them_until_its_extension_is_over(suppressed: World) -> None:
    set_state(suppressed, "cpu", "ALARM")
    suppressed.run(START + 660)
    set_state(suppressed, "disk", "ALARM")
    assert suppression(suppressed) == ("Alarm", 0)
    assert shown(suppressed, "both")["ActionsSuppressedReason"] == "Actions suppressed by disk"
    suppressed.run(START + 2000)
    assert suppression(suppressed) == ("Alarm", 0)
    set_state(suppressed, "disk", "OK")
    assert suppression(suppressed) == ("ExtensionPeriod", 0)
    suppressed.run(START + 2179)
    assert suppression(suppressed) == ("ExtensionPeriod", 0)
    suppressed.run(START + 2180)
    assert suppression(suppressed) == (None, 1)


def test_a_change_of_state_begins_a_new_wait_period(suppressed: World) -> None:
    set_state(suppressed, "cpu", "ALARM")
    suppressed.run(START + 660)
    set_state(suppressed, "cpu", "OK")
    suppressed.run(START + 779)
    assert suppression(suppressed) == ("WaitPeriod", 0)
    suppressed.run(START + 780)
    assert suppression(suppressed) == (None, 0)  # OK has no actions


def test_a_change_of_state_in_the_extension_period_discards_it(suppressed: World) -> None:
    set_state(suppressed, "disk", "ALARM")
    set_state(suppressed, "cpu", "ALARM")
    set_state(suppressed, "disk", "OK")
    assert suppression(suppressed)[0] == "ExtensionPeriod"
    set_state(suppressed, "cpu", "OK")
    assert suppression(suppressed)[0] == "WaitPeriod"


def test_actions_that_ran_before_are_not_repeated_after_the_suppressor(suppressed: World) -> None:
    set_state(suppressed, "cpu", "ALARM")
    suppressed.run(START + 720)
    set_state(suppressed, "disk", "ALARM")
    set_state(suppressed, "disk", "OK")
    suppressed.run(START + 3000)
    assert suppression(suppressed) == (None, 1)


def test_another_suppressor_discards_the_period_of_the_old_one(suppressed: World) -> None:
    suppressed.put_alarm("other", TreatMissingData="ignore", Period=DAY_SECONDS, EvaluationPeriods=1)
    set_state(suppressed, "disk", "ALARM")
    set_state(suppressed, "cpu", "ALARM")
    suppressed.run(START + 1000)
    put(
        suppressed, "both", "ALARM(cpu)", AlarmActions=[TOPIC], ActionsSuppressor=f"{ARN}other",
        ActionsSuppressorWaitPeriod=0, ActionsSuppressorExtensionPeriod=180,
    )  # fmt: skip
    assert suppression(suppressed) == (None, 1)
    assert shown(suppressed, "both")["ActionsSuppressor"] == f"{ARN}other"


# -- listing


def test_a_listing_goes_over_both_types_page_by_page(pair: World) -> None:
    for name in ("z1", "z2", "z3"):
        put(pair, name, "ALARM(cpu)")
    pages: list[tuple[list[str], list[str]]] = []
    params: dict[str, Any] = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 2}
    while True:
        page = pair.call("DescribeAlarms", **params)
        pages.append(tuple([one["AlarmName"] for one in page[kind]] for kind in ("CompositeAlarms", "MetricAlarms")))  # type: ignore[arg-type]
        if "NextToken" not in page:
            break
        params["NextToken"] = page["NextToken"]
    assert pages == [(["z1", "z2"], []), (["z3"], ["cpu"]), ([], ["disk"])]
    other = {**params, "MaxRecords": 1, "AlarmTypes": ["MetricAlarm"]}
    assert pair.refusal_code("DescribeAlarms", **other) == "InvalidNextToken"


def test_a_page_that_ends_with_its_type_goes_on_with_the_next(pair: World) -> None:
    put(pair, "disks", "ALARM(disk)")
    params = {"AlarmTypes": ["CompositeAlarm", "MetricAlarm"], "MaxRecords": 1, "AlarmNamePrefix": "disk"}
    first = pair.call("DescribeAlarms", **params)
    assert [one["AlarmName"] for one in first["CompositeAlarms"]] == ["disks"]
    second = pair.call("DescribeAlarms", **params, NextToken=first["NextToken"])
    assert [one["AlarmName"] for one in second["MetricAlarms"]] == ["disk"]
    assert "NextToken" not in second


def test_only_the_types_that_are_asked_for_are_shown(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)", OKActions=[TOPIC])

    def names(**params: Any) -> list[str]:
        page = pair.call("DescribeAlarms", **params)
        return [one["AlarmName"] for one in (*page["CompositeAlarms"], *page["MetricAlarms"])]

    assert names() == ["cpu", "disk"]
    assert names(AlarmTypes=["CompositeAlarm"]) == ["both"]
    assert names(AlarmNames=["both", "cpu"]) == ["cpu"]
    every = ["MetricAlarm", "CompositeAlarm"]
    assert names(AlarmTypes=every, StateValue="OK") == ["both", "cpu", "disk"]
    assert names(AlarmTypes=every, ActionPrefix="arn:aws:sns:") == ["both"]
    assert names(AlarmTypes=["LogAlarm"]) == []


def test_children_and_parents(pair: World) -> None:
    put(pair, "any", "ALARM(disk) OR OK(cpu)")
    put(pair, "top", "ALARM(any) AND ALARM(cpu)", ActionsSuppressor="disk",
        ActionsSuppressorWaitPeriod=0, ActionsSuppressorExtensionPeriod=0)  # fmt: skip
    children = pair.call("DescribeAlarms", ChildrenOfAlarmName="top")
    (composite,), (metric,) = children["CompositeAlarms"], children["MetricAlarms"]
    assert set(composite) == set(metric) == {"AlarmName", "AlarmArn", "StateValue", "StateUpdatedTimestamp"}
    assert (composite["AlarmName"], composite["StateValue"], metric["AlarmName"]) == ("any", "ALARM", "cpu")
    first = pair.call("DescribeAlarms", ParentsOfAlarmName="cpu", MaxRecords=1)
    assert first["CompositeAlarms"] == [{"AlarmName": "any", "AlarmArn": f"{ARN}any"}]
    second = pair.call("DescribeAlarms", ParentsOfAlarmName="cpu", NextToken=first["NextToken"])
    assert [one["AlarmName"] for one in second["CompositeAlarms"]] == ["top"]
    code, text = pair.refused("DescribeAlarms", ParentsOfAlarmName="cpu", StateValue="OK", AlarmNamePrefix="c")
    assert (code, text) == (
        "ValidationError",
        "ParentsOfAlarmName can not be specified together with AlarmNamePrefix, StateValue.",
    )


def test_history_is_kept_by_type(pair: World) -> None:
    put(pair, "both", "ALARM(cpu)")
    assert history(pair, "both", "ConfigurationUpdate") == ['Alarm "both" created']
    assert pair.call("DescribeAlarmHistory", AlarmName="both")["AlarmHistoryItems"] == []
    items = pair.call("DescribeAlarmHistory", AlarmTypes=["MetricAlarm", "CompositeAlarm"])["AlarmHistoryItems"]
    assert {item["AlarmType"] for item in items} == {"MetricAlarm", "CompositeAlarm"}


# -- deletion


def test_alarms_that_a_composite_alarm_needs_stay(pair: World) -> None:
    put(pair, "both", "ALARM(cpu) AND ALARM(disk)")
    assert pair.refused("DeleteAlarms", AlarmNames=["cpu"]) == (
        "ValidationError",
        "Cannot delete cpu as there are composite alarm(s) depending on it.",
    )
    assert pair.refused("DeleteAlarms", AlarmNames=["disk", "cpu"])[1] == (
        "Cannot delete disk,cpu as there are composite alarm(s) depending on them."
    )
    pair.now += 1
    pair.call("DeleteAlarms", AlarmNames=["cpu", "both"])
    assert history(pair, "both", "ConfigurationUpdate") == ['Alarm "both" created', 'Alarm "both" deleted']
    pair.call("DeleteAlarms", AlarmNames=["disk"])


def test_a_suppressor_stays_as_well(pair: World) -> None:
    periods = {"ActionsSuppressorWaitPeriod": 0, "ActionsSuppressorExtensionPeriod": 0}
    put(pair, "both", "TRUE", ActionsSuppressor="disk", **periods)
    assert pair.refusal_code("DeleteAlarms", AlarmNames=["disk"]) == "ValidationError"


def test_one_composite_alarm_a_call_is_deleted(pair: World) -> None:
    for name in ("x", "y"):
        put(pair, name, "TRUE")
    assert pair.refused("DeleteAlarms", AlarmNames=["x", "y", "cpu"]) == (
        "ValidationError",
        "At most one composite alarm can be deleted in one call.",
    )
    pair.call("DeleteAlarms", AlarmNames=["x", "cpu", "disk"])


# -- what is refused


def test_rules_that_are_none(pair: World) -> None:
    assert refusal(pair, "ALARM(cpu) AND ALARM(gone) OR OK(lost)") == (
        "Could not save the composite alarm as alarms [gone, lost] in the alarm rule do not exist"
    )
    elsewhere = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:cpu"
    assert refusal(pair, f"ALARM({elsewhere})").startswith(
        f"Could not save the composite alarm as alarms [{elsewhere}]"
    )
    pair.put_alarm(elsewhere)  # a name, however it looks, does not stand for an alarm of another region
    pair.put_alarm("dashboard/x")
    for ref in (elsewhere, "arn:aws:cloudwatch:us-east-1:123456789012:dashboard/x", "arn:aws:sns:us-east-1:1:cpu"):
        assert "do not exist" in refusal(pair, f"ALARM({ref})")
    assert refusal(pair, "ALARM(cpu").startswith("Error in AlarmRule [Unsupported token '<end>' at char 9")
    assert "whitespace" in refusal(pair, "ALARM(cpu) ")
    assert "at most 500 elements" in refusal(pair, " OR ".join(["TRUE"] * 501))


def test_more_than_100_children(pair: World) -> None:
    for number in range(100):
        put(pair, f"n{number:03}", "TRUE")
    names = [f"n{number:03}" for number in range(100)]
    put(pair, "most", f"AT_LEAST(1, OK, ({','.join(names)}))")
    assert json.loads(shown(pair, "most")["StateReasonData"])["triggeringAlarms"][0]["arn"] == f"{ARN}n000"
    text = refusal(pair, f"AT_LEAST(1, OK, ({','.join([*names, 'cpu'])}))")
    assert text == "AlarmRule can name at most 100 alarms, not 101."


def test_more_than_150_parents(pair: World) -> None:
    for number in range(150):
        put(pair, f"n{number:03}", "ALARM(cpu)")
    code, text = pair.refused("PutCompositeAlarm", AlarmName="more", AlarmRule="ALARM(cpu)")
    assert (code, text) == ("LimitExceeded", "The alarm cpu is in the rules of 150 composite alarms already.")
    put(pair, "n000", "NOT ALARM(cpu)")  # it counts already


def test_names_are_shared_by_both_types(pair: World) -> None:
    assert refusal(pair, "TRUE", AlarmName="cpu") == "The alarm name cpu is already in use by a metric alarm."
    put(pair, "both", "TRUE")
    with pytest.raises(Exception, match="The alarm name both is already in use by a composite alarm"):
        pair.put_alarm("both")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"AlarmActions": [POLICY]}, "Composite alarms can not have the action arn:aws:autoscaling:"),
        ({"OKActions": ["arn:aws:automate:us-east-1:ec2:stop"]}, "Composite alarms can not have the action"),
        ({"AlarmActions": ["pager"]}, "Invalid arn syntax: pager"),
        ({"AlarmActions": ["arn:aws:sns:eu-west-1:1:x"]}, "Invalid region eu-west-1 specified."),
        ({"ActionsSuppressor": "disk"}, "ActionsSuppressorWaitPeriod must be specified with ActionsSuppressor."),
        ({"ActionsSuppressorWaitPeriod": 1}, "ActionsSuppressorWaitPeriod can only be specified with"),
        (
            {"ActionsSuppressor": "gone", "ActionsSuppressorWaitPeriod": 1, "ActionsSuppressorExtensionPeriod": 1},
            "the actions suppressor gone does not exist",
        ),
        (
            {"ActionsSuppressor": "disk", "ActionsSuppressorWaitPeriod": -1, "ActionsSuppressorExtensionPeriod": 1},
            "ActionsSuppressorWaitPeriod must not be negative.",
        ),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "reserved for system use"),
    ],
)
def test_what_a_composite_alarm_may_not_have(pair: World, more: dict[str, Any], text: str) -> None:
    assert text in refusal(pair, "ALARM(cpu)", **more)


def test_the_limits_of_the_model(pair: World) -> None:
    for change in ({"AlarmRule": "x" * 10_241}, {"AlarmActions": [TOPIC] * 6}, {"AlarmDescription": "x" * 1025}):
        params = {"AlarmName": "both", "AlarmRule": "TRUE", **change}
        assert pair.refusal_code("PutCompositeAlarm", **params) in ("ValidationError", "InvalidParameterValue")
