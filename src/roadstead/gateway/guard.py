"""Keeps a web page in the user's browser from using a server that does not ask for signatures.

With signatures on, a page has no keys. With `--auth off` it could send a form to http://127.0.0.1:4566, or have its
own name resolve to 127.0.0.1 (DNS rebinding); so such a server refuses foreign origins and, on loopback, foreign names.
"""

from __future__ import annotations

import ipaddress
from urllib import parse as urls

from roadstead.base import errors
from roadstead.wire import requests


def is_loopback(host: str) -> bool:
    """Whether an address or name (no port) can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_origin(request: requests.Request) -> None:
    """Raises Refusal where a page of another origin sent the request."""
    origin = request.headers.get("origin")
    if origin is not None and urls.urlsplit(origin).netloc != request.headers.get("host"):
        raise errors.Refusal("AccessDeniedException", f"Requests from pages of {origin} are not taken.", status=403)


def check_host(request: requests.Request) -> None:
    """Raises Refusal where the request was sent to another name than this machine's own."""
    host = urls.urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not is_loopback(host):
        raise errors.Refusal(
            "AccessDeniedException", f"This server answers to localhost, not to {host or 'no name'}.", status=403
        )
