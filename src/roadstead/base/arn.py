"""Amazon Resource Names: `arn:partition:service:region:account:resource`."""

from __future__ import annotations

import msgspec


class Arn(msgspec.Struct, frozen=True):
    """An ARN in its parts; `resource` is all that follows the account, slashes and colons included."""

    service: str
    region: str
    account: str
    resource: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse(text: str) -> Arn | None:
    """The ARN in `text`, or None where the text is no ARN (then it is a short name)."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None
    return Arn(service=parts[2], region=parts[3], account=parts[4], resource=parts[5], partition=parts[1])


def resource_path(text: str) -> list[str]:
    """The resource of an ARN, or the text itself where it is none, split at its slashes."""
    arn = parse(text)
    return (arn.resource if arn else text).split("/")
