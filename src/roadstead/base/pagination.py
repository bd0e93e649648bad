"""Opaque continuation tokens: they carry where a listing stopped, and for which query."""

from __future__ import annotations

import base64
import binascii
import hashlib


def make_token(query: str, position: str) -> str:
    """A token that continues `query` (any text that tells one listing from another) after `position`."""
    mark = hashlib.blake2b(query.encode(), digest_size=6).digest()
    return base64.urlsafe_b64encode(mark + position.encode()).decode().rstrip("=")


def read_token(query: str, token: str) -> str | None:
    """The position in a token made for `query`; None when the token is not one, or is another query's."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        position = raw[6:].decode()
    except (binascii.Error, ValueError):
        return None
    if raw[:6] != hashlib.blake2b(query.encode(), digest_size=6).digest():
        return None
    return position
