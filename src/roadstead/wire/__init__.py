"""Bytes into (service, operation, params) and back, without IO, driven by botocore's service models.

Who reads a request from top to bottom goes through these modules in this order:

    requests    Request → Target (what was asked, in which protocol) → Call (with typed, validated params)
    sigv4       who asked: verifies and makes Signature Version 4
    acceptance  which of a call's parameters this server does not support
    responses   an output or a Refusal → Response

Below them: `services` (the models), `shapes` (msgspec types made from them), `values` (the slow, precise
reading of values), `constraints` (patterns, and the words of each service for a broken rule), `query` and `xml`.
"""
