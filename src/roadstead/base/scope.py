"""Whose world a request is about: one account in one region."""

from __future__ import annotations

import msgspec

from roadstead.base import arn


class Scope(msgspec.Struct, frozen=True):
    """The account and region that this control plane serves; they stand in every ARN it makes."""

    account: str = "123456789012"
    region: str = "us-east-1"

    def arn(self, service: str, resource: str) -> str:
        """The full ARN of one of our resources."""
        return str(arn.Arn(service=service, region=self.region, account=self.account, resource=resource))
