"""Signatures: botocore signs and we verify; we sign and botocore comes to the same; what is wrong is refused."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock
from urllib import parse as urls

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import hypothesis
import pytest
from hypothesis import strategies

from roadstead.base import errors
from roadstead.wire import requests, sigv4

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = 1767323045.0
HOST = "127.0.0.1:4566"


def secret_for(access_key_id: str) -> str | None:
    return SECRET if access_key_id == KEY else None


def at(moment: float) -> Any:
    return mock.patch.object(
        botocore.auth,
        "get_current_datetime",
        lambda *_: datetime.datetime.fromtimestamp(moment, datetime.UTC).replace(tzinfo=None),
    )


def by_botocore(
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    *,
    moment: float = NOW,
    token: str | None = None,
    presigned_seconds: int | None = None,
) -> requests.Request:
    """The request as botocore would send it."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    credentials = botocore.credentials.Credentials(KEY, SECRET, token)
    with at(moment):
        if presigned_seconds is None:
            botocore.auth.SigV4Auth(credentials, "ecs", "us-east-1").add_auth(request)
        else:
            botocore.auth.SigV4QueryAuth(credentials, "ecs", "us-east-1", presigned_seconds).add_auth(request)
    parts = urls.urlsplit(request.url)
    sent = {name.lower(): value for name, value in request.headers.items()}
    return requests.Request(
        method=method, path=parts.path, query=parts.query, headers={**sent, "host": HOST}, body=body
    )


def signed(**changes: Any) -> requests.Request:
    asked: dict[str, Any] = {
        "method": "POST",
        "path": "/",
        "query": "",
        "headers": {"x-amz-target": "T.Op", "content-type": "application/x-amz-json-1.1"},
        "body": b"{}",
    }
    return by_botocore(**{**asked, **changes})


def with_headers(request: requests.Request, **headers: str) -> requests.Request:
    changed = {**request.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return requests.Request(
        method=request.method, path=request.path, query=request.query, headers=changed, body=request.body
    )


def refused(request: requests.Request, now: float = NOW, **options: Any) -> errors.Refusal:
    with pytest.raises(errors.Refusal) as caught:
        sigv4.verify(request, secret_for, now, **options)
    return caught.value


WORD = strategies.text(strategies.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=12)
PATHS = strategies.lists(WORD | strategies.sampled_from(["", ".", "..", "%20", "a%2Fb", "ü"]), max_size=5).map(
    lambda parts: "/" + urls.quote("/".join(parts), safe="/%.~!$&'()*+,;=:@")
)
QUERIES = strategies.lists(strategies.tuples(WORD, WORD), max_size=4).map(
    lambda pairs: "&".join(f"{urls.quote(name)}={urls.quote(value)}" for name, value in pairs)
)
HEADERS = strategies.dictionaries(
    strategies.sampled_from(["x-amz-target", "x-odd", "content-type", "accept", "x-amz-z", "user-agent"]),
    strategies.text(strategies.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=20),
    max_size=4,
)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(strategies.sampled_from(["GET", "POST"]), PATHS, QUERIES, HEADERS, strategies.binary(max_size=50))
def test_what_botocore_signs_is_verified_and_what_we_sign_is_the_same(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    request = by_botocore(method, path, query, headers, body)
    identity = sigv4.verify(request, secret_for, NOW)
    assert identity == sigv4.Identity(access_key_id=KEY, region="us-east-1", service="ecs")
    bare = {name: value for name, value in request.headers.items() if name not in ("authorization", "x-amz-date")}
    ours = sigv4.sign(
        requests.Request(method=method, path=request.path, query=request.query, headers=bare, body=body),
        access_key_id=KEY,
        secret=SECRET,
        region="us-east-1",
        service="ecs",
        now=NOW,
    )
    assert ours["authorization"] == request.headers["authorization"]
    assert ours["x-amz-date"] == request.headers["x-amz-date"]


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(PATHS, QUERIES, strategies.none() | strategies.just("t+/= token"))
def test_what_botocore_presigns_is_verified(path: str, query: str, token: str | None) -> None:
    request = by_botocore("GET", path, query, {}, b"", presigned_seconds=600, token=token)
    sigv4.verify(request, secret_for, NOW + 599, session_token_for=lambda _: token)


def test_a_changed_request_is_refused() -> None:
    request = signed(query="a=1")
    for changed in (
        {"method": "PUT"},
        {"path": "/x"},
        {"query": "a=2"},
        {"body": b"{ }"},
        {"headers": {**request.headers, "x-amz-target": "T.Other"}},
    ):
        fields = {"method": request.method, "path": "/", "query": "a=1", "headers": request.headers, "body": b"{}"}
        assert refused(requests.Request(**{**fields, **changed})).code == "InvalidSignatureException"  # type: ignore[arg-type]
    assert sigv4.verify(request, secret_for, NOW).access_key_id == KEY


def test_the_target_and_the_host_must_be_signed() -> None:
    unsigned_target = with_headers(signed(headers={}), x_amz_target="T.Op")
    assert "'x-amz-target' must be a 'SignedHeader'" in refused(unsigned_target).message
    request = signed()
    hostless = with_headers(request, authorization=request.headers["authorization"].replace("host;", ""))
    assert "'Host' or ':authority' must be a 'SignedHeader'" in refused(hostless).message


@pytest.mark.parametrize("late", [-901, 901])
def test_the_clock_may_differ_by_fifteen_minutes(late: int) -> None:
    edge = late - (1 if late > 0 else -1)
    assert sigv4.verify(signed(), secret_for, NOW + edge)
    refusal = refused(signed(), NOW + late)
    assert refusal.code == "InvalidSignatureException"
    words = "Signature expired: 20260102T030405Z" if late > 0 else "Signature not yet current: 20260102T030405Z"
    assert refusal.message.startswith(words)


def test_a_presigned_request_ends() -> None:
    request = by_botocore("GET", "/", "Action=GetCallerIdentity", {}, b"", presigned_seconds=60)
    assert sigv4.verify(request, secret_for, NOW + 60)
    assert refused(request, NOW + 61).message.startswith("Signature expired: 20260102T030505Z")
    assert refused(request, NOW - 901).message.startswith("Signature not yet current")
    longer = requests.Request(
        method="GET", path="/", query=request.query.replace("Expires=60", "Expires=604801"), headers=request.headers
    )
    assert refused(longer).code == "IncompleteSignatureException"


def test_unknown_keys_and_unknown_tokens_are_refused() -> None:
    request = signed()
    with pytest.raises(errors.Refusal) as caught:
        sigv4.verify(request, lambda _: None, NOW)
    assert caught.value.code == "UnrecognizedClientException"
    assert caught.value.message == "The security token included in the request is invalid."
    with_token = signed(token="session")
    assert refused(with_token).code == "UnrecognizedClientException"
    assert refused(with_token, session_token_for=lambda _: "other").code == "UnrecognizedClientException"
    assert refused(request, session_token_for=lambda _: "needed").code == "UnrecognizedClientException"
    assert sigv4.verify(with_token, secret_for, NOW, session_token_for=lambda _: "session")


def test_a_body_goes_unsigned_only_where_tls_guards_it() -> None:
    request = signed(headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert refused(request).code == "InvalidSignatureException"
    assert sigv4.verify(request, secret_for, NOW, secure=True)
    stated = signed(headers={"x-amz-content-sha256": "0" * 64})
    assert refused(stated, secure=True).code == "InvalidSignatureException"


def test_the_date_may_stand_in_the_date_header_and_the_parts_in_any_order() -> None:
    dated = signed(headers={"date": "Fri, 02 Jan 2026 03:04:05 GMT"})
    assert "x-amz-date" not in dated.headers
    assert sigv4.verify(dated, secret_for, NOW)
    request = signed()
    algorithm, credential, names, signature = request.headers["authorization"].split(" ")
    turned = f"{algorithm} {signature},{names[:-1]},{credential[:-1]}"
    assert sigv4.verify(with_headers(request, authorization=turned), secret_for, NOW)


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "IncompleteSignatureException"),
        ("Basic abc", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x", "IncompleteSignatureException"),
        (f"AWS4-HMAC-SHA256 Credential={KEY}/20260102/r/s/aws4_request, SignedHeaders=host, Signature=é",
         "InvalidSignatureException"),
    ],
)  # fmt: skip
def test_unreadable_authorizations_are_refused(authorization: str, code: str) -> None:
    assert refused(with_headers(signed(), authorization=authorization)).code == code


def test_a_request_without_a_signature_is_refused() -> None:
    request = requests.Request(method="POST", path="/", headers={"host": HOST})
    refusal = refused(request)
    assert (refusal.code, refusal.message) == ("MissingAuthenticationTokenException", "Missing Authentication Token")


def test_kept_keys_are_bounded_and_give_the_same_answer() -> None:
    keys = sigv4.SigningKeys()
    for _ in range(3):
        assert sigv4.verify(signed(), secret_for, NOW, keys)
    assert len(keys) == 1
    for number in range(sigv4.KEYS_MAX + 10):
        keys.key("s", "20260102", f"r{number}", "ecs")
    assert len(keys) == sigv4.KEYS_MAX


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(
    strategies.text(max_size=30),
    strategies.text(max_size=60),
    strategies.dictionaries(
        strategies.sampled_from(["authorization", "x-amz-date", "date", "host", "x-amz-security-token"]),
        strategies.text(max_size=40)
        | strategies.sampled_from(
            [f"AWS4-HMAC-SHA256 Credential={KEY}/20260102/r/s/aws4_request, SignedHeaders=host, Signature=x",
             "20260102T030405Z", "20269902T030405Z", "99999999T999999Z"]
        ),
    ),
)  # fmt: skip
def test_whatever_comes_the_only_exception_is_a_refusal(path: str, query: str, headers: dict[str, str]) -> None:
    for asked in (query, f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={query}"):
        request = requests.Request(method="GET", path=path, query=asked, headers=headers)
        with pytest.raises(errors.Refusal):
            sigv4.verify(request, secret_for, NOW)
