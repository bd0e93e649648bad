"""HTTP/1.1 byte by byte: requests sent ahead, halves of requests, odd but lawful clients, and unlawful ones."""

from __future__ import annotations

import asyncio
import re
import socket
import time

import pytest
from gateway_caller import Caller

from roadstead.gateway import protocol

TARGET = "AmazonEC2ContainerServiceV20141113"
READ_SECONDS = 10.0


class Wire:
    """A raw connection to a server."""

    def __init__(self, caller: Caller) -> None:
        host, port = caller.host.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=READ_SECONDS)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_response(self, is_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if is_head else int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(lines[0].split()[1]), headers, body

    def is_closed(self) -> bool:
        return self._buffer == b"" and self.socket.recv(1) == b""

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"the server closed after {self._buffer!r}"
        self._buffer += data


async def on_wire(caller: Caller, work: object) -> object:
    """Run `work(wire)` in a thread, on a new connection."""
    assert callable(work)

    def run() -> object:
        wire = Wire(caller)
        try:
            return work(wire)
        finally:
            wire.socket.close()

    return await asyncio.to_thread(run)


def signed(caller: Caller, operation: str, body: bytes = b"{}", *more: str) -> bytes:
    """A whole signed request."""
    headers = caller.sign({"content-type": "application/x-amz-json-1.1", "x-amz-target": f"{TARGET}.{operation}"}, body)
    lines = [f"host: {caller.host}", *(f"{name}: {value}" for name, value in headers.items()), *more]
    return "\r\n".join(["POST / HTTP/1.1", *lines, f"content-length: {len(body)}", "", ""]).encode() + body


async def test_requests_sent_ahead_are_answered_in_order_writes_among_them(caller: Caller) -> None:
    count = 3 * protocol.REQUESTS_AHEAD_MAX
    names = [f"c{number}" for number in range(count)]
    data = b"".join(signed(caller, "CreateCluster", f'{{"clusterName": "{name}"}}'.encode()) for name in names)

    def work(wire: Wire) -> None:
        wire.send(data + signed(caller, "ListClusters"))
        for name in names:
            status, _, body = wire.read_response()
            assert status == 200 and f"cluster/{name}".encode() in body
        assert wire.read_response()[2].count(b"cluster/") == min(count, 100)

    await on_wire(caller, work)


async def test_a_request_that_comes_in_crumbs_is_one_request(caller: Caller) -> None:
    data = signed(caller, "ListClusters")

    def work(wire: Wire) -> None:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), 50):
            wire.send(data[start : start + 50])
            time.sleep(0.0005)
        assert wire.read_response()[0] == 200

    await on_wire(caller, work)


async def test_a_chunked_body_is_taken(caller: Caller) -> None:
    whole = signed(caller, "ListClusters", b'{"maxResults": 1}')
    head, _, body = whole.partition(b"\r\n\r\n")
    head = re.sub(rb"content-length: \d+", b"transfer-encoding: chunked", head)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:])) + b"0\r\n\r\n"

    def work(wire: Wire) -> None:
        wire.send(head + b"\r\n\r\n" + chunks)
        assert wire.read_response()[0] == 200

    await on_wire(caller, work)


async def test_who_waits_for_100_continue_gets_it(caller: Caller) -> None:
    whole = signed(caller, "ListClusters", b"{}", "expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")

    def work(wire: Wire) -> None:
        wire.send(head + b"\r\n\r\n")
        assert wire.read_response()[0] == 100
        wire.send(body)
        assert wire.read_response()[0] == 200

    await on_wire(caller, work)


@pytest.mark.parametrize(
    "first_line, more, closes",
    [
        ("GET / HTTP/1.1", "", False),
        ("GET / HTTP/1.1", "connection: close\r\n", True),
        ("GET / HTTP/1.0", "", True),
        ("GET / HTTP/1.0", "connection: keep-alive\r\n", False),
        ("GET http://anything.example/ HTTP/1.1", "", False),
        ("GET / HTTP/1.1", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\n", True),
    ],
)
async def test_the_connection_stays_or_goes_as_http_says(
    caller: Caller, first_line: str, more: str, closes: bool
) -> None:
    request = f"{first_line}\r\nhost: x\r\n{more}\r\n".encode()

    def work(wire: Wire) -> None:
        wire.send(request)
        status, headers, body = wire.read_response()
        assert status == 200 and b"Roadstead" in body and "date" in headers
        if closes:
            assert wire.is_closed()
        else:
            wire.send(request)
            assert wire.read_response()[0] == 200

    await on_wire(caller, work)


async def test_head_has_the_length_and_no_body(caller: Caller) -> None:
    def work(wire: Wire) -> None:
        wire.send(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\nGET /_roadstead/health HTTP/1.1\r\nhost: x\r\n\r\n")
        status, headers, _ = wire.read_response(is_head=True)
        assert status == 200 and int(headers["content-length"]) > 0
        assert wire.read_response()[2].startswith(b"{")

    await on_wire(caller, work)


@pytest.mark.parametrize("line", [b"x-filler: " + b"y" * 1000 + b"\r\n", b"y" * 1000])
async def test_endless_headers_are_refused(caller: Caller, line: bytes) -> None:
    def work(wire: Wire) -> None:
        wire.send(b"GET / HTTP/1.1\r\nx-first: ")
        try:
            for _ in range(4 * protocol.HEADER_BYTES_MAX // len(line)):
                wire.send(line)
        except ConnectionError:
            return  # closed before all was sent, as it should
        assert wire.read_response()[0] == 431

    await on_wire(caller, work)


async def test_a_header_that_comes_twice_is_joined(caller: Caller) -> None:
    def work(wire: Wire) -> None:
        request = b"GET / HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\naccept: text/html\r\n\r\n"
        wire.send(request)
        assert wire.read_response()[1]["content-type"].startswith("text/html")

    await on_wire(caller, work)


async def test_what_a_caller_sends_comes_back_in_no_header_of_its_own(caller: Caller) -> None:
    target = f"{TARGET}.List%0d%0aClusters\x00\x7f"
    headers = caller.sign({"content-type": "application/x-amz-json-1.1", "x-amz-target": target}, b"{}")
    lines = "\r\n".join(f"{name}: {value}" for name, value in headers.items())

    def work(wire: Wire) -> None:
        wire.send(
            f"POST / HTTP/1.1\r\nhost: {caller.host}\r\n{lines}\r\ncontent-length: 2\r\n\r\n{{}}".encode("latin-1")
        )
        assert 400 <= wire.read_response()[0] < 500

    await on_wire(caller, work)


async def test_a_client_that_leaves_in_the_middle_harms_nobody(caller: Caller) -> None:
    whole = signed(caller, "CreateCluster", b'{"clusterName": "left"}')

    def leave(wire: Wire) -> None:
        wire.send(whole[: len(whole) // 2])

    def leave_before_the_answer(wire: Wire) -> None:
        wire.send(whole)

    await on_wire(caller, leave)
    await on_wire(caller, leave_before_the_answer)
    assert (await caller.ecs("ListClusters"))[0] == 200


async def test_a_silent_connection_is_closed(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(protocol, "IDLE_SECONDS_MAX", 0.05)
    assert await on_wire(caller, Wire.is_closed)


async def test_a_request_that_never_ends_is_given_up(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(protocol, "REQUEST_SECONDS_MAX", 0.05)

    def work(wire: Wire) -> bool:
        wire.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
        return wire.is_closed()

    assert await on_wire(caller, work)


async def test_more_connections_than_allowed_are_refused(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS_MAX", 1)

    def work(first: Wire) -> None:
        first.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert first.read_response()[0] == 200
        second = Wire(caller)
        try:
            assert second.read_response()[0] == 503
        finally:
            second.socket.close()

    await on_wire(caller, work)


async def test_a_slow_reader_does_not_fill_our_memory(caller: Caller) -> None:
    """It sends requests without reading answers: after a while no more is read from it; then all answers come."""
    request = b"GET / HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n"
    count = 4_000

    def work(wire: Wire) -> None:
        wire.socket.setblocking(False)
        pending = request * count
        for _ in range(200):
            try:
                sent = wire.socket.send(pending[:65536])
                pending = pending[sent:]
            except BlockingIOError:
                time.sleep(0.002)
            if not pending:
                break
        wire.socket.settimeout(READ_SECONDS)
        done = (count * len(request) - len(pending)) // len(request)
        for _ in range(done):
            assert wire.read_response()[0] == 200

    await on_wire(caller, work)
