"""Frames go out and come back whole; what is broken, unknown or of the real agent's own spelling is told apart."""

from __future__ import annotations

import json
import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.acs import docker, frames, messages, refusals, tasks, telemetry

KINDS = typing.get_args(frames.Message)


def value_of(annotation: object) -> st.SearchStrategy[object]:
    """Any value of a member's type: strings, numbers, tuples, maps, literals, unions and nested structs."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is str:
        return st.text(max_size=8)
    if annotation is int:
        return st.integers(0, 2**40)
    if annotation is float:
        return st.floats(0, 1e12, allow_nan=False)
    if annotation is bool:
        return st.booleans()
    if annotation is type(None):
        return st.none()
    if origin is tuple:
        return st.lists(value_of(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return struct_of(annotation)
    return st.one_of([value_of(each) for each in arguments])


def struct_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[object]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: value_of(hint) for name, hint in hints.items()})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_survives_the_wire(kind: type[msgspec.Struct]) -> None:
    @settings(max_examples=15, deadline=None)
    @given(struct_of(kind))
    def survives(message: typing.Any) -> None:
        text = frames.serialize(message)
        assert json.loads(text)["type"] == kind.__name__
        assert frames.parse(text) == message
        headers, again = frames.parse_signed(
            frames.serialize_signed({"Authorization": "AWS4 x", "Host": "a:1"}, message)
        )
        assert again == message
        assert headers == {"authorization": "AWS4 x", "host": "a:1"}

    survives()


def test_wire_names_are_those_of_amazons_agent() -> None:
    interface = tasks.ElasticNetworkInterface(
        attachment_arn="arn:1",
        ec2_id="eni-1",
        mac_address="02:00:00:00:00:01",
        ipv4_addresses=(tasks.Ipv4Address(primary=True, private_address="10.0.0.2"),),
        subnet_gateway_ipv4_address="10.0.0.1/24",
    )
    container = tasks.Container(
        name="web",
        image="busybox",
        essential=True,
        entry_point=("sh",),
        port_mappings=(tasks.PortMapping(container_port=80),),
        docker_config=docker.make(docker.Config(working_dir="/srv"), docker.HostConfig(readonly_rootfs=True)),
    )
    task = tasks.Task(
        arn="arn:t", desired_status="RUNNING", containers=(container,), elastic_network_interfaces=(interface,)
    )
    text = frames.serialize(
        messages.PayloadMessage(message_id="m", cluster_arn="c", container_instance_arn="i", seq_num=2, tasks=(task,))
    )
    assert json.loads(text)["message"] == {
        "messageId": "m",
        "clusterArn": "c",
        "containerInstanceArn": "i",
        "seqNum": 2,
        "tasks": [
            {
                "arn": "arn:t",
                "desiredStatus": "RUNNING",
                "containers": [
                    {
                        "name": "web",
                        "image": "busybox",
                        "essential": True,
                        "entryPoint": ["sh"],
                        "portMappings": [{"containerPort": 80}],
                        "dockerConfig": {
                            "version": "1.19",
                            "config": '{"WorkingDir":"/srv"}',
                            "hostConfig": '{"ReadonlyRootfs":true}',
                        },
                    }
                ],
                "elasticNetworkInterfaces": [
                    {
                        "attachmentArn": "arn:1",
                        "ec2Id": "eni-1",
                        "macAddress": "02:00:00:00:00:01",
                        "ipv4Addresses": [{"primary": True, "privateAddress": "10.0.0.2"}],
                        "subnetGatewayIpv4Address": "10.0.0.1/24",
                    }
                ],
            }
        ],
    }


def test_a_metrics_frame_as_amazons_agent_sends_it() -> None:
    text = (
        "Authorization: AWS4-HMAC-SHA256 Credential=x\r\nHost: 127.0.0.1:4566\r\nX-Amz-Date: 20260101T000000Z\r\n\r\n"
        '{"type":"PublishMetricsRequest","message":{"instanceMetrics":{"storage":{}},"metadata":{"cluster":"default",'
        '"containerInstance":"arn:i","fin":true,"messageId":"m"},"taskMetrics":[{"containerMetrics":[{"containerName":'
        '"web","cpuStatsSet":{"max":2.5,"min":1.0,"sampleCount":4,"sum":7.0},"memoryStatsSet":{"max":8,"min":8,'
        '"sampleCount":4,"sum":32}}],"taskArn":"arn:t","taskDefinitionFamily":"web","taskDefinitionVersion":"3"}],'
        '"timestamp":1767225600.5}}'
    )
    headers, message = frames.parse_signed(text)
    assert headers["host"] == "127.0.0.1:4566"
    assert isinstance(message, telemetry.PublishMetricsRequest)
    assert message.timestamp == 1767225600.5
    assert message.metadata.fin and not message.metadata.idle
    assert message.task_metrics[0].container_metrics[0].cpu_stats_set == telemetry.StatsSet(
        min=1.0, max=2.5, sum=7.0, sample_count=4
    )


def test_unknown_types_are_kept_apart_and_broken_frames_refused() -> None:
    assert frames.parse('{"type":"NewThing","message":{"a":1}}') == frames.Unknown(type="NewThing", message=b'{"a":1}')
    for text in ("", "[]", "{", '{"message":{}}', b"\xff"):
        with pytest.raises(frames.MalformedFrame):
            frames.parse(text)
    with pytest.raises(frames.MalformedFrame) as problem:
        frames.parse('{"type":"PayloadMessage","message":{"messageId":"m"}}')
    assert problem.value.type == "PayloadMessage"
    with pytest.raises(frames.MalformedFrame):
        frames.parse('{"type":"HeartbeatMessage","message":{"healthy":"' + "x" * frames.FRAME_BYTES_MAX + '"}}')
    for signed in ("Authorization: x", "no header\r\n\r\n{}"):
        with pytest.raises(frames.MalformedFrame):
            frames.parse_signed(signed)


def test_docker_texts_and_overrides() -> None:
    made = docker.make(
        docker.Config(user="1:1", healthcheck=docker.HealthConfig(test=("CMD", "true"), interval=5_000_000_000)),
        docker.HostConfig(ulimits=(docker.Ulimit(name="nofile", soft=1, hard=2),), memory_reservation=1 << 20),
    )
    assert docker.config_of(made).healthcheck == docker.HealthConfig(test=("CMD", "true"), interval=5_000_000_000)
    assert docker.host_config_of(made).ulimits == (docker.Ulimit(name="nofile", soft=1, hard=2),)
    assert docker.config_of(None) == docker.Config()
    assert docker.host_config_of(docker.DockerConfig(config="", host_config="")) == docker.HostConfig()
    assert docker.overrides_of("").command is None
    assert docker.overrides_of('{"command":["a"]}').command == ("a",)
    with pytest.raises(docker.MalformedDockerConfig, match=r"overrides"):
        docker.overrides_of("{not json")
    with pytest.raises(docker.MalformedDockerConfig, match=r"dockerConfig\.hostConfig"):
        docker.host_config_of(docker.DockerConfig(host_config='{"Ulimits":3}'))


def test_refusals_in_both_forms() -> None:
    refusal = refusals.Refusal(refusals.INACTIVE_INSTANCE, "deregistered")
    assert refusals.parse(refusals.serialize(refusal)) == refusal
    assert refusals.parse(b'{"InactiveInstanceException":"gone"}') == refusals.Refusal(
        "InactiveInstanceException", "gone"
    )
    assert refusals.status_of(refusal) == 400
    assert refusals.status_of(refusals.Refusal(refusals.ACCESS_DENIED, "")) == 403
    for body in (b"", b"[]", b"<html>", b'{"a":1,"b":2}'):
        assert refusals.parse(body) is None
