"""Signature Version 4: who signed a request, and signing requests of our own.

    identity = sigv4.verify(request, secret_for, now, keys)
    headers = sigv4.sign(request, access_key_id=…, secret=…, region=…, service=…, now=now)

Source: AWS's "Signature Version 4 for API requests"; botocore's `SigV4Auth` is the oracle of the tests. Services other
than S3: the path is normalized and encoded once more than on the wire. Refusals carry the JSON protocols' codes
(`responses.refuse` translates them for Query clients) and AWS's texts.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from urllib import parse as urls

import msgspec

from roadstead.base import errors
from roadstead.wire import requests

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SKEW_SECONDS_MAX = 15 * 60
"""How far a signature's moment may be from ours, before or after."""
PRESIGNED_SECONDS_MAX = 7 * 24 * 3600
"""How long a presigned request may be valid."""
KEYS_MAX = 1024
"""How many derived signing keys are kept."""

SecretFor = Callable[[str], str | None]
"""The secret access key of an access key id; None where there is no such key."""

_UNSIGNED = "UNSIGNED-PAYLOAD"
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_NOT_SIGNED = frozenset(
    {
        "authorization",
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Headers that proxies change, or that a client's HTTP library adds after signing (botocore's list)."""
_MUST_BE_SIGNED = ("host", "x-amz-target", "x-amz-security-token", "x-amz-date")
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([^,\s]+)\s*\Z"
)
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\Z", re.ASCII)


class Identity(msgspec.Struct, frozen=True):
    """Who signed, and for which region and signing name (`monitoring` for cloudwatch)."""

    access_key_id: str
    region: str
    service: str


class SigningKeys:
    """Derived signing keys, kept because deriving one costs four HMACs and a client uses the same all day."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def key(self, secret: str, date: str, region: str, service: str) -> bytes:
        """The key for a secret, a date (`20260102`), a region and a signing name."""
        name = (secret, date, region, service)
        found = self._keys.get(name)
        if found is None:
            if len(self._keys) >= KEYS_MAX:
                self._keys.pop(next(iter(self._keys)))
            found = self._keys[name] = derive_key(secret, date, region, service)
        return found

    def __len__(self) -> int:
        return len(self._keys)


def derive_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The signing key for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class _Claim(msgspec.Struct, frozen=True):
    """What a request says of its own signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str
    timestamp: str
    moment: float
    presigned_seconds: int | None = None
    token: str | None = None


def verify(
    request: requests.Request,
    secret_for: SecretFor,
    now: float,
    keys: SigningKeys | None = None,
    *,
    session_token_for: SecretFor | None = None,
    secure: bool = False,
) -> Identity:
    """Who signed the request, by its `Authorization` header or its presigned query. Raises Refusal.

    `keys` keeps derived keys between calls. A request with a session token is refused unless `session_token_for` gives
    that token for the access key id. `secure` says that the request came over TLS: only then may a body go unsigned
    (`x-amz-content-sha256: UNSIGNED-PAYLOAD`). Codes: `MissingAuthenticationTokenException`,
    `IncompleteSignatureException`, `UnrecognizedClientException`, `InvalidSignatureException`.
    """
    claim = _claim(request)
    secret = secret_for(claim.access_key_id)
    expected_token = session_token_for(claim.access_key_id) if session_token_for is not None else None
    if secret is None or not _same(claim.token or "", expected_token or ""):
        raise errors.Refusal(
            "UnrecognizedClientException", "The security token included in the request is invalid.", status=400
        )
    _check_moment(claim, now)
    day = (secret, claim.date, claim.region, claim.service)
    key = derive_key(*day) if keys is None else keys.key(*day)
    payload = _payload_hash(request, claim, secure=secure)
    names = claim.signed_headers.split(";")
    if not any(
        _same(_signature(key, claim, request, query, names, payload), claim.signature)
        for query in _canonical_queries(request.query, presigned=claim.presigned_seconds is not None)
    ):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
    return Identity(access_key_id=claim.access_key_id, region=claim.region, service=claim.service)


def sign(
    request: requests.Request, *, access_key_id: str, secret: str, region: str, service: str, now: float
) -> dict[str, str]:
    """The headers to add to a request (`x-amz-date`, `authorization`) so that it is signed.

    The request must have its `host` header; all its headers are signed, those that proxies change excepted. `service`
    is the signing name. Works for a websocket's GET as well.
    """
    timestamp = datetime.datetime.fromtimestamp(int(now), datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {**{name.lower(): value for name, value in request.headers.items()}, "x-amz-date": timestamp}
    names = sorted(name for name in headers if name not in _NOT_SIGNED)
    claim = _Claim(
        access_key_id=access_key_id,
        date=timestamp[:8],
        region=region,
        service=service,
        signed_headers=";".join(names),
        signature="",
        timestamp=timestamp,
        moment=now,
    )
    signing = requests.Request(
        method=request.method, path=request.path, query=request.query, headers=headers, body=request.body
    )
    payload = headers.get("x-amz-content-sha256") or _hash(request.body)
    query = next(iter(_canonical_queries(request.query, presigned=False)))
    key = derive_key(secret, claim.date, region, service)
    signature = _signature(key, claim, signing, query, names, payload)
    scope = f"{access_key_id}/{claim.date}/{region}/{service}/aws4_request"
    value = f"{ALGORITHM} Credential={scope}, SignedHeaders={claim.signed_headers}, Signature={signature}"
    return {"x-amz-date": timestamp, "authorization": value}


# ---------------------------------------------------------------------------------------------- the claim


def _claim(request: requests.Request) -> _Claim:
    authorization = request.headers.get("authorization")
    if authorization is not None:
        claim = _claim_of_header(request, authorization)
    elif "X-Amz-Algorithm=" in request.query or "X-Amz-Signature=" in request.query:
        claim = _claim_of_query(request)
    else:
        raise errors.Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    names = claim.signed_headers.split(";")
    for name in _MUST_BE_SIGNED:
        if name not in names and (name == "host" or name in request.headers):
            shown = "Host' or ':authority" if name == "host" else name
            raise _invalid(f"'{shown}' must be a 'SignedHeader' in the AWS Authorization.")
    return claim


def _incomplete(text: str) -> errors.Refusal:
    return errors.Refusal("IncompleteSignatureException", text)


def _invalid(text: str) -> errors.Refusal:
    return errors.Refusal("InvalidSignatureException", text)


def _claim_of_header(request: requests.Request, authorization: str) -> _Claim:
    found = _HEADER.match(authorization)
    credential, signed_headers, signature = found.groups() if found is not None else _parts(authorization)
    timestamp = request.headers.get("x-amz-date")
    if timestamp is None:
        timestamp = _of_date_header(request.headers.get("date"))
    access_key_id, date, region, service = _scope(credential)
    return _Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=signed_headers,
        signature=signature,
        timestamp=timestamp,
        moment=_moment(timestamp),
        token=request.headers.get("x-amz-security-token"),
    )


def _parts(authorization: str) -> tuple[str, str, str]:
    """The header's three parts where they do not come in the usual order."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete("Authorization header requires 'AWS4-HMAC-SHA256' as its algorithm.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    return parts["Credential"], parts["SignedHeaders"], parts["Signature"]


def _of_date_header(value: str | None) -> str:
    if value is None:
        raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if _MOMENT.match(value):
        return value
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return moment.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    except (TypeError, ValueError, OverflowError, IndexError):
        raise _incomplete("Date must be in a form that RFC 7231 names.") from None


def _claim_of_query(request: requests.Request) -> _Claim:
    params = dict(urls.parse_qsl(request.query, keep_blank_values=True, errors="replace"))
    names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    for name in names:
        if not params.get(f"X-Amz-{name}"):
            raise _incomplete(f"AWS query-string parameters must include 'X-Amz-{name}'.")
    if params["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete("AWS query-string authentication requires 'AWS4-HMAC-SHA256' as its algorithm.")
    expires = params["X-Amz-Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 6 and int(expires) <= PRESIGNED_SECONDS_MAX):
        raise _incomplete(f"X-Amz-Expires must be a number of seconds up to {PRESIGNED_SECONDS_MAX}.")
    access_key_id, date, region, service = _scope(params["X-Amz-Credential"])
    return _Claim(
        access_key_id=access_key_id,
        date=date,
        region=region,
        service=service,
        signed_headers=params["X-Amz-SignedHeaders"],
        signature=params["X-Amz-Signature"],
        timestamp=params["X-Amz-Date"],
        moment=_moment(params["X-Amz-Date"]),
        presigned_seconds=int(expires),
        token=params.get("X-Amz-Security-Token"),
    )


def _scope(credential: str) -> list[str]:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential}'"
        )
    return parts[:4]


def _moment(timestamp: str) -> float:
    found = _MOMENT.match(timestamp)
    if found is None:
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'.")
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC).timestamp()
    except ValueError:
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'.") from None


def _check_moment(claim: _Claim, now: float) -> None:
    if claim.date != claim.timestamp[:8]:
        raise _invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{claim.timestamp[:8]}', from '{claim.timestamp}'."
        )
    age = now - claim.moment
    latest = CLOCK_SKEW_SECONDS_MAX if claim.presigned_seconds is None else claim.presigned_seconds
    if -CLOCK_SKEW_SECONDS_MAX <= age <= latest:
        return
    stamp = _stamp(now)
    if age < -CLOCK_SKEW_SECONDS_MAX:
        late = _stamp(now + CLOCK_SKEW_SECONDS_MAX)
        raise _invalid(f"Signature not yet current: {claim.timestamp} is still later than {late} ({stamp} + 15 min.)")
    if claim.presigned_seconds is not None:
        end = _stamp(claim.moment + claim.presigned_seconds)
        raise _invalid(f"Signature expired: {end} is now earlier than {stamp}")
    early = _stamp(now - CLOCK_SKEW_SECONDS_MAX)
    raise _invalid(f"Signature expired: {claim.timestamp} is now earlier than {early} ({stamp} - 15 min.)")


def _stamp(moment: float) -> str:
    return datetime.datetime.fromtimestamp(int(moment), datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


# ---------------------------------------------------------------------------------------------- the signature


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(_bytes(left), _bytes(right))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest() if body else _EMPTY_HASH


def _payload_hash(request: requests.Request, claim: _Claim, *, secure: bool) -> str:
    stated = request.headers.get("x-amz-content-sha256")
    if stated == _UNSIGNED and (secure or (claim.presigned_seconds is not None and not request.body)):
        return _UNSIGNED
    found = _hash(request.body)
    if stated is not None and not _same(stated, found):
        raise _invalid("The value of the x-amz-content-sha256 header is not the SHA-256 of the body.")
    return found


def _signature(key: bytes, claim: _Claim, request: requests.Request, query: str, names: list[str], payload: str) -> str:
    canonical = (
        f"{request.method.upper()}\n{_canonical_path(request.path)}\n{query}\n"
        f"{_canonical_headers(request.headers, names)}\n{claim.signed_headers}\n{payload}"
    )
    hashed = hashlib.sha256(_bytes(canonical)).hexdigest()
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    text = f"{ALGORITHM}\n{claim.timestamp}\n{scope}\n{hashed}"
    return hmac.digest(key, _bytes(text), "sha256").hex()


def _canonical_headers(headers: Mapping[str, str], names: list[str]) -> str:
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names]
    return "".join(lines)


def _canonical_path(path: str) -> str:
    """The raw path without `.`, `..` and doubled slashes, encoded once more (as all services but S3 do)."""
    if path in ("/", ""):
        return "/"
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part and part != ".":
            kept.append(part)
    joined = "/".join(kept)
    lead = "/" if path.startswith("/") else ""
    tail = "/" if path.endswith("/") and kept else ""
    return urls.quote(_bytes(f"{lead}{joined}{tail}"), safe="/~")


def _canonical_queries(query: str, *, presigned: bool) -> list[str]:
    """The query's parameters in order: as they stand on the wire (botocore), and encoded anew (the specification)."""
    if not query:
        return [""]
    pairs = [pair.partition("=") for pair in query.split("&")]
    if presigned:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    raw = "&".join(f"{name}={value}" for name, value in sorted((name, value) for name, _, value in pairs))
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs if name)
    anew = "&".join(f"{name}={value}" for name, value in encoded)
    return [raw] if raw == anew else [raw, anew]


def _encoded(text: str) -> str:
    return urls.quote(urls.unquote_to_bytes(_bytes(text.replace("+", " "))), safe="-_.~")
