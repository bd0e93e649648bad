"""Composite alarms over each other, whatever changes: they rest, and are in the states that their rules say."""

from __future__ import annotations

import msgspec
from alarm_world import START
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import store_worlds

from roadstead.control import composite_alarms as controller
from roadstead.model import alarms
from roadstead.signals import alarm_rule

METRIC = ("m0", "m1", "m2")
COMPOSITE = ("c0", "c1", "c2", "c3")
STATES: tuple[alarms.AlarmState, ...] = ("OK", "ALARM", "INSUFFICIENT_DATA")


class World(store_worlds.World):
    """Three metric alarms, whose states the test sets, and composite alarms that it gives rules."""

    def __init__(self) -> None:
        super().__init__(START, controllers=[controller.CONTROLLER])
        for name in METRIC:
            spec = alarms.AlarmSpec(
                period_seconds=60, evaluation_periods=1, threshold=1.0, comparison_operator="GreaterThanThreshold"
            )
            observed = alarms.AlarmObserved(state_updated_at=self.now, state_transitioned_at=self.now)
            self.put(
                alarms.MetricAlarm(
                    name=name, created_at=self.now, spec=spec, spec_updated_at=self.now, observed=observed
                )
            )

    def set_state(self, name: str, state: alarms.AlarmState) -> None:
        found = self.store.view().get(alarms.MetricAlarm, name)
        assert found is not None
        observed = msgspec.structs.replace(found.observed, state=state, state_transitioned_at=self.now)
        self.put(msgspec.structs.replace(found, observed=observed))

    def rule(self, name: str, text: str) -> None:
        children = tuple(map(alarm_rule.name_of, alarm_rule.refs(alarm_rule.parse(text))))
        spec = alarms.CompositeAlarmSpec(rule=text, children=children)
        found = self.store.view().get(alarms.CompositeAlarm, name)
        if found is None:
            observed = alarms.CompositeObserved(state_updated_at=self.now, state_transitioned_at=self.now)
            found = alarms.CompositeAlarm(
                name=name, created_at=self.now, spec=spec, spec_updated_at=self.now, observed=observed
            )
        self.put(msgspec.structs.replace(found, spec=spec, spec_updated_at=self.now))

    def states(self) -> dict[str, alarms.AlarmState]:
        view = self.store.view()
        found = (
            view.get(alarms.MetricAlarm, name) or view.get(alarms.CompositeAlarm, name)
            for name in (*METRIC, *COMPOSITE)
        )
        return {alarm.name: alarm.observed.state for alarm in found if alarm is not None}

    def below(self, name: str) -> set[str]:
        """All alarms that one depends on."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            alarm = self.store.view().get(alarms.CompositeAlarm, waiting.pop())
            for child in alarm.spec.children if alarm is not None else ():
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found

    def check(self) -> None:
        """What is not part of a cycle is in the state that its rule says."""
        states = self.states()
        for name in COMPOSITE:
            alarm = self.store.view().get(alarms.CompositeAlarm, name)
            assert alarm is not None
            if name not in self.below(name):
                wanted = alarm_rule.evaluate(alarm_rule.parse(alarm.spec.rule), states.__getitem__)
                assert alarm.observed.state == ("ALARM" if wanted else "OK"), name


NAMES = st.sampled_from((*METRIC, *COMPOSITE))
FUNCTIONS = st.builds("{}({})".format, st.sampled_from(STATES), NAMES)
TEXTS = st.recursive(
    FUNCTIONS,
    lambda texts: st.one_of(
        texts.map("NOT ({})".format), st.builds("({} {} {})".format, texts, st.sampled_from(("AND", "OR")), texts)
    ),
    max_leaves=4,
)
MOVES = st.one_of(
    st.tuples(st.just("state"), st.sampled_from(METRIC), st.sampled_from(STATES)),
    st.tuples(st.just("rule"), st.sampled_from(COMPOSITE), TEXTS),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(MOVES, st.booleans()), max_size=25))
def test_whatever_changes_they_come_to_rest_as_their_rules_say(moves: list[tuple[tuple[str, str, str], bool]]) -> None:
    world = World()
    for name in COMPOSITE:
        world.rule(name, "FALSE")
    world.settle()
    for (kind, name, value), settles in moves:
        world.now += 1
        if kind == "rule":
            world.rule(name, value)
        else:
            world.set_state(name, value)  # type: ignore[arg-type]
        if settles:
            world.settle()
            world.check()
    world.settle()
    world.check()
    before = world.store.revision
    world.stepper.start(world.now)
    world.settle()
    assert world.store.revision == before
