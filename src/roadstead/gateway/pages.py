"""What a person sees who opens the endpoint in a browser."""

from __future__ import annotations

import html

from roadstead.wire import requests, responses

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Roadstead</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem;
color-scheme:light dark}}
pre{{padding:1rem;border:1px solid #8884;border-radius:6px;overflow:auto}}</style></head><body>
<h1>Roadstead {version}</h1>
<p>This is an endpoint for AWS clients: Amazon ECS, Application Auto Scaling and CloudWatch, running real containers on
your machines. Any AWS SDK or the AWS CLI works against it:</p>
<pre>eval "$(roadstead env)"
aws ecs list-clusters</pre>
<p>Is it up? <a href="/_roadstead/health">/_roadstead/health</a>. Everything else: <code>roadstead --help</code>.</p>
</body></html>
"""

_TEXT = """Roadstead {version}: an endpoint for AWS clients (Amazon ECS, Application Auto Scaling, CloudWatch).

  eval "$(roadstead env)"
  aws ecs list-clusters

GET /_roadstead/health tells how it is; `roadstead --help` tells the rest.
"""


def is_visit(request: requests.Request) -> bool:
    """Whether a person, not an AWS client, asks for the root."""
    return (
        request.method in ("GET", "HEAD")
        and request.path in ("/", "")
        and not request.query
        and "authorization" not in request.headers
        and "x-amz-date" not in request.headers
    )


def landing(request: requests.Request, version: str) -> responses.Response:
    """The page, as HTML for browsers and as text for curl."""
    if "text/html" in request.headers.get("accept", ""):
        body = _PAGE.format(version=html.escape(version))
        return responses.Response(200, [("content-type", "text/html; charset=utf-8")], body.encode())
    body = _TEXT.format(version=version)
    return responses.Response(200, [("content-type", "text/plain; charset=utf-8")], body.encode())
