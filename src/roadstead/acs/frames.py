"""Websocket frames: `{"type": T, "message": {…}}`, and TCS's signed form of it (agent-protocol.md 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec

from roadstead.acs import messages, telemetry
from roadstead.base import errors

Message = messages.ServerMessage | messages.AgentMessage | telemetry.ServerMessage | telemetry.AgentMessage
FRAME_BYTES_MAX = telemetry.FRAME_BYTES_MAX
"""Larger frames are refused: TCS's own bound, taken for both sockets."""


class MalformedFrame(errors.RoadsteadError):
    """A frame is no JSON, has no `type`, is too large, or its message misses a member or holds a wrong type.

    `type` is the frame's type where that much could be read, else an empty text.
    """

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(f"{type_ or 'frame'}: {message}")
        self.type = type_


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a type that this release doesn't know: to be logged and ignored."""

    type: str
    message: bytes


class _Frame(msgspec.Struct, frozen=True):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"{}")


_frame_decoder = msgspec.json.Decoder(_Frame)
_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Message]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(Message)
}


def parse(text: str | bytes) -> Message | Unknown:
    """A plain frame's message. Raises MalformedFrame."""
    if len(text) > FRAME_BYTES_MAX:
        raise MalformedFrame("", f"a frame of {len(text)} bytes is over the limit of {FRAME_BYTES_MAX}")
    try:
        frame = _frame_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise MalformedFrame("", str(problem)) from problem
    decoder = _decoders.get(frame.type)
    if decoder is None:
        return Unknown(type=frame.type, message=bytes(frame.message))
    try:
        return decoder.decode(frame.message)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise MalformedFrame(frame.type, str(problem)) from problem


def serialize(message: Message) -> str:
    """The frame of a message; its type is the class's name."""
    return _encoder.encode(_Frame(type(message).__name__, msgspec.Raw(_encoder.encode(message)))).decode()


def parse_signed(text: str | bytes) -> tuple[dict[str, str], Message | Unknown]:
    """A signed frame's headers (names in lower case) and message. Raises MalformedFrame.

    A frame without headers is taken as a plain one, with no headers: whether that is enough is the caller's to say.
    """
    raw = text.encode() if isinstance(text, str) else text
    if raw.lstrip()[:1] == b"{":
        return {}, parse(raw)
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        head, separator, body = raw.partition(b"\n\n")
    if not separator:
        raise MalformedFrame("", "no blank line between the headers and the message")
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedFrame("", f"{line[:80]!r} is no header")
        headers[name.strip().lower()] = value.strip()
    return headers, parse(body)


def serialize_signed(headers: Mapping[str, str], message: Message) -> str:
    """A frame with headers before it, as every TCS message of an agent goes out."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{lines}\r\n{serialize(message)}"
