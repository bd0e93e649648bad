"""Make an OCI image from a directory or one static binary, without any registry. Same input, same bytes.

In: a path and the image's configuration. Out: the blobs of layer, configuration and manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

FILES_MAX = 500_000
LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}


def architecture() -> str:
    """This host's architecture as OCI spells it."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def write_layer(source: Path, target: IO[bytes]) -> None:
    """Write the layer: a directory's content, or a binary at `/<its name>`; sorted, owned by root, times zero.

    Raises ValueError for what can't be an image's content (sockets, too many files).
    """
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        if source.is_dir():
            _add_directory(archive, source)
        else:
            _add(archive, source, source.name, mode=0o755)


def _add_directory(archive: tarfile.TarFile, source: Path) -> None:
    count = 0
    for folder, folders, files in os.walk(source):
        folders.sort()
        inside = Path(folder).relative_to(source)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        if str(inside) != ".":
            _add(archive, Path(folder), str(inside))
        for name in sorted(files + links):
            _add(archive, Path(folder) / name, str(inside / name))
            count += 1
            if count > FILES_MAX:
                raise ValueError(f"{source} has more than {FILES_MAX} files")


def _add(archive: tarfile.TarFile, path: Path, name: str, mode: int | None = None) -> None:
    member = archive.gettarinfo(str(path), arcname=name)
    if member is None:
        raise ValueError(f"{path} is a socket, which an image can't hold")
    if member.islnk():  # the second name of a file: stored whole, so that the bytes don't depend on inode order
        member.type, member.linkname = tarfile.REGTYPE, ""
        member.size = path.stat().st_size
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    if mode is not None:
        member.mode = mode
    if member.isreg():
        with path.open("rb") as content:
            archive.addfile(member, content)
    else:
        archive.addfile(member)
    archive.inodes.clear()  # type: ignore[attr-defined]


def build_config(
    *,
    diff_id: str,
    command: Sequence[str],
    entry_point: Sequence[str],
    environment: Mapping[str, str],
    ports: Sequence[int],
    user: str,
    working_directory: str,
) -> bytes:
    """The image configuration's bytes."""
    config: dict[str, Any] = {"Env": [f"{name}={value}" for name, value in environment.items()]}
    if command:
        config["Cmd"] = list(command)
    if entry_point:
        config["Entrypoint"] = list(entry_point)
    if ports:
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in sorted(ports)}
    if user:
        config["User"] = user
    if working_directory:
        config["WorkingDir"] = working_directory
    document = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created_by": "roadstead image pack"}],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def build_manifest(*, config: bytes, layer_digest: str, layer_bytes: int) -> bytes:
    """The manifest's bytes."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": {"mediaType": CONFIG_MEDIA_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_MEDIA_TYPE, "digest": layer_digest, "size": layer_bytes}],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def is_tar(path: Path) -> bool:
    """Whether the file is an (uncompressed or gzip) tar archive."""
    try:
        return tarfile.is_tarfile(path)
    except (OSError, io.UnsupportedOperation):
        return False
