"""DescribeServices and ListServices."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.ecs import common, present_services
from roadstead.api.ecs import names as references
from roadstead.model import names, services, tables
from roadstead.state import view as views

DESCRIBE_SERVICES_MAX = 10
"""Services that one DescribeServices may name (ECS-API)."""
LIST_SERVICES_DEFAULT = 10
"""ListServices' page where maxResults is absent (ECS-API)."""


def describe_services(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeServices: those named, INACTIVE ones too; unknown ones in `failures`."""
    cluster = common.find_cluster(view, call.params.cluster)
    common.check_count(call.params.services, "Services", DESCRIBE_SERVICES_MAX)
    with_tags = common.includes(call.params.include, "TAGS")
    found: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for text in dict.fromkeys(call.params.services):
        name = references.id_in_cluster(view.scope, "service", cluster.name, text)
        one = view.get(services.Service, services.service_key(cluster.name, name)) if name else None
        if one is None:
            arn = text if text.startswith("arn:") else names.service_arn(view.scope, cluster.name, text)
            failures.append(common.failure(arn, "MISSING"))
        else:
            found.append(present_services.service(view, one, with_tags=with_tags))
    return operation.Reply(output={"services": found, "failures": failures})


def list_services(call: operation.Call, view: views.View) -> operation.Reply:
    """ListServices: ARNs of the cluster's services that are ACTIVE or DRAINING, by name."""
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    filters = (params.launchType, params.schedulingStrategy, params.resourceManagementType)
    wanted = (
        params.launchType in (None, "EC2")
        and params.schedulingStrategy in (None, "REPLICA")
        and params.resourceManagementType in (None, "CUSTOMER")
    )
    found, token = common.read_page(
        view,
        tables.SERVICES,
        "by_cluster",
        (cluster.name,) if wanted else (cluster.name, "none of these"),
        query=f"ListServices {cluster.name} {filters}",
        token=params.nextToken,
        max_results=LIST_SERVICES_DEFAULT if params.maxResults is None else params.maxResults,
        matches=lambda one: one.status != "INACTIVE",
    )
    arns = [names.service_arn(view.scope, one.cluster, one.name) for one in found]
    return operation.Reply(output=common.given(serviceArns=arns, nextToken=token))
