"""Services: the API writes what is wanted; counts are those of the tasks that there are."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import botocore.session
import botocore.waiter
import msgspec
import pytest

from roadstead.model import services, tables

INVALID = "InvalidParameterException"
ARN = "arn:aws:ecs:us-east-1:123456789012:"
AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}}
HIGH_RESOLUTION = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}


def create(world: Any, **more: Any) -> Any:
    wanted = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, **more}
    return world.call("CreateService", **wanted)["service"]


def describe(world: Any, name: str = "web") -> Any:
    return world.call("DescribeServices", services=[name])["services"][0]


def stored(world: Any, name: str = "web") -> services.Service:
    found: services.Service = world.get(services.Service, f"default/{name}")
    return found


def waits(world: Any, waiter: str) -> bool:
    """Whether botocore's waiter is satisfied at once."""
    model = botocore.session.get_session().get_waiter_model("ecs")
    config = model.get_waiter(waiter)
    config.max_attempts = 1
    try:
        botocore.waiter.Waiter(waiter, config, lambda **params: world.call("DescribeServices", **params)).wait(
            services=["web"]
        )
    except botocore.exceptions.WaiterError:
        return False
    return True


def test_a_new_service_has_one_deployment_in_progress_and_no_tasks_yet(cluster: Any) -> None:
    made = create(
        cluster,
        deploymentConfiguration={
            "maximumPercent": 150,
            "minimumHealthyPercent": 50,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        placementStrategy=[{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "random"}],
        placementConstraints=[{"type": "distinctInstance"}],
        tags=[{"key": "team", "value": "web"}],
        propagateTags="SERVICE",
        enableECSManagedTags=True,
    )
    assert (made["serviceArn"], made["clusterArn"]) == (ARN + "service/default/web", ARN + "cluster/default")
    assert (made["status"], made["launchType"], made["schedulingStrategy"]) == ("ACTIVE", "EC2", "REPLICA")
    assert (made["desiredCount"], made["runningCount"], made["pendingCount"]) == (2, 0, 0)
    assert made["taskDefinition"] == ARN + "task-definition/web:1"
    assert made["deploymentConfiguration"] == {
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "maximumPercent": 150,
        "minimumHealthyPercent": 50,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    assert (made["propagateTags"], made["enableECSManagedTags"]) == ("SERVICE", True)
    assert made["placementStrategy"] == [
        {"type": "spread", "field": "attribute:ecs.availability-zone"},
        {"type": "random"},
    ]
    assert made["placementConstraints"] == [{"type": "distinctInstance"}]
    assert made["tags"] == [{"key": "team", "value": "web"}]
    (deployment,) = made["deployments"]
    assert (deployment["status"], deployment["rolloutState"], deployment["desiredCount"]) == (
        "PRIMARY",
        "IN_PROGRESS",
        2,
    )
    assert deployment["id"].startswith("ecs-svc/")
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    assert "tags" not in describe(cluster)
    assert cluster.call("DescribeServices", services=["web"], include=["TAGS"])["services"][0]["tags"] == made["tags"]


def test_defaults_of_a_service(cluster: Any) -> None:
    made = create(cluster)
    assert made["deploymentConfiguration"]["maximumPercent"] == 200
    assert made["deploymentConfiguration"]["minimumHealthyPercent"] == 100
    assert (made["propagateTags"], made["enableECSManagedTags"], made["enableExecuteCommand"]) == ("NONE", False, False)
    assert made["deploymentController"] == {"type": "ECS"}


def test_creating_the_same_service_again_gives_it_back_and_another_of_its_name_is_refused(cluster: Any) -> None:
    first = create(cluster, clientToken="a")
    revision = cluster.store.revision
    assert create(cluster, clientToken="a")["deployments"][0]["id"] == first["deployments"][0]["id"]
    assert cluster.store.revision == revision
    assert cluster.refused("CreateService", serviceName="web", taskDefinition="web", desiredCount=3) == (
        INVALID,
        "Creation of service was not idempotent.",
    )


def test_counts_are_those_of_the_tasks_and_the_stable_waiter_waits_for_them(cluster: Any) -> None:
    create(cluster)
    assert not waits(cluster, "ServicesStable")
    cluster.run("1" * 32, "web", "RUNNING")
    cluster.run("2" * 32, "web", "PENDING")
    shown = describe(cluster)
    assert (shown["runningCount"], shown["pendingCount"]) == (1, 1)
    deployment = shown["deployments"][0]
    assert (deployment["runningCount"], deployment["pendingCount"]) == (1, 1)
    assert not waits(cluster, "ServicesStable")
    cluster.run("2" * 32, "web", "RUNNING")
    assert waits(cluster, "ServicesStable")


def test_a_new_task_definition_begins_a_deployment(cluster: Any) -> None:
    first = create(cluster)["deployments"][0]
    cluster.register()
    cluster.now += 60
    updated = cluster.call("UpdateService", service="web", taskDefinition="web")["service"]
    assert [one["status"] for one in updated["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert [one["taskDefinition"][-5:] for one in updated["deployments"]] == ["web:2", "web:1"]
    assert updated["deployments"][1]["id"] == first["id"]
    assert not waits(cluster, "ServicesStable")


def test_the_desired_count_alone_begins_none(cluster: Any) -> None:
    first = create(cluster)["deployments"][0]
    cluster.now += 60
    updated = cluster.call("UpdateService", service=ARN + "service/default/web", desiredCount=5)["service"]
    (deployment,) = updated["deployments"]
    assert (deployment["id"], deployment["desiredCount"], updated["desiredCount"]) == (first["id"], 5, 5)
    revision = cluster.store.revision
    cluster.call("UpdateService", service="web", desiredCount=5, taskDefinition="web:1")
    assert cluster.store.revision == revision, "nothing changed"


@pytest.mark.parametrize(
    ("change", "deployments"),
    [
        ({"forceNewDeployment": True}, 2),
        ({"monitoring": HIGH_RESOLUTION}, 2),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, 1),
        ({"placementStrategy": [{"type": "binpack", "field": "memory"}]}, 1),
        ({"enableECSManagedTags": True, "propagateTags": "TASK_DEFINITION"}, 1),
    ],
)
@pytest.mark.rule("1.3.6#deployment")
def test_which_changes_roll_out(cluster: Any, change: dict[str, Any], deployments: int) -> None:
    create(cluster)
    assert len(cluster.call("UpdateService", service="web", **change)["service"]["deployments"]) == deployments


@pytest.mark.rule("1.3.6#not shown")
def test_the_resolution_of_metrics_is_not_shown(cluster: Any) -> None:
    """DescribeServiceRevisions has it on AWS; CreateService, UpdateService and DescribeServices have not."""
    made = create(cluster, monitoring=HIGH_RESOLUTION)
    updated = cluster.call("UpdateService", service="web", desiredCount=3, monitoring=HIGH_RESOLUTION)["service"]
    (described,) = cluster.call("DescribeServices", services=["web"])["services"]
    for answer in (made, updated, described):
        assert "monitoring" not in answer
        assert all("monitoring" not in deployment for deployment in answer["deployments"])


@pytest.mark.rule("1.3.6#field")
@pytest.mark.parametrize(
    "configurations",
    [
        [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}] * 6,
        [{"metricNames": ["CPUUtilization"] * 6, "resolutionSeconds": 20}],
        [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}] * 2,
    ],
)
def test_each_metric_has_one_resolution(cluster: Any, configurations: Any) -> None:
    wanted = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
    monitoring = {"metricConfigurations": configurations}
    assert cluster.refused("CreateService", **wanted, monitoring=monitoring)[0] == INVALID


def test_an_update_keeps_what_it_does_not_name_and_an_empty_list_removes(cluster: Any) -> None:
    create(
        cluster,
        deploymentConfiguration={
            "maximumPercent": 150,
            "deploymentCircuitBreaker": {"enable": True, "rollback": False},
        },
        placementStrategy=[{"type": "random"}],
        placementConstraints=[{"type": "memberOf", "expression": "attribute:x exists"}],
        monitoring=HIGH_RESOLUTION,
        propagateTags="SERVICE",
    )
    updated = cluster.call(
        "UpdateService", service="web", deploymentConfiguration={"minimumHealthyPercent": 0}, placementStrategy=[]
    )["service"]
    configuration = updated["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (0, 150)
    assert configuration["deploymentCircuitBreaker"] == {"enable": True, "rollback": False}
    assert updated["placementStrategy"] == []
    assert updated["placementConstraints"] == [{"type": "memberOf", "expression": "attribute:x exists"}]
    assert updated["propagateTags"] == "SERVICE"
    assert stored(cluster).spec.monitoring.resolution_seconds("CPUUtilization") == 20
    assert stored(cluster).spec.monitoring.resolution_seconds("MemoryUtilization") == 60


def test_awsvpc_services_carry_their_network(cluster: Any) -> None:
    cluster.register("net", networkMode="awsvpc")
    assert cluster.refused("CreateService", serviceName="n", taskDefinition="net", desiredCount=1) == (
        INVALID,
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    )
    made = create(cluster, taskDefinition="net", networkConfiguration=AWSVPC)
    assert made["networkConfiguration"] == AWSVPC
    assert made["deployments"][0]["networkConfiguration"] == AWSVPC
    other = {"awsvpcConfiguration": {"subnets": ["subnet-2"]}}
    moved = cluster.call("UpdateService", service="web", networkConfiguration=other)["service"]
    assert len(moved["deployments"]) == 2
    back = cluster.call("UpdateService", service="web", taskDefinition="web")["service"]
    assert "networkConfiguration" not in back, "a bridge definition has no use for it"


def test_events_are_shown_newest_first_and_at_most_a_hundred(cluster: Any) -> None:
    create(cluster)
    cluster.put(
        *(
            services.ServiceEvent(
                cluster="default", service="web", number=n, event_id=f"e{n}", created_at=n, message=f"(service web) {n}"
            )
            for n in range(120)
        )
    )
    events = describe(cluster)["events"]
    assert [one["id"] for one in events] == [f"e{n}" for n in range(119, 19, -1)]


def test_a_service_is_deleted_when_it_is_scaled_to_nothing(cluster: Any) -> None:
    create(cluster)
    cluster.run("1" * 32, "web", "RUNNING")
    assert cluster.refused("DeleteService", service="web") == (
        INVALID,
        "The service cannot be stopped while it is scaled above 0.",
    )
    cluster.call("UpdateService", service="web", desiredCount=0)
    assert cluster.refused("DeleteService", service="web") == (
        INVALID,
        "The service cannot be stopped while deployments are active.",
    )
    cluster.run("1" * 32, "web", "STOPPED", "STOPPED")
    assert cluster.call("DeleteService", service="web")["service"]["status"] == "DRAINING"


def test_force_deletes_at_once_and_the_name_is_free_when_it_is_inactive(cluster: Any) -> None:
    create(cluster, tags=[{"key": "old", "value": "1"}])
    cluster.put(
        services.ServiceEvent(cluster="default", service="web", number=0, event_id="e", created_at=1, message="old")
    )
    gone = cluster.call("DeleteService", service="web", force=True)["service"]
    assert (gone["status"], gone["desiredCount"], gone["deployments"][0]["desiredCount"]) == ("DRAINING", 0, 0)
    assert stored(cluster).force_delete
    revision = cluster.store.revision
    assert cluster.call("DeleteService", service="web")["service"]["status"] == "DRAINING"
    assert cluster.store.revision == revision
    assert cluster.refused("CreateService", serviceName="web", taskDefinition="web", desiredCount=1) == (
        INVALID,
        "Unable to Start a service that is still Draining.",
    )
    assert cluster.refused("UpdateService", service="web", desiredCount=1) == (
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    )
    cluster.put(msgspec.structs.replace(stored(cluster), status="INACTIVE", deployments=()))
    assert waits(cluster, "ServicesInactive")
    assert cluster.call("ListServices") == {"serviceArns": []}
    assert cluster.refused("DeleteService", service="web") == ("ServiceNotFoundException", "Service not found.")
    again = create(cluster)
    assert (again["status"], again["events"], len(again["deployments"])) == ("ACTIVE", [], 1)
    assert describe(cluster)["events"] == [], "those of the earlier service are gone"
    assert list(cluster.store.view().find(tables.SERVICE_EVENTS, "by_service", "default", "web")) == []


def test_services_are_listed_in_pages_of_ten(cluster: Any) -> None:
    for n in range(12):
        create(cluster, serviceName=f"s{n:02d}", desiredCount=0)
    first = cluster.call("ListServices")
    assert len(first["serviceArns"]) == 10
    second = cluster.call("ListServices", nextToken=first["nextToken"])
    assert second == {"serviceArns": [ARN + "service/default/s10", ARN + "service/default/s11"]}
    assert cluster.call("ListServices", launchType="FARGATE") == {"serviceArns": []}
    assert cluster.call("ListServices", schedulingStrategy="DAEMON") == {"serviceArns": []}
    assert cluster.refused("ListServices", nextToken=first["nextToken"], launchType="EC2")[0] == INVALID


def test_describe_says_what_is_missing(cluster: Any) -> None:
    found = cluster.call("DescribeServices", services=["none", ARN + "service/other/web"])
    assert found["services"] == []
    assert found["failures"] == [
        {"arn": ARN + "service/default/none", "reason": "MISSING"},
        {"arn": ARN + "service/other/web", "reason": "MISSING"},
    ]
    assert cluster.refused("DescribeServices", services=[])[0] == INVALID
    assert cluster.refused("DescribeServices", services=[f"s{n}" for n in range(11)])[0] == INVALID
    assert cluster.refused("DescribeServices", cluster="none", services=["s"])[0] == "ClusterNotFoundException"


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
        ({"serviceName": "no spaces"}, INVALID, "Service names have up to 255"),
        ({"taskDefinition": ""}, INVALID, "TaskDefinition can not be blank."),
        ({"taskDefinition": "none"}, "ClientException", "TaskDefinition not found."),
        ({"taskDefinition": "old:1"}, "ClientException", "TaskDefinition is inactive"),
        ({"taskDefinition": "fargate"}, INVALID, "Task definition does not support launch_type EC2."),
        ({"desiredCount": -1}, INVALID, "desiredCount must be between 0 and 5000."),
        ({"launchType": "FARGATE"}, INVALID, "launchType FARGATE is not supported by this server: use EC2."),
        ({"schedulingStrategy": "DAEMON"}, INVALID, "schedulingStrategy DAEMON is not supported by this server"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, INVALID, "deploymentController CODE_DEPLOY is not"),
        ({"availabilityZoneRebalancing": "ENABLED"}, INVALID, "availabilityZoneRebalancing ENABLED is not"),
        ({"enableExecuteCommand": True}, INVALID, "enableExecuteCommand True is not supported"),
        ({"healthCheckGracePeriodSeconds": 30}, INVALID, "healthCheckGracePeriodSeconds 30 is not supported"),
        ({"networkConfiguration": AWSVPC}, INVALID, "Network Configuration is not valid for the given networkMode"),
        (
            {"deploymentConfiguration": {"maximumPercent": 100}},
            INVALID,
            "Both maximumPercent and minimumHealthyPercent",
        ),
        ({"deploymentConfiguration": {"maximumPercent": 99}}, INVALID, "maximumPercent must be at least 100."),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 101}}, INVALID, "minimumHealthyPercent must be between"),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, INVALID, "The deployment strategy BLUE_GREEN is not"),
        (
            {"placementStrategy": [{"type": "spread"}]},
            INVALID,
            "The field '' is not valid for the placement strategy spread.",
        ),
        (
            {"placementStrategy": [{"type": "binpack", "field": "disk"}]},
            INVALID,
            "The field 'disk' is not valid for the placement",
        ),
        ({"placementStrategy": [{"type": "random"}] * 6}, INVALID, "At most 5 placement strategies"),
        ({"placementConstraints": [{"type": "memberOf"}]}, "ClientException", "The placement constraint memberOf"),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:x =="}]},
            "ClientException",
            "Invalid placement constraint expression",
        ),
        (
            {"monitoring": {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 30}]}},
            INVALID,
            "resolutionSeconds must be 20 or 60.",
        ),
        (
            {"monitoring": {"metricConfigurations": [{"metricNames": ["Disk"], "resolutionSeconds": 20}]}},
            INVALID,
            "metricNames: 'Disk' is none of",
        ),
        ({"capacityProviderStrategy": [{"capacityProvider": "x"}]}, "Unsupported", "capacityProviderStrategy"),
        ({"loadBalancers": [{"targetGroupArn": "x"}]}, "Unsupported", "loadBalancers"),
        ({"serviceConnectConfiguration": {"enabled": True}}, "Unsupported", "serviceConnectConfiguration"),
    ],
)
@pytest.mark.rule("1.3.6#field", "1.3.6#controllers", "1.3.1#code deploy")
def test_what_is_refused(cluster: Any, change: dict[str, Any], code: str, text: str) -> None:
    cluster.register("old")
    cluster.call("DeregisterTaskDefinition", taskDefinition="old:1")
    cluster.register("fargate", networkMode="awsvpc", cpu="256", memory="512", requiresCompatibilities=["FARGATE"])
    wanted = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, **change}
    found = cluster.refused("CreateService", **wanted)
    assert (found[0], found[1][: len(text)]) == (code, text)


def test_the_desired_count_must_be_given(cluster: Any) -> None:
    assert cluster.refused("CreateService", serviceName="web", taskDefinition="web")[0] == INVALID


def test_a_service_that_does_not_exist_is_not_updated(cluster: Any) -> None:
    assert cluster.refused("UpdateService", service="none", desiredCount=1) == (
        "ServiceNotFoundException",
        "Service not found.",
    )


def test_a_service_keeps_its_deregistered_task_definition(cluster: Any) -> None:
    create(cluster)
    cluster.call("DeregisterTaskDefinition", taskDefinition="web:1")
    assert cluster.call("UpdateService", service="web", desiredCount=4)["service"]["desiredCount"] == 4
    assert cluster.refused("UpdateService", service="web", taskDefinition="web:1") == (
        "ClientException",
        "TaskDefinition is inactive",
    )
