"""The way of one AWS request: detect, verify, parse, accept, decide, make durable, answer."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from roadstead.api import operation as operations
from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.engine import committer
from roadstead.gateway import identity
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses, services

logger = logging.getLogger(__name__)

PARAMETERS_NAMED_MAX = 10
"""Unsupported parameters that one refusal names."""

_FAULT_CODES = {
    "ecs": "ServerException",
    "application-autoscaling": "InternalServiceException",
    "cloudwatch": "InternalServiceFault",
}
"""How a service calls an error of its own making."""
_UNSUPPORTED_OPERATION_CODES = {"ecs": "UnsupportedFeatureException"}
_THROTTLING = errors.Refusal("ThrottlingException", "Rate exceeded: too many writes wait for the disk.")


class _Served(msgspec.Struct, frozen=True):
    operation: operations.Operation
    unsupported: acceptance.Checker


class AwsApis:
    """All operations that are served."""

    def __init__(
        self,
        known: services.Services,
        table: Iterable[operations.Operation],
        subject: store.Store,
        durability: committer.Committer,
        clock: clocks.Clock,
        verifier: identity.Verifier,
    ) -> None:
        self._known = known
        self._table = {(one.service, one.name): one for one in table}
        self._served: dict[tuple[str, str], _Served] = {}
        self._store = subject
        self._committer = durability
        self._clock = clock
        self._verifier = verifier
        self._signing_names = {one.name: one.signing_name for one in known.served}

    def answer(self, request: requests.Request, endpoint: str, respond: Callable[[responses.Response], None]) -> None:
        """Answer a request that came in at `endpoint` (`http://127.0.0.1:4566`): at once where it wrote nothing, else
        when the disk has it. Never raises; responds once.
        """
        request_id = new_request_id()
        target = requests.detect(self._known, request)
        try:
            revision, response = self._run(request, target, request_id, endpoint)
        except Exception as error:
            respond(self._refused(error, target, request_id))
            return
        if revision <= self._committer.durable_revision:
            respond(response)
            return

        def tell(problem: errors.HostProblem | None) -> None:
            respond(response if problem is None else self._refused(problem, target, request_id))

        self._committer.when_durable(revision, tell)

    def too_large(self, request: requests.Request) -> responses.Response:
        """The response to a request whose body is over the limit (`request` has none of it)."""
        refusal = requests.too_large(requests.BODY_BYTES_MAX)
        return responses.refuse(self._known, requests.detect(self._known, request), refusal, new_request_id())

    def _run(
        self, request: requests.Request, target: requests.Target, request_id: str, endpoint: str
    ) -> tuple[int, responses.Response]:
        """The response, and the revision that must be durable before it is sent (0: none). Raises what goes wrong."""
        now = self._clock.now()
        signing_name = self._signing_names[target.service] if target.service is not None else None
        access_key_id = self._verifier.verify(request, signing_name, now)
        self._check_size(request, target)
        call = requests.parse(self._known, request, request_id, target)
        served = self._find(call)
        names = served.unsupported(call.params)
        if names:
            raise unsupported_parameters(call.service, call.operation, names)
        if self._committer.is_full:
            raise _THROTTLING
        asked = operations.Call(
            params=call.params, now=now, request_id=request_id, access_key_id=access_key_id, endpoint=endpoint
        )

        def decide(view: store.StoreView) -> tuple[plan.Plan, dict[str, Any]]:
            reply = served.operation.decide(asked, view)
            return reply.plan, reply.output

        commit, output = self._store.transact(decide, now)
        return (commit.revision if commit is not None else 0), responses.serialize(self._known, call, output)

    def _check_size(self, request: requests.Request, target: requests.Target) -> None:
        """Refuse a body that is over the limit of its operation."""
        served = self._table.get((target.service or "", target.operation or ""))
        if served is None or served.body_bytes_max is None:
            return
        body = requests.inflate(request) if served.body_counts_inflated else request.body
        if len(body) > served.body_bytes_max:
            raise requests.too_large(served.body_bytes_max)

    def _refused(self, error: Exception, target: requests.Target, request_id: str) -> responses.Response:
        if isinstance(error, errors.Refusal):
            return responses.refuse(self._known, target, error, request_id)
        if isinstance(error, errors.HostProblem):
            logger.error("request %s: %s", request_id, error)
            return self._fault(target, str(error), request_id, 503)
        logger.error("request %s (%s %s) failed", request_id, target.service, target.operation, exc_info=error)
        text = f"An error of Roadstead's own; the server's log tells more under request id {request_id}."
        return self._fault(target, text, request_id, 500)

    def _find(self, call: requests.Call) -> _Served:
        name = (call.service, call.operation)
        found = self._served.get(name)
        if found is None:
            one = self._table.get(name)
            if one is None:
                raise unsupported_operation(call.service, call.operation)
            checker = acceptance.compile_checker(self._known, one.service, one.name, one.accepts)
            found = self._served[name] = _Served(one, checker)
        return found

    def _fault(self, target: requests.Target, text: str, request_id: str, status: int) -> responses.Response:
        code = _FAULT_CODES.get(target.service or "", "InternalFailure")
        return responses.refuse(self._known, target, errors.Refusal(code, text, status=status), request_id)


def new_request_id() -> str:
    """A version 4 UUID; twice as fast as the standard library's, which every request would pay for."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def unsupported_parameters(service: str, operation: str, names: list[str]) -> errors.Refusal:
    """The refusal of parameters that AWS knows and this server does not support."""
    shown = ", ".join(f"'{name}'" for name in names[:PARAMETERS_NAMED_MAX])
    rest = len(names) - PARAMETERS_NAMED_MAX
    noun = "parameter" if len(names) == 1 else "parameters"
    more = f" and {rest} more" if rest > 0 else ""
    text = f"Roadstead does not support the {noun} {shown}{more} of {operation} yet; see docs/operations.md."
    match service:
        case "ecs":
            code = "ClientException" if "TaskDefinition" in operation else "InvalidParameterException"
        case "application-autoscaling":
            code = "ValidationException"
        case "cloudwatch":
            code = "InvalidParameterValue"
        case _:
            code = "ValidationError"
    return errors.Refusal(code, text)


def unsupported_operation(service: str, operation: str) -> errors.Refusal:
    """The refusal of an operation that AWS has and this server does not."""
    code = _UNSUPPORTED_OPERATION_CODES.get(service, "UnsupportedOperationException")
    return errors.Refusal(code, f"Roadstead does not support {operation} of {service} yet; see docs/operations.md.")
