"""Who asks: Signature Version 4, or nobody in particular where the server runs with `--auth off`."""

from __future__ import annotations

from roadstead.base import errors
from roadstead.gateway import guard
from roadstead.wire import requests, sigv4


class Verifier:
    """Verifies requests to one server.

    `secret_for` gives the secret of an access key id; None switches authentication off, and then `on_loopback` says
    whether the server can only be reached from this machine. `region` is the one that is served.
    """

    def __init__(self, secret_for: sigv4.SecretFor | None, *, region: str, on_loopback: bool) -> None:
        self._secret_for = secret_for
        self._region = region
        self._on_loopback = on_loopback
        self._keys = sigv4.SigningKeys()

    @property
    def is_on(self) -> bool:
        """Whether signatures are asked for."""
        return self._secret_for is not None

    def verify(self, request: requests.Request, signing_name: str | None, now: float) -> str:
        """The access key id that signed the request, "" with authentication off. Raises Refusal.

        `signing_name` is the service's in the signature's scope; None takes any.
        """
        if self._secret_for is None:
            guard.check_origin(request)
            if self._on_loopback:
                guard.check_host(request)
            return ""
        found = sigv4.verify(request, self._secret_for, now, self._keys)
        if signing_name is not None and found.service != signing_name:
            raise errors.Refusal(
                "InvalidSignatureException", f"Credential should be scoped to correct service: '{signing_name}'. "
            )
        if found.region != self._region:
            raise errors.Refusal(
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region: this server serves {self._region}. "
                f"Set AWS_REGION={self._region}, or start the server with --region {found.region}.",
            )
        return found.access_key_id
