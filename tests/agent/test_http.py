"""The small HTTP client: kept connections, those the server has closed, answers that are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from roadstead.agent import http


class Script:
    """A server that answers each request with the next of `answers`, and closes where one is empty or says so."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.requests += 1
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if not answer or b"THEN-CLOSE" in answer:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
CLOSES_LATER = b"HTTP/1.1 200 OK\r\nx: THEN-CLOSE\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def clients() -> AsyncIterator[list[http.Client]]:
    made: list[http.Client] = []
    yield made
    for each in made:
        await each.close()


async def client_of(script: Script, clients: list[http.Client]) -> http.Client:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    client = http.Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    clients.append(client)
    return client


async def test_a_connection_is_kept_and_used_again(clients: list[http.Client]) -> None:
    script = Script(OK, CHUNKED, OK)
    client = await client_of(script, clients)
    answers = [await client.post("/", {"host": client.host_header}, b"x" * 10) for _ in range(3)]
    assert answers == [http.Response(200, b"ok"), http.Response(400, b"abcde"), http.Response(200, b"ok")]
    assert (script.connections, script.requests) == (1, 3)


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(clients: list[http.Client]) -> None:
    script = Script(CLOSES_LATER, OK)
    client = await client_of(script, clients)
    await client.post("/", {"host": "h"}, b"")
    await asyncio.sleep(0.05)
    assert await client.post("/", {"host": "h"}, b"") == http.Response(200, b"ok")
    assert script.connections == 2


CUT_SHORT = b"HTTP/1.1 200 OK\r\nx: THEN-CLOSE\r\ncontent-length: 5\r\n\r\nabc"


@pytest.mark.parametrize("answer", [b"", CUT_SHORT, b"garbage\r\n\r\n"])
async def test_no_answer_is_a_problem(clients: list[http.Client], answer: bytes) -> None:
    client = await client_of(Script(answer), clients)
    with pytest.raises(http.HttpProblem):
        await client.post("/", {"host": "h"}, b"")


async def test_nobody_there_is_a_problem() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    with pytest.raises(http.HttpProblem):
        await http.Client(f"http://127.0.0.1:{port}").post("/", {"host": "h"}, b"")


def test_what_is_no_address_is_refused() -> None:
    for url in ("127.0.0.1:4566", "ftp://x", "http://"):
        with pytest.raises(ValueError, match="no http or https address"):
            http.Client(url)
