"""The account's root key pair: made at the first start, kept in the data directory for its owner alone."""

from __future__ import annotations

import os
import pathlib
import secrets
import string

import msgspec

from roadstead.base import errors

_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """What an AWS client signs with."""

    access_key_id: str
    secret_access_key: str


def load_or_make(path: pathlib.Path) -> KeyPair:
    """The pair in the file at `path`, made (with mode 0600) where there is none. Raises errors.HostProblem."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _write(path, _make())
        return msgspec.json.decode(path.read_bytes(), type=KeyPair)
    except (OSError, msgspec.MsgspecError) as error:
        raise errors.HostProblem(
            f"The keys in {path} can't be used",
            getattr(error, "strerror", None) or str(error),
            "Run as the user who owns the data directory, or choose another with --data-dir.",
        ) from error


def load(path: pathlib.Path) -> KeyPair | None:
    """The pair in the file at `path`; None where no server has made one yet. Raises errors.HostProblem."""
    return load_or_make(path) if path.exists() else None


def _make() -> KeyPair:
    return KeyPair(
        access_key_id="AKIA" + "".join(secrets.choice(_ID_LETTERS) for _ in range(16)),
        secret_access_key="".join(secrets.choice(_SECRET_LETTERS) for _ in range(40)),
    )


def _write(path: pathlib.Path, pair: KeyPair) -> None:
    """Write the file whole or not at all: another start may look at the same moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, msgspec.json.format(msgspec.json.encode(pair)) + b"\n")
        os.fsync(file)
    finally:
        os.close(file)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        os.unlink(draft)
