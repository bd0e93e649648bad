"""Raw HTTP to a server, signed as a client would and then spoiled as a test wants."""

from __future__ import annotations

import json
import socket
from typing import Any

import msgspec
from tests import signed_http
from tests.end_to_end import installations

TARGETS = {
    "ecs": ("AmazonEC2ContainerServiceV20141113", "application/x-amz-json-1.1", "ecs"),
    "application-autoscaling": ("AnyScaleFrontendService", "application/x-amz-json-1.1", "application-autoscaling"),
    "cloudwatch": ("GraniteServiceVersion20100801", "application/x-amz-json-1.0", "monitoring"),
}


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code, of the JSON protocols."""
        return str(json.loads(self.body)["__type"]).rsplit("#", 1)[-1]

    @property
    def message(self) -> str:
        found = json.loads(self.body)
        return str(found.get("message", found.get("Message", "")))


class Caller:
    """Calls one server."""

    def __init__(self, one: installations.Installation) -> None:
        self.host = one.endpoint.removeprefix("http://")
        self._keys = one.keys

    def send(self, method: str = "POST", path: str = "/", headers: Any = None, body: bytes = b"") -> Answer:
        return Answer(*signed_http.send(self.host, method, path, headers or {}, body))

    def sign(
        self, headers: dict[str, str], body: bytes = b"", *, signing_name: str = "ecs", **how: Any
    ) -> dict[str, str]:
        """The headers with a signature of the server's own keys; `how` as in `signed_http.sign`."""
        pair = self._keys["access_key_id"], self._keys["secret_access_key"]
        return signed_http.sign(self.host, *pair, headers, body, service=signing_name, **how)

    def call(self, service: str, operation: str, body: bytes | dict[str, Any], **how: Any) -> Answer:
        """A signed call in the service's JSON protocol; a body of bytes goes as it is."""
        prefix, content_type, signing_name = TARGETS[service]
        headers = {"content-type": content_type, "x-amz-target": f"{prefix}.{operation}"}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(headers=self.sign(headers, raw, **{"signing_name": signing_name, **how}), body=raw)

    def throw(self, data: bytes, *, then_close: bool = True) -> bytes:
        """Bytes as they are: all that comes back until the server closes or is silent for a moment."""
        host, port = self.host.split(":")
        received = b""
        with socket.create_connection((host, int(port)), timeout=signed_http.ANSWER_SECONDS_MAX) as one:
            try:
                one.sendall(data)
                if then_close:
                    one.shutdown(socket.SHUT_WR)
                else:
                    one.settimeout(0.3)
                while piece := one.recv(65536):
                    received += piece
            except OSError:  # closed, or silent for a moment
                pass
        return received
