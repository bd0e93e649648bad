"""HTTP/1.1 to a server, a connection each time, and signatures: for callers that spoil one or the other."""

from __future__ import annotations

import http.client
import time

from roadstead.wire import requests, sigv4

ANSWER_SECONDS_MAX = 20.0
Answer = tuple[int, dict[str, str], bytes]
"""Status, headers by names in small letters, body."""


def send(host: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """One request to `host:port`. Waits for the whole answer."""
    connection = http.client.HTTPConnection(host, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, response.read()
    finally:
        connection.close()


def sign(
    host: str,
    access_key_id: str,
    secret: str,
    headers: dict[str, str],
    body: bytes,
    *,
    service: str,
    region: str = "us-east-1",
    method: str = "POST",
    path: str = "/",
    now: float | None = None,
) -> dict[str, str]:
    """The headers, and those of a signature over them; `service` is the signing name, `now` in epoch seconds."""
    path, _, query = path.partition("?")
    given = {"host": host, **headers}
    signed = sigv4.sign(
        requests.Request(method=method, path=path, query=query, headers=given, body=body),
        access_key_id=access_key_id,
        secret=secret,
        region=region,
        service=service,
        now=time.time() if now is None else now,
    )
    return {**headers, **signed}
