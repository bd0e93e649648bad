"""What every verb is given: options that all share, the output, and a client made when it is first needed."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from roadstead.app import settings
from roadstead.cli import client, output


def default_data_dir() -> pathlib.Path:
    """`ROADSTEAD_DATA_DIR` where it is set, else the settings' own default."""
    named = os.environ.get("ROADSTEAD_DATA_DIR")
    return pathlib.Path(named) if named else settings.default_data_dir()


def endpoint_of(data_dir: pathlib.Path) -> str | None:
    """The endpoint of the server that runs on the directory; None where none says so."""
    try:
        return str(json.loads((data_dir / "server.json").read_text())["endpoint"])
    except (OSError, ValueError, KeyError):
        return None


class Context:
    """One invocation of the command line."""

    def __init__(self, data_dir: pathlib.Path, endpoint: str | None, out: output.Output) -> None:
        self.data_dir = data_dir
        self.endpoint = endpoint
        self.out = out
        self._client: client.Client | None = None

    @property
    def client(self) -> client.Client:
        """Raises Failure where no control plane is known."""
        if self._client is None:
            self._client = client.Client(client.find_access(self.data_dir, self.endpoint))
        return self._client

    def ecs(self, operation: str, /, **params: Any) -> dict[str, Any]:
        return self.client.call("ecs", operation, **params)
