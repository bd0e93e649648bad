"""An agent that is connected, takes every task, and runs none: RunTask needs an instance to place on, and what is
measured is the control plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench import servers
from roadstead.acs import frames, messages
from roadstead.wire import requests, sigv4

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2_000_000_000},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 2_000_000_000},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
ATTRIBUTES = [
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.17"},
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.21"},
    {"name": "roadstead.subnet", "value": "10.201.0.0/16"},
]


def register(server: servers.Server) -> str:
    """A container instance far larger than any task needs; its ARN."""
    reply = server.client("ecs").register_container_instance(totalResources=RESOURCES, attributes=ATTRIBUTES)
    arn: str = reply["containerInstance"]["containerInstanceArn"]
    return arn


@contextlib.asynccontextmanager
async def connected(server: servers.Server, arn: str) -> AsyncIterator[None]:
    """The instance's agent, connected for as long as the context lasts."""
    query = urlencode(
        {"clusterArn": "default", "containerInstanceArn": arn, "agentVersion": "1", "seqNum": "1"}, quote_via=quote
    )
    host = f"{servers.HOST}:{server.port}"
    bare = requests.Request(method="GET", path="/acs/ws", query=query, headers={"host": host})
    signed = sigv4.sign(
        bare,
        access_key_id=server.access_key_id,
        secret=server.secret,
        region=servers.REGION,
        service="ecs",
        now=time.time(),
    )
    async with connect(f"ws://{host}/acs/ws?{query}", additional_headers=signed, proxy=None) as socket:
        taking = asyncio.create_task(_take(socket, arn))
        try:
            yield
        finally:
            taking.cancel()


async def _take(socket: ClientConnection, arn: str) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for text in socket:
            message = frames.parse(text)
            if isinstance(message, messages.PayloadMessage | messages.TaskManifestMessage):
                answer = messages.AckRequest(cluster="default", container_instance=arn, message_id=message.message_id)
                await socket.send(frames.serialize(answer))
