"""AWS Security Token Service: who am I."""

from __future__ import annotations

from roadstead.api import operation
from roadstead.state import view


def get_caller_identity(call: operation.Call, look: view.View) -> operation.Reply:
    """GetCallerIdentity (STS API reference): the root of the account, the one identity there is."""
    account = look.scope.account
    return operation.Reply(output={"UserId": account, "Account": account, "Arn": f"arn:aws:iam::{account}:root"})


OPERATIONS = (
    operation.Operation(
        service="sts",
        name="GetCallerIdentity",
        decide=get_caller_identity,
        accepts=frozenset(),
        note="Every key is the account's root.",
    ),
)
