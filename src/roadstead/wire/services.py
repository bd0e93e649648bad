"""The services' models, read from botocore's data at the first use of each service.

botocore's own loader costs 0.2 s to import and keeps every word of documentation; the models are plain JSON, so
they are decoded here straight into the few fields that the wire needs (about 10 ms for ECS, the largest).
"""

from __future__ import annotations

import gzip
import importlib.util
import pathlib
from typing import Any

import msgspec

from roadstead.wire.protocols import Protocol


class Ref(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to a shape, with what the referring member adds to it."""

    shape: str
    location_name: str | None = None
    flattened: bool | None = None
    timestamp_format: str | None = None


class ErrorTrait(msgspec.Struct, frozen=True, rename="camel"):
    """How a Query service calls an error shape."""

    code: str | None = None
    http_status_code: int | None = None
    sender_fault: bool | None = None


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """One shape of a model; `type` is structure, list, map, string, integer, long, float, double, boolean, …"""

    type: str
    members: dict[str, Ref] = {}
    required: tuple[str, ...] = ()
    member: Ref | None = None
    key: Ref | None = None
    value: Ref | None = None
    enum: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    flattened: bool = False
    location_name: str | None = None
    timestamp_format: str | None = None
    document: bool = False
    union: bool = False
    exception: bool = False
    error: ErrorTrait | None = None


class Output(msgspec.Struct, frozen=True, rename="camel"):
    """An operation's output: its shape, and the element a Query answer wraps it in."""

    shape: str
    result_wrapper: str | None = None


class Operation(msgspec.Struct, frozen=True):
    """One operation of a model."""

    name: str
    input: Ref | None = None
    output: Output | None = None
    errors: tuple[Ref, ...] = ()


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What a model says about its service as a whole."""

    api_version: str
    endpoint_prefix: str
    service_id: str
    protocols: tuple[str, ...]
    signing_name: str | None = None
    target_prefix: str | None = None
    json_version: str | None = None
    xml_namespace: str | None = None
    aws_query_compatible: dict[str, Any] | None = None


class Model(msgspec.Struct, frozen=True):
    """A service's model."""

    metadata: Metadata
    operations: dict[str, Operation]
    shapes: dict[str, Shape]


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a service before its model is read (a test compares it with the model)."""

    name: str
    signing_name: str
    api_version: str
    target_prefix: str | None
    protocols: frozenset[Protocol]


_JSON = frozenset({Protocol.JSON10, Protocol.JSON11})
SERVED = (
    Served(
        name="ecs",
        signing_name="ecs",
        api_version="2014-11-13",
        target_prefix="AmazonEC2ContainerServiceV20141113",
        protocols=_JSON,
    ),
    Served(
        name="application-autoscaling",
        signing_name="application-autoscaling",
        api_version="2016-02-06",
        target_prefix="AnyScaleFrontendService",
        protocols=_JSON,
    ),
    Served(
        name="cloudwatch",
        signing_name="monitoring",
        api_version="2010-08-01",
        target_prefix="GraniteServiceVersion20100801",
        protocols=_JSON | {Protocol.QUERY, Protocol.CBOR},
    ),
    Served(
        name="sts",
        signing_name="sts",
        api_version="2011-06-15",
        target_prefix=None,
        protocols=frozenset({Protocol.QUERY}),
    ),
    Served(
        name="autoscaling",
        signing_name="autoscaling",
        api_version="2011-01-01",
        target_prefix=None,
        protocols=frozenset({Protocol.QUERY}),
    ),
)


UNPUBLISHED_MEMBERS = {"ecs": {"RegisterContainerInstanceRequest": {"clientToken": "String"}}}
"""Members that clients send and the published model leaves out (agent-protocol.md 2.1): service → structure → shapes.

With the token a container agent that lost the answer registers again as the same instance.
"""


class Service:
    """A service with its model, and a place where the rest of `wire` keeps what it derives from the model."""

    def __init__(self, served: Served, model: Model) -> None:
        self.name = served.name
        self.served = served
        self.metadata = model.metadata
        self.operations = model.operations
        self.shapes = model.shapes
        self.derived: dict[tuple[str, str], Any] = {}
        """(what, shape or operation) → a value made once from the model; bounded by the model's size."""
        self._error_codes: dict[str, str] | None = None

    @property
    def query_compatible(self) -> bool:
        """Whether JSON and CBOR answers carry the error codes of the older Query protocol beside their own."""
        return self.metadata.aws_query_compatible is not None

    def error_shape(self, code: str) -> str | None:
        """The error shape that a code names, by its shape name or its Query code; None where there is none."""
        if self._error_codes is None:
            found: dict[str, str] = {}
            for name, shape in self.shapes.items():
                if shape.exception:
                    found[name] = name
                    if shape.error is not None and shape.error.code:
                        found.setdefault(shape.error.code, name)
            self._error_codes = found
        return self._error_codes.get(code)


class Services:
    """The services that are served. Made once by the composition root; reads each model at its first use.

    `names` chooses among those of `SERVED` (all of them by default). Raises ValueError for a name that is not there.
    """

    def __init__(self, names: tuple[str, ...] | None = None) -> None:
        known = {served.name: served for served in SERVED}
        chosen = tuple(known) if names is None else names
        for name in chosen:
            if name not in known:
                raise ValueError(f"no such service: {name}")
        self.served = tuple(known[name] for name in chosen)
        self._by_name = {served.name: served for served in self.served}
        self._by_signing_name = {served.signing_name: served.name for served in self.served}
        self._by_target = {served.target_prefix: served.name for served in self.served if served.target_prefix}
        self._by_version = {served.api_version: served.name for served in self.served}
        self._loaded: dict[str, Service] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def service(self, name: str) -> Service:
        """The service with its model, loaded at the first call (2 to 40 ms). Raises KeyError where it is not served."""
        found = self._loaded.get(name)
        if found is None:
            served = self._by_name[name]
            found = self._loaded[name] = Service(served, _read_model(name))
        return found

    def by_signing_name(self, signing_name: str) -> str | None:
        """The service whose credential scope says `signing_name` (`monitoring` is cloudwatch)."""
        return self._by_signing_name.get(signing_name)

    def by_target_prefix(self, prefix: str) -> str | None:
        """The service of an `X-Amz-Target` prefix or an RPC-v2 service name."""
        return self._by_target.get(prefix)

    def by_api_version(self, version: str) -> str | None:
        """The service of a Query request's `Version`."""
        return self._by_version.get(version)

    def speaks(self, name: str, protocol: Protocol) -> bool:
        """Whether the service answers in the protocol."""
        served = self._by_name.get(name)
        return served is not None and protocol in served.protocols


def _read_model(name: str) -> Model:
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("botocore is not installed; it holds the service models")
    versions = sorted(path for path in (pathlib.Path(spec.submodule_search_locations[0]) / "data" / name).iterdir())
    newest = versions[-1]
    packed = newest / "service-2.json.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else (newest / "service-2.json").read_bytes()
    model = msgspec.json.decode(raw, type=Model)
    for structure, members in UNPUBLISHED_MEMBERS.get(name, {}).items():
        for member, shape in members.items():
            model.shapes[structure].members.setdefault(member, Ref(shape=shape))
    return model
