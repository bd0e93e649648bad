"""The HTTP front door: AWS's APIs (`aws`), our own few endpoints (`local`), and agent sessions.

`http` is the ASGI application over all of them; it owns bytes and headers. `aws` is the way of one AWS request, top to
bottom. `guard` keeps browsers from being used against a server that doesn't ask for signatures.
"""
