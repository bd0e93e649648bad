"""The wire protocols that AWS clients speak to the services we serve."""

from __future__ import annotations

import enum


class Protocol(enum.Enum):
    """How a request is framed; its answer is framed the same way."""

    JSON10 = "json-1.0"
    JSON11 = "json-1.1"
    QUERY = "query"
    CBOR = "smithy-rpc-v2-cbor"
