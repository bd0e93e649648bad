"""The ECS API as the agent calls it: AWS JSON 1.1, SigV4 (agent-protocol.md 2). Shell."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from roadstead.agent import api, http, settings
from roadstead.base import clock as clocks
from roadstead.wire import requests, sigv4

T = TypeVar("T")


class ApiProblem(Exception):
    """The control plane refused: `code` is AWS's error name."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class _Error(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")
    message: str = ""
    capital_message: str = msgspec.field(name="Message", default="")


class Signer:
    """Signs with the agent's keys."""

    def __init__(self, chosen: settings.Settings, clock: clocks.Clock) -> None:
        self._settings = chosen
        self._clock = clock

    def sign(self, request: requests.Request) -> dict[str, str]:
        """The request's headers with its signature's among them."""
        chosen = self._settings
        signed = sigv4.sign(
            request,
            access_key_id=chosen.access_key_id,
            secret=chosen.secret_access_key,
            region=chosen.region,
            service=api.SERVICE,
            now=self._clock.now(),
        )
        return {**request.headers, **signed}

    def sign_get(self, url: str, body: bytes = b"") -> dict[str, str]:
        """Headers for a GET of a websocket's address, or for a TCS frame, whose body is signed as if GET had one."""
        parts = urlsplit(url)
        request = requests.Request(
            method="GET", path=parts.path or "/", query=parts.query, headers={"host": parts.netloc}, body=body
        )
        return self.sign(request)


class Ecs:
    """Calls of the ECS API."""

    def __init__(self, server_url: str, signer: Signer) -> None:
        self._client = http.Client(server_url)
        self._path = urlsplit(server_url).path or "/"
        self._signer = signer

    async def call(self, request: msgspec.Struct, reply: type[T]) -> T:
        """One call. Raises http.HttpProblem where there is no answer, ApiProblem where it is a refusal."""
        body = msgspec.json.encode(request)
        headers = {
            "host": self._client.host_header,
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"{api.TARGET_PREFIX}.{api.OPERATIONS[type(request)]}",
        }
        signed = self._signer.sign(requests.Request(method="POST", path=self._path, headers=headers, body=body))
        response = await self._client.post(self._path, signed, body)
        if response.status != 200:
            raise _problem(response)
        try:
            return msgspec.json.decode(response.body, type=reply)
        except msgspec.DecodeError as problem:
            raise http.HttpProblem(f"the answer is not understood: {problem}") from problem

    async def close(self) -> None:
        await self._client.close()


def websocket_url(endpoint: str, query: dict[str, str]) -> str:
    """`{endpoint}/ws?…`, with ws for http and wss for https; a path in the endpoint is kept."""
    parts = urlsplit(endpoint)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/ws?{urlencode(query, quote_via=quote, safe='')}"


def _problem(response: http.Response) -> ApiProblem:
    try:
        error = msgspec.json.decode(response.body, type=_Error)
    except (msgspec.DecodeError, UnicodeError):
        error = _Error(message=response.body[:200].decode("utf-8", "replace"))
    code = error.type.rpartition("#")[2] or ("ServerException" if response.status >= 500 else "ClientException")
    return ApiProblem(code, error.message or error.capital_message, response.status)
