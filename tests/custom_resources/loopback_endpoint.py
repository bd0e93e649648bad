"""A user's endpoint of a custom resource: a small HTTP server on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

PATH = "/v1/scalableTargetDimensions/1"


class Endpoint:
    """What the server below is, and what it heard."""

    def __init__(self) -> None:
        self.capacity = 3.0
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: tuple[int, bytes] | None = None
        self.url = ""


@contextlib.contextmanager
def serving() -> Iterator[Endpoint]:
    """An endpoint of a custom resource, served from a thread."""
    subject = Endpoint()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            subject.heard.append((self.command, {name.lower(): value for name, value in self.headers.items()}, body))
            if self.command == "PATCH" and subject.answer is None:
                subject.capacity = json.loads(body)["desiredCapacity"]
            told = {
                "actualCapacity": subject.capacity,
                "desiredCapacity": subject.capacity,
                "scalingStatus": "Successful",
                "scalableTargetDimensionId": "1",
                "version": "1",
            }
            status, content = subject.answer or (200, json.dumps(told).encode())
            self.send_response(status)
            if status == 302:
                self.send_header("location", subject.url)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

        do_GET = do_PATCH = _serve

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    subject.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield subject
    server.shutdown()
    thread.join()
    server.server_close()
