"""The stand-in for the gateway's HTTP front door: AWS JSON in and out, through the production wire and operations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from roadstead.api import operation, registry
from roadstead.base import errors
from roadstead.sim import network
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses, services

ENDPOINT = "http://127.0.0.1:4566"
_JSON10 = frozenset({"cloudwatch"})


class _Served(msgspec.Struct, frozen=True):
    operation: operation.Operation
    unsupported: Callable[[Any], list[str]]


@functools.cache
def _known() -> services.Services:
    return services.Services()


@functools.cache
def _table() -> dict[tuple[str, str], _Served]:
    known = _known()
    return {
        (one.service, one.name): _Served(one, acceptance.compile_checker(known, one.service, one.name, one.accepts))
        for one in registry.all_operations()
    }


@functools.cache
def _prefixes() -> dict[str, str]:
    return {served.name: served.target_prefix for served in _known().served if served.target_prefix is not None}


def decide(
    subject: store.Store, service: str, name: str, body: bytes, now: float
) -> tuple[store.Commit | None, network.Answer]:
    """Carry out one request, as a client of AWS's would send it. The answer must wait for the commit's durability."""
    version = "1.0" if service in _JSON10 else "1.1"
    headers = {"x-amz-target": f"{_prefixes()[service]}.{name}", "content-type": f"application/x-amz-json-{version}"}
    request = requests.Request(method="POST", path="/", headers=headers, body=body)
    try:
        call = requests.parse(_known(), request, "simulated")
        served = _table().get((service, name))
        if served is None:
            raise errors.Refusal("UnsupportedOperationException", f"{name} of {service} is not supported")
        unsupported = served.unsupported(call.params)
        if unsupported:
            raise errors.Refusal("UnsupportedParameter", ", ".join(unsupported))
        asked = operation.Call(params=call.params, now=now, request_id="simulated", endpoint=ENDPOINT)

        def run(view: store.StoreView) -> tuple[plan.Plan, dict[str, Any]]:
            reply = served.operation.decide(asked, view)
            return reply.plan, reply.output

        commit, output = subject.transact(run, now)
    except errors.Refusal as refusal:
        return None, network.Answer(refusal.code, refusal.message.encode())
    return commit, network.Answer("", bytes(responses.serialize(_known(), call, output).body))
