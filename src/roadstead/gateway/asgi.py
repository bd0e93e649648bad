"""The few ASGI words that the front door speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from roadstead.wire import requests, responses

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of a body that is too large which are still read before its connection is closed."""


class TooLarge(Exception):
    """The body is longer than requests.BODY_BYTES_MAX."""


class Gone(Exception):
    """The caller went away before its body was complete."""


def headers_of(scope: Scope) -> dict[str, str]:
    """A request's headers by lower-case name; one that came several times is joined with ", "."""
    given = scope["headers"]
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in given}
    if len(found) < len(given):
        found.clear()
        for name, value in given:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def read_body(receive: Receive, headers: dict[str, str]) -> bytes:
    """The whole body. Raises TooLarge as soon as that is known, and Gone."""
    stated = headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > requests.BODY_BYTES_MAX:
        raise TooLarge
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    body: bytes = message["body"]
    if not message["more_body"]:
        return body
    parts = [body]
    size = len(body)
    while message["more_body"]:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        parts.append(message["body"])
        size += len(message["body"])
        if size > requests.BODY_BYTES_MAX:
            raise TooLarge
    return b"".join(parts)


async def drain(receive: Receive) -> None:
    """Take in what is left of a body that is refused, so that its sender reads the answer; DRAIN_BYTES_MAX of it."""
    size = 0
    while size < DRAIN_BYTES_MAX:
        message = await receive()
        if message["type"] != "http.request" or not message["more_body"]:
            return
        size += len(message["body"])


async def request_of(scope: Scope, receive: Receive) -> requests.Request:
    """The request of an ASGI scope, whole. Raises TooLarge and Gone."""
    headers = headers_of(scope)
    return requests.Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=await read_body(receive, headers),
    )


async def respond(send: Send, response: responses.Response) -> None:
    """Send a response."""
    headers = [(name.encode("latin-1"), _clean(value)) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _clean(value: str) -> bytes:
    """A header's value without what HTTP does not allow in it (a refusal may repeat what a caller sent)."""
    raw = value.encode("latin-1", "replace")
    return raw if value.isprintable() else bytes(byte for byte in raw if 31 < byte != 127)
