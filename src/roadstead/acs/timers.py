"""The protocol's clocks, in seconds (agent-protocol.md 2 and 3). A jitter is added evenly from 0 to its value."""

from __future__ import annotations

PROTOCOL_VERSION = 2
AGENT_SILENCE_SECONDS_MAX = 60.0
"""An agent that hears nothing for this long, plus jitter, closes and connects anew."""
AGENT_SILENCE_JITTER_SECONDS = 60.0
HEARTBEAT_INTERVAL_SECONDS = 30.0
"""How often a server sends a HeartbeatMessage on either socket: well under an agent's patience."""
HEARTBEAT_ACK_SECONDS_MAX = 90.0
"""A server that hears no ack for this long (three heartbeats) closes."""
CONNECTION_SECONDS_MAX = 1800.0
"""An agent closes after this long, plus jitter, with `CLOSE_REASON_EXPIRED`."""
CONNECTION_JITTER_SECONDS = 300.0
CLOSE_REASON_EXPIRED = "ConnectionExpired: Reconnect to continue"
RECONNECT_AT_ONCE_CODES = frozenset({1000, 1001, 1006, 1011})
RECONNECT_BACKOFF_SECONDS_MIN = 0.25
RECONNECT_BACKOFF_SECONDS_MAX = 120.0
RECONNECT_BACKOFF_FACTOR = 1.5
RECONNECT_BACKOFF_JITTER = 0.2
"""As a part of the pause."""
INACTIVE_INSTANCE_RETRY_SECONDS = 3600.0
SUBMIT_BACKOFF_SECONDS_MIN = 1.0
SUBMIT_BACKOFF_SECONDS_MAX = 30.0
REGISTER_BACKOFF_SECONDS_MIN = 3.0
REGISTER_BACKOFF_SECONDS_MAX = 192.0
REGISTER_SECONDS_MAX = 3600.0
POLL_ENDPOINT_CACHE_SECONDS = 43_200.0
METRICS_PUBLISH_SECONDS = 20.0
METRICS_SAMPLE_SECONDS = 5.0
PAYLOAD_ACK_SECONDS_MAX = 5.0
"""A server sends a payload again that was not acknowledged for this long (an agent takes 10 to 20 ms)."""
