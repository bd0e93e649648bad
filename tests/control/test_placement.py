"""Placement: who fits, who is chosen, and why not (behaviour.md 5.11)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.control import worlds

from roadstead.control import placement
from roadstead.control.placement import pickers, picture
from roadstead.control.placement import strategies as filters
from roadstead.model import task_definitions, tasks

Strategy = task_definitions.PlacementStrategy
Constraint = task_definitions.PlacementConstraint
DISTINCT = (Constraint(type="distinctInstance"),)
SPREAD_ZONE = Strategy(type="spread", field="attribute:ecs.availability-zone")
SPREAD_HOST = Strategy(type="spread", field="host")
BINPACK_CPU = Strategy(type="binpack", field="cpu")
BINPACK_MEMORY = Strategy(type="binpack", field="memory")
RANDOM = Strategy(type="random")


def packer(*records: Any) -> placement.Packer:
    subject = worlds.new_store()
    worlds.put(subject, worlds.cluster(), *records)
    return placement.Packer(subject.view(), worlds.CLUSTER)


def placed(answer: placement.Placed | placement.Refused) -> placement.Placed:
    assert isinstance(answer, placement.Placed), answer
    return answer


def refused(answer: placement.Placed | placement.Refused) -> placement.Refused:
    assert isinstance(answer, placement.Refused), answer
    return answer


def test_a_task_goes_to_an_instance_that_has_room_and_says_why() -> None:
    one = worlds.instance("i1", zone="us-east-1b")
    answer = placed(packer(one).place(worlds.request()))
    desired = answer.desired(5.0)
    assert (desired.status, desired.container_instance, desired.placed_at) == ("RUNNING", "i1", 5.0)
    assert desired.availability_zone == "us-east-1b"
    assert answer.reason == tasks.PlacementReason(
        candidates=1, fitting=1, decided_by="spread(attribute:ecs.availability-zone), spread(instanceId)"
    )


@pytest.mark.parametrize(
    "instance, wanted, reason",
    [
        (worlds.instance(cpu=255), {}, "RESOURCE:CPU"),
        (worlds.instance(memory=127), {}, "RESOURCE:MEMORY"),
        (worlds.instance(reserved_ports=(80,)), {"ports": (80,)}, "RESOURCE:PORTS"),
        (worlds.instance(connected=False), {}, "AGENT"),
        (worlds.instance(status="DRAINING"), {}, "DRAINING"),
        (worlds.instance(attributes={"b": None}), {"required_attributes": ("a", "b")}, "ATTRIBUTE"),
        (
            worlds.instance(attributes={"stack": "test"}),
            {"constraints": (Constraint(type="memberOf", expression="attribute:stack == prod"),)},
            "memberOf",
        ),
        (worlds.instance(), {"network_mode": "awsvpc"}, "ATTRIBUTE"),
    ],
)
def test_every_refusal_names_its_reason(instance: worlds.Instance, wanted: dict[str, Any], reason: str) -> None:
    answer = refused(packer(instance).place(worlds.request(**wanted)))
    assert answer.considered == 1
    assert answer.counts == {reason: 1}
    assert answer.closest == placement.Refusal(instance_id="i1", reason=reason)
    assert answer.refusals == (placement.Refusal(instance_id="i1", reason=reason),)


def test_an_empty_cluster_refuses_with_nothing_considered() -> None:
    assert refused(packer().place(worlds.request())) == placement.Refused(
        considered=0, counts={}, closest=None, refusals=()
    )


def test_inactive_instances_and_other_clusters_are_not_considered() -> None:
    answer = packer(worlds.instance("i1", status="INACTIVE"), worlds.instance("i2", cluster="other")).place(
        worlds.request()
    )
    assert refused(answer).considered == 0


def test_the_closest_instance_is_the_one_that_fails_last_and_has_most_left() -> None:
    answer = packer(
        worlds.instance("i1", status="DRAINING"),
        worlds.instance("i2", cpu=100),
        worlds.instance("i3", cpu=200),
        worlds.instance("i4", connected=False),
    ).place(worlds.request())
    assert refused(answer).closest == placement.Refusal(instance_id="i3", reason="RESOURCE:CPU")
    assert refused(answer).counts == {"DRAINING": 1, "RESOURCE:CPU": 2, "AGENT": 1}


def test_what_live_tasks_hold_is_taken_even_while_they_stop() -> None:
    one = worlds.instance(cpu=1024)
    stopping = worlds.task("t1", one, cpu=1024, desired="STOPPED", status="RUNNING")
    assert refused(packer(one, stopping).place(worlds.request())).counts == {"RESOURCE:CPU": 1}
    stopped = worlds.task("t1", one, cpu=1024, desired="STOPPED", status="STOPPED")
    placed(packer(one, stopped).place(worlds.request()))


def test_tasks_of_one_decision_see_what_the_ones_before_took() -> None:
    here = packer(worlds.instance(cpu=512))
    placed(here.place(worlds.request()))
    placed(here.place(worlds.request("service:other")))
    assert refused(here.place(worlds.request())).counts == {"RESOURCE:CPU": 1}


def test_a_fixed_host_port_is_taken_once_per_instance_and_protocol() -> None:
    here = packer(worlds.instance("i1"), worlds.instance("i2"))
    wanted = worlds.request(ports=(80,))
    assert {placed(here.place(wanted)).instance_id for _ in range(2)} == {"i1", "i2"}
    assert refused(here.place(wanted)).counts == {"RESOURCE:PORTS": 2}
    udp = tasks.TaskResources(host_ports=(tasks.HostPort(port=80, protocol="udp"),))
    placed(here.place(placement.PlacementRequest(group="g", resources=udp)))


def test_ports_that_an_agent_chose_are_taken_too() -> None:
    one = worlds.instance()
    binding = tasks.NetworkBinding(container_port=80, host_port=32768)
    container = tasks.ObservedContainer(container_id="c", name="app", image="app", network_bindings=(binding,))
    running = worlds.task("t1", one, containers=(container,))
    assert refused(packer(one, running).place(worlds.request(ports=(32768,)))).counts == {"RESOURCE:PORTS": 1}


def test_awsvpc_tasks_get_addresses_of_the_subnet_until_none_is_left() -> None:
    here = packer(worlds.instance(subnet="10.0.1.0/29"))
    wanted = worlds.request(network_mode="awsvpc")
    given = [placed(here.place(wanted)).network_interface for _ in range(5)]
    assert {one.ipv4_address for one in given if one} == {f"10.0.1.{last}" for last in range(2, 7)}
    assert {(one.gateway, one.prefix_length) for one in given if one} == {("10.0.1.1", 29)}
    assert len({one.mac_address for one in given if one}) == 5
    assert refused(here.place(wanted)).counts == {"RESOURCE:ENI": 1}


def test_an_address_is_free_again_when_its_task_has_stopped() -> None:
    one = worlds.instance(subnet="10.0.1.0/30")
    interface = placed(packer(one).place(worlds.request(network_mode="awsvpc"))).network_interface
    running = worlds.task("t1", one, interface=interface)
    assert refused(packer(one, running).place(worlds.request(network_mode="awsvpc"))).counts == {"RESOURCE:ENI": 1}
    stopped = worlds.task("t1", one, interface=interface, status="STOPPED")
    placed(packer(one, stopped).place(worlds.request(network_mode="awsvpc")))


def test_distinct_instance_is_judged_by_desired_status() -> None:
    first, second = worlds.instance("i1"), worlds.instance("i2")
    wanted = worlds.request(constraints=DISTINCT)
    here = packer(first, second, worlds.task("t1", first, desired="STOPPED"), worlds.task("t2", second))
    assert placed(here.place(wanted)).instance_id == "i1"
    assert refused(here.place(wanted)).counts == {"distinctInstance": 2}


def test_a_task_that_this_decision_stops_no_longer_blocks_its_instance() -> None:
    one = worlds.instance("i1")
    running = worlds.task("t1", one)
    here = packer(one, running)
    here.forget(running)
    placed(here.place(worlds.request(constraints=DISTINCT)))


def test_the_default_spreads_over_zones_then_instances() -> None:
    here = packer(*(worlds.instance(f"i{zone}{n}", zone=zone) for zone in "abc" for n in range(2)))
    chosen = [placed(here.place(worlds.request())) for _ in range(12)]
    for upto in range(3, 13, 3):
        assert set(Counter(one.availability_zone for one in chosen[:upto]).values()) == {upto // 3}
    assert set(Counter(one.instance_id for one in chosen).values()) == {2}


def test_a_full_zone_is_passed_over() -> None:
    here = packer(worlds.instance("i1", zone="a", cpu=256), worlds.instance("i2", zone="b"))
    chosen = [placed(here.place(worlds.request())).instance_id for _ in range(4)]
    assert Counter(chosen) == {"i1": 1, "i2": 3}


def test_of_equal_instances_the_emptier_one_is_taken() -> None:
    first, second = worlds.instance("i1"), worlds.instance("i2")
    here = packer(first, second, worlds.task("t1", first, group="service:other"))
    assert placed(here.place(worlds.request())).instance_id == "i2"


def test_binpack_fills_the_fullest_instance_first() -> None:
    first, second = worlds.instance("i1", memory=1024), worlds.instance("i2", memory=512)
    here = packer(first, second)
    wanted = worlds.request(strategy=(BINPACK_MEMORY,), memory=256)
    assert [placed(here.place(wanted)).instance_id for _ in range(6)] == ["i2", "i2", "i1", "i1", "i1", "i1"]


def test_random_takes_every_instance_sooner_or_later() -> None:
    here = packer(*(worlds.instance(f"i{n}", cpu=100_000, memory=100_000) for n in range(4)))
    chosen = Counter(placed(here.place(worlds.request(strategy=(RANDOM,)))).instance_id for _ in range(200))
    assert len(chosen) == 4 and min(chosen.values()) > 20


def test_start_task_puts_a_task_where_it_was_asked_for_or_says_why_not() -> None:
    here = packer(worlds.instance("i1", cpu=256))
    answer = placed(here.place_on("i1", worlds.request()))
    assert answer.reason.decided_by == "asked for"
    assert refused(here.place_on("i1", worlds.request())).counts == {"RESOURCE:CPU": 1}
    assert refused(here.place_on("elsewhere", worlds.request())).considered == 0


# ------------------------------------------------------------------------------------------- the oracle

STRATEGIES = st.sampled_from(
    [
        (),
        (SPREAD_ZONE,),
        (SPREAD_HOST,),
        (SPREAD_ZONE, SPREAD_HOST),
        (BINPACK_CPU,),
        (BINPACK_MEMORY,),
        (SPREAD_ZONE, BINPACK_MEMORY),
        (SPREAD_ZONE, Strategy(type="spread", field="attribute:rack")),
        (Strategy(type="spread", field="attribute:rack"), SPREAD_ZONE, BINPACK_CPU),
        (SPREAD_HOST, BINPACK_CPU),
        (BINPACK_CPU, SPREAD_ZONE),
    ]
)
INSTANCES = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(1, 6), st.sampled_from("ab"), st.sampled_from(["x", "y", None]), st.booleans()
    ),
    max_size=7,
)


@settings(max_examples=150, deadline=None)
@given(
    INSTANCES,
    st.lists(st.tuples(STRATEGIES, st.integers(0, 2), st.integers(1, 3), st.booleans()), min_size=1, max_size=25),
)
def test_every_choice_is_one_that_the_filters_said_plainly_leave(
    shapes: list[tuple[int, int, str, str | None, bool]],
    wanted: list[tuple[tuple[Strategy, ...], int, int, bool]],
) -> None:
    subject = worlds.new_store()
    for number, (cpu, memory, zone, rack, connected) in enumerate(shapes):
        one = worlds.instance(
            f"i{number}",
            cpu=cpu * 256,
            memory=memory * 128,
            zone=zone,
            connected=connected,
            attributes={"rack": rack} if rack else {},
        )
        held = worlds.task(f"t{number}", one, group=f"g{number % 2}", cpu=0, memory=0)
        worlds.put(subject, one, *([held] if number % 3 == 0 else []))
    here = placement.Packer(subject.view(), worlds.CLUSTER)
    for strategy, group, size, distinct in wanted:
        request = worlds.request(
            f"g{group}", size * 128, size * 64, strategy=strategy, constraints=DISTINCT if distinct else ()
        )
        plain = pickers.ScanPicker(picture.Demand(request), here._scene, filters.filters(strategy)).best()
        best = {node.instance_id for node in plain}
        answer = here.place(request)
        if isinstance(answer, placement.Placed):
            assert answer.instance_id in best
        else:
            assert not best
            assert sum(answer.counts.values()) == answer.considered == len(shapes)


# ------------------------------------------------------------------------------------------- sizes


def container(name: str = "app", **more: Any) -> task_definitions.ContainerDefinition:
    return task_definitions.ContainerDefinition(name=name, image="x", **more)


def size(definition: task_definitions.TaskDefinition, **override: Any) -> tuple[int, int]:
    found = placement.resources_of(definition, tasks.TaskOverride(**override))
    return found.cpu_units, found.memory_mib


def test_containers_are_summed_and_a_soft_limit_counts_before_a_hard_one() -> None:
    both = (container("a", cpu=100, memory=512, memory_reservation=128), container("b", cpu=28, memory=64))
    made = worlds.definition(container_definitions=both)
    assert size(made) == (128, 192)
    overrides = (
        tasks.ContainerOverride(name="a", cpu=10, memory_reservation=1),
        tasks.ContainerOverride(name="b", memory=2),
    )
    assert size(made, container_overrides=overrides) == (38, 3)


def test_task_level_sizes_win_over_the_containers() -> None:
    made = worlds.replace(worlds.definition(cpu=100, memory=512), memory="1024")
    assert size(made) == (100, 1024)
    assert size(made, cpu="512", memory="2048") == (512, 2048)


@pytest.mark.parametrize(
    "mode, ports",
    [("bridge", [(8080, "tcp")]), ("host", [(53, "udp"), (80, "tcp"), (8080, "tcp")]), ("awsvpc", []), ("none", [])],
)
def test_fixed_host_ports_depend_on_the_network_mode(mode: Any, ports: list[tuple[int, str]]) -> None:
    mappings = (
        task_definitions.PortMapping(container_port=80),
        task_definitions.PortMapping(container_port=8080, host_port=8080),
        task_definitions.PortMapping(container_port=53, host_port=0, protocol="udp"),
    )
    made = worlds.definition(container_definitions=(container(port_mappings=mappings),), network_mode=mode)
    found = placement.resources_of(made).host_ports
    assert [(one.port, one.protocol) for one in found] == ports


@pytest.mark.parametrize(
    "strategy, valid",
    [
        ((SPREAD_ZONE, BINPACK_CPU, RANDOM), True),
        ((Strategy(type="spread", field="cpu"),), False),
        ((Strategy(type="spread"),), False),
        ((Strategy(type="binpack", field="host"),), False),
        ((Strategy(type="random", field="host"),), False),
        ((RANDOM,) * 6, False),
    ],
)
def test_strategies_that_make_no_sense_are_named(strategy: tuple[Strategy, ...], valid: bool) -> None:
    assert (placement.check_strategy(strategy) is None) is valid
