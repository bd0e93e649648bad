"""Bring images into an OCI layout with skopeo: from registries and from archives. One process a transfer.

In: an image name or an archive's path. Out: blobs in the shared blob directory and the manifest's digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from roadstead.agent.images import names

TRANSFER_SECONDS_MAX = 1800.0
INSPECT_SECONDS_MAX = 120.0
RETRIES = 1
OUTPUT_CHARACTERS_MAX = 2000


class TransferFailed(Exception):
    """skopeo could not bring the image; the text is what it said, for people."""


def fetch(name: names.ImageName, credentials: tuple[str, str] | None, scratch: Path, blobs: Path) -> tuple[str, str]:
    """Fetch from a registry. Returns (digest the registry knows it by, digest of the manifest stored in `blobs`).

    `scratch` is an empty directory of this transfer alone.
    """
    authfile = _login(name.registry, credentials, scratch)
    plain = names.is_loopback_registry(name.registry)
    reference = f"docker://{name.repository}" + (f"@{name.digest}" if name.digest else f":{name.tag}")
    inspect_options = [f"--authfile={authfile}"] if authfile else []
    inspect_options += ["--tls-verify=false"] if plain else []
    raw = _run(["inspect", "--raw", *inspect_options, reference], INSPECT_SECONDS_MAX)
    digest = name.digest or f"sha256:{hashlib.sha256(raw).hexdigest()}"
    # By digest, so that a tag moved between the two requests can't mix two images.
    copy_options = [f"--src-authfile={authfile}"] if authfile else []
    copy_options += ["--src-tls-verify=false"] if plain else []
    return digest, _copy(f"docker://{name.repository}@{digest}", scratch, blobs, copy_options)


def _login(registry: str, credentials: tuple[str, str] | None, scratch: Path) -> Path | None:
    """An auth file instead of an argument: arguments are seen by every process of the host."""
    if credentials is None:
        return None
    key = "https://index.docker.io/v1/" if registry == names.DEFAULT_REGISTRY else registry
    token = base64.b64encode(f"{credentials[0]}:{credentials[1]}".encode()).decode()
    path = scratch / "auth.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"auths": {key: {"auth": token}}}, file)
    return path


def import_archive(path: Path, scratch: Path, blobs: Path) -> list[tuple[str, str]]:
    """Copy every image of a docker or OCI archive. Returns [(reference, digest of the stored manifest)]."""
    imported = []
    for number, (source, reference) in enumerate(_archive_images(path)):
        folder = scratch / str(number)
        folder.mkdir()
        imported.append((reference, _copy(source, folder, blobs, [])))
    return imported


def _archive_images(path: Path) -> list[tuple[str, str]]:
    """(skopeo source, reference) of each image in the archive."""
    try:
        with tarfile.open(path) as archive:
            members = set(archive.getnames())
            if "manifest.json" in members:
                return _docker_images(path, _read_json(archive, "manifest.json"))
            if "index.json" in members or "./index.json" in members:
                index = "index.json" if "index.json" in members else "./index.json"
                return _oci_images(path, _read_json(archive, index))
    except (tarfile.TarError, OSError, ValueError) as problem:
        raise TransferFailed(f"{path} can't be read as an image archive: {problem}") from problem
    raise TransferFailed(f"{path} is neither a docker archive (manifest.json) nor an OCI archive (index.json)")


def _read_json(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return json.load(file)


def _docker_images(path: Path, manifest: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for number, image in enumerate(manifest):
        tags = image.get("RepoTags") or []
        found += [(f"docker-archive:{path}:{tag}", str(tag)) for tag in tags]
        if not tags:
            found.append((f"docker-archive:{path}:@{number}", _name_of_file(path)))
    return found


def _oci_images(path: Path, index: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for descriptor in index.get("manifests") or []:
        name = (descriptor.get("annotations") or {}).get("org.opencontainers.image.ref.name")
        if not name:
            found.append((f"oci-archive:{path}", _name_of_file(path)))
        else:
            whole = "/" in name or ":" in name
            found.append((f"oci-archive:{path}:{name}", name if whole else f"{_name_of_file(path)}:{name}"))
    return found


def _name_of_file(path: Path) -> str:
    """Archives may leave the name out; then the file's own name is it."""
    stem = path.name.split(".")[0].lower()
    return "".join(character if character.isalnum() else "-" for character in stem).strip("-") or "image"


def _copy(source: str, scratch: Path, blobs: Path, options: list[str]) -> str:
    layout = scratch / "layout"
    _run(
        [
            "copy",
            "--quiet",
            *options,
            "--retry-times",
            str(RETRIES),
            "--dest-shared-blob-dir",
            str(blobs),
            "--dest-oci-accept-uncompressed-layers",
            source,
            f"oci:{layout}:image",
        ],
        TRANSFER_SECONDS_MAX,
    )
    index: dict[str, Any] = json.loads((layout / "index.json").read_bytes())
    return str(index["manifests"][0]["digest"])


def _run(arguments: list[str], seconds_max: float) -> bytes:
    program = shutil.which("skopeo")
    if program is None:
        raise TransferFailed("skopeo is not installed, and it is what fetches images: apt-get install skopeo")
    policy = [] if Path("/etc/containers/policy.json").exists() else ["--insecure-policy"]
    try:
        done = subprocess.run(
            [program, *policy, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransferFailed(f"skopeo {arguments[0]} took longer than {seconds_max:.0f} s") from None
    if done.returncode != 0:
        raise TransferFailed(_last_words(done.stderr.decode(errors="replace")))
    return done.stdout


def _last_words(text: str) -> str:
    """skopeo's message without its log decoration (`time=… level=fatal msg="…"`)."""
    lines = [line for line in text.splitlines() if line.strip()] or ["no message"]
    last = lines[-1]
    _, found, message = last.partition("msg=")
    return (message.strip('"').replace('\\"', '"') if found else last)[:OUTPUT_CHARACTERS_MAX]
