"""Calls to a control plane: AWS's JSON protocol, signed, over one kept connection. Light: every verb starts at once."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import msgspec

from roadstead.cli import failures
from roadstead.wire import requests, sigv4

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"
TIMEOUT_SECONDS = 30.0
PAGES_MAX = 10_000
"""Pages of one listing that are followed."""

TARGETS = {
    "ecs": ("AmazonEC2ContainerServiceV20141113", "application/x-amz-json-1.1", "ecs"),
    "application-autoscaling": ("AnyScaleFrontendService", "application/x-amz-json-1.1", "application-autoscaling"),
    "cloudwatch": ("GraniteServiceVersion20100801", "application/x-amz-json-1.0", "monitoring"),
}


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Where a control plane is and with which keys it is called."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str


def find_access(data_dir: pathlib.Path, endpoint: str | None) -> Access:
    """The control plane of `data_dir`, or that of the AWS environment variables where an endpoint is given there.

    Raises Failure where neither tells of one.
    """
    server, keys = data_dir / "server.json", data_dir / "credentials.json"
    environment = os.environ
    wanted = endpoint or environment.get("AWS_ENDPOINT_URL")
    if server.is_file() and keys.is_file():
        try:
            running, secret = json.loads(server.read_text()), json.loads(keys.read_text())
        except PermissionError:
            raise failures.Failure(
                f"the keys in {data_dir} belong to another user", "Run it as that user: sudo roadstead …"
            ) from None
        if wanted is None or wanted.rstrip("/") == running["endpoint"]:
            return Access(
                endpoint=running["endpoint"],
                region=running["region"],
                access_key_id=secret["access_key_id"],
                secret_access_key=secret["secret_access_key"],
            )
    if wanted is None or "AWS_ACCESS_KEY_ID" not in environment:
        raise failures.Failure(
            f"no control plane is known in {data_dir}",
            "Start one: roadstead up   (or name one: --data-dir, or AWS_ENDPOINT_URL and keys in the environment)",
            failures.NOT_REACHABLE,
        )
    return Access(
        endpoint=wanted.rstrip("/"),
        region=environment.get("AWS_REGION", environment.get("AWS_DEFAULT_REGION", "us-east-1")),
        access_key_id=environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY", ""),
    )


class ApiError(failures.Failure):
    """The control plane refused a call: AWS's error `error_code` and its text."""

    def __init__(self, operation: str, error_code: str, message: str) -> None:
        super().__init__(f"{operation}: {message}" if message else f"{operation}: {error_code}")
        self.error_code = error_code


class Client:
    """A control plane as the command line sees it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        parts = urllib.parse.urlsplit(access.endpoint)
        self._host = parts.netloc
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = make(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_SECONDS)

    def call(self, service: str, operation: str, /, **params: Any) -> dict[str, Any]:
        """One operation of an AWS service; members that are None are left out. Raises ApiError, Failure."""
        prefix, content_type, signing_name = TARGETS[service]
        body = json.dumps({name: value for name, value in params.items() if value is not None}).encode()
        headers = {"content-type": content_type, "x-amz-target": f"{prefix}.{operation}"}
        status, answer = self._send("POST", "/", "", headers, body, signing_name)
        if status >= 400:
            code = str(answer.get("__type", "")).rsplit("#", 1)[-1]
            raise ApiError(operation, code, str(answer.get("message", answer.get("Message", ""))))
        return answer

    def pages(self, service: str, operation: str, member: str, /, **params: Any) -> Iterator[Any]:
        """All items of a listing, page by page."""
        token_name = "nextToken" if service == "ecs" else "NextToken"
        token: str | None = None
        for _ in range(PAGES_MAX):
            answer = self.call(service, operation, **params, **({token_name: token} if token else {}))
            yield from answer.get(member, [])
            token = answer.get(token_name)
            if not token:
                return

    def local(self, path: str, /, method: str = "GET", **query: str | None) -> dict[str, Any]:
        """One of Roadstead's own endpoints under `/_roadstead/`. Raises ApiError, Failure."""
        given = urllib.parse.urlencode({name: value for name, value in sorted(query.items()) if value is not None})
        status, answer = self._send(method, f"/_roadstead/{path}", given, {}, b"", "roadstead")
        if status >= 400:
            raise ApiError(path.split("/")[0], str(answer.get("code", status)), str(answer.get("message", answer)))
        return answer

    def _send(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, signing_name: str
    ) -> tuple[int, dict[str, Any]]:
        unsigned = requests.Request(
            method=method, path=path, query=query, headers={"host": self._host, **headers}, body=body
        )
        access = self.access
        signed = sigv4.sign(
            unsigned,
            access_key_id=access.access_key_id,
            secret=access.secret_access_key,
            region=access.region,
            service=signing_name,
            now=time.time(),
        )
        try:
            self._connection.request(
                method, f"{path}?{query}" if query else path, body=body or None, headers={**unsigned.headers, **signed}
            )
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as problem:
            self._connection.close()
            raise failures.Failure(
                f"the control plane at {access.endpoint} does not answer ({problem})",
                "Is it running? Start it: roadstead up",
                failures.NOT_REACHABLE,
            ) from None
        try:
            answer = json.loads(raw) if raw else {}
        except ValueError:
            answer = {"message": raw[:200].decode(errors="replace")}
        return response.status, answer if isinstance(answer, dict) else {"value": answer}
