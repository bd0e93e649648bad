"""Which control plane a verb is about: options before variables, the nearer before the farther."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from roadstead.cli import main

KEYS = {"access_key_id": "AKIA", "secret_access_key": "secret"}


def make_server(data_dir: pathlib.Path, endpoint: str, pid: int) -> None:
    data_dir.mkdir()
    (data_dir / "server.json").write_text(json.dumps({"endpoint": endpoint, "pid": pid, "region": "us-east-1"}))
    (data_dir / "credentials.json").write_text(json.dumps(KEYS))


@pytest.mark.parametrize("arguments", [("--data-dir", "{}", "down"), ("down", "--data-dir", "{}")])
def test_down_stops_the_server_of_the_directory_that_was_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        make_server(tmp_path / "other", "http://127.0.0.1:1", other.pid)
        (tmp_path / "named").mkdir()
        monkeypatch.setenv("ROADSTEAD_DATA_DIR", str(tmp_path / "other"))
        words = [word.format(tmp_path / "named") for word in arguments]
        done = CliRunner().invoke(main.app, [*words, "--json"])
        assert json.loads(done.stdout) == {"stopped": False, "removed": False}
        assert other.poll() is None, "another directory's server was stopped"
        other.kill()


@pytest.mark.parametrize("before, variable", [(("--data-dir", "{}"), None), ((), "{}")])
def test_a_named_directory_goes_before_an_endpoint_in_the_environment(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...], variable: str | None
) -> None:
    make_server(tmp_path / "named", "http://127.0.0.1:2", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stale")
    if variable is not None:
        monkeypatch.setenv("ROADSTEAD_DATA_DIR", variable.format(tmp_path / "named"))
    words = [word.format(tmp_path / "named") for word in before]
    done = CliRunner().invoke(main.app, [*words, "env", "--json"])
    values = json.loads(done.stdout)
    assert (values["AWS_ENDPOINT_URL"], values["AWS_ACCESS_KEY_ID"]) == ("http://127.0.0.1:2", "AKIA")


def test_without_a_server_here_the_environment_says_where(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSTEAD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "given")
    done = CliRunner().invoke(main.app, ["env", "--json"])
    assert json.loads(done.stdout)["AWS_ACCESS_KEY_ID"] == "given"
