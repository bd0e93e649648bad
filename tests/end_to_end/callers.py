"""Raw HTTP to a server, signed as a client would and then spoiled as a test wants."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

import msgspec
from tests.end_to_end import installations

from roadstead.wire import requests, sigv4

ANSWER_SECONDS_MAX = 20.0
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
        connection = http.client.HTTPConnection(self.host, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def sign(
        self,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        signing_name: str = "ecs",
        region: str = "us-east-1",
        now: float | None = None,
    ) -> dict[str, str]:
        path, _, query = path.partition("?")
        given = {"host": self.host, **headers}
        request = requests.Request(method=method, path=path, query=query, headers=given, body=body)
        signed = sigv4.sign(
            request,
            access_key_id=self._keys["access_key_id"],
            secret=self._keys["secret_access_key"],
            region=region,
            service=signing_name,
            now=time.time() if now is None else now,
        )
        return {**headers, **signed}

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
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS_MAX) as one:
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
