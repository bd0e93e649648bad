"""Image names, normalised as Docker does: `busybox` is `docker.io/library/busybox:latest`. Pure."""

from __future__ import annotations

import re

import msgspec

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
NAME_CHARACTERS_MAX = 512

_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_REGISTRY = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class InvalidName(ValueError):
    """The reference is none that Docker would take."""


class ImageName(msgspec.Struct, frozen=True, kw_only=True):
    """A reference in its parts; `tag` is None where only a digest was given."""

    registry: str
    path: str
    tag: str | None
    digest: str | None

    @property
    def repository(self) -> str:
        return f"{self.registry}/{self.path}"

    @property
    def canonical(self) -> str:
        """The full form, with tag and digest where given."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The short form people type: without Docker Hub's registry and `library/`."""
        name = self.canonical
        for prefix in (f"{DEFAULT_REGISTRY}/library/", f"{DEFAULT_REGISTRY}/"):
            if name.startswith(prefix):
                return name[len(prefix) :]
        return name


def parse(reference: str) -> ImageName:
    """Parse what a user or a task definition says. Raises InvalidName."""
    if not reference or len(reference) > NAME_CHARACTERS_MAX:
        raise InvalidName(f"invalid reference format: {reference[:80]!r}")
    rest, _, digest = reference.partition("@")
    if digest and not _DIGEST.fullmatch(digest):
        raise InvalidName(f"invalid reference format: the digest in {reference!r} is not sha256 with 64 hex digits")
    first, slash, others = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, rest = first, others
    else:
        registry = DEFAULT_REGISTRY
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    path, colon, tag = rest.partition(":")
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    if path.lower() != path:
        raise InvalidName(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _REGISTRY.fullmatch(registry) or not _PATH.fullmatch(path) or (colon and not _TAG.fullmatch(tag)):
        raise InvalidName(f"invalid reference format: {reference!r}")
    return ImageName(
        registry=registry,
        path=path,
        tag=tag or (None if digest else DEFAULT_TAG),
        digest=digest or None,
    )


def is_loopback_registry(registry: str) -> bool:
    """Whether plain HTTP is allowed, as Docker allows it, because the registry is on this very host."""
    host = registry.rsplit(":", 1)[0] if not registry.startswith("[") else registry.split("]")[0].strip("[")
    return host == "localhost" or host.startswith("127.") or host == "::1"
