"""The content store: blobs, unpacked layers and names of images, in one directory that several processes share.

    images/
      blobs/sha256/<hex>     layers as stored, configurations, manifests
      layers/<32 hex>/       a layer unpacked, named by its diff id
      names/<hex>.json       ImageRecord of one reference
      leases/<holder>.json   which layers a container uses
      scratch/               transfers and unpacking under way
      lock                   flock: shared to add, exclusive to collect garbage

The agent and the command line work on it at once: everything appears by an atomic rename, and only garbage collection
(which removes what no name and no lease mentions) excludes the others.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from roadstead.agent.images import names, pack, records, skopeo, unpack

LAYER_NAME_CHARACTERS = 32
"""Short names keep overlay's option string within its page: 128 bits of the digest are enough to tell layers apart."""
LAYERS_MAX = 100
MANIFEST_BYTES_MAX = 4 * 1024**2
HEX = len("sha256:")

Kind = TypeVar("Kind")
Records = list[records.ImageRecord]
Words = list[str]


class ImageProblem(Exception):
    """An image could not be had, made or removed; the text says why and what to do."""


class _Lease(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    diff_ids: tuple[str, ...]


class ImageStore:
    """Images of one data directory. Methods block (they read and write files): call them from a worker thread."""

    def __init__(self, data_dir: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> None:
        self.root = Path(data_dir) / "images"
        self.layers = self.root / "layers"
        self._blobs = self.root / "blobs"
        self._names = self.root / "names"
        self._leases = self.root / "leases"
        self._scratch = self.root / "scratch"
        self._clock = clock
        self._configs: dict[str, records.ImageConfig] = {}
        for folder in (self.layers, self._blobs / "sha256", self._names, self._leases, self._scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────

    def list(self) -> Records:
        """All named images, by name."""
        found = [self._read_record(path) for path in self._names.glob("*.json")]
        return sorted((record for record in found if record), key=lambda record: record.reference)

    def resolve(self, reference: str) -> records.ImageRecord | None:
        """The image of this name, or None. Raises ImageProblem for an invalid name."""
        name = _parse(reference)
        if name.digest is None:
            return self._read_record(self._record_path(name.canonical))
        exact = self._read_record(self._record_path(name.canonical))
        if exact is not None:
            return exact
        for record in self.list():
            known = (record.digest, record.manifest_digest)
            if name.digest in known and names.parse(record.reference).repository == name.repository:
                return record
        return None

    def config(self, record: records.ImageRecord) -> records.ImageConfig:
        """How the image says to run it."""
        found = self._configs.get(record.config_digest)
        if found is None:
            found = records.parse_config(self._blob(record.config_digest).read_bytes())
            self._configs[record.config_digest] = found
        return found

    @staticmethod
    def layer_name(diff_id: str) -> str:
        """The directory's name in `layers`."""
        return diff_id[HEX : HEX + LAYER_NAME_CHARACTERS]

    # ── bringing images in ─────────────────────────────────────────────────────────────────────────────────────

    def pull(self, reference: str, credentials: tuple[str, str] | None = None) -> records.ImageRecord:
        """Fetch from the registry unless an image of that name is here. Concurrent pulls of one name are one pull."""
        name = _parse(reference)
        present = self.resolve(reference)
        if present is not None:
            return present
        with self._locked(self._scratch / f"{_key(name.canonical)}.lock", fcntl.LOCK_EX):
            present = self.resolve(reference)  # another process may have brought it while we waited
            if present is not None:
                return present
            with self._adding() as scratch:
                try:
                    digest, stored = skopeo.fetch(name, credentials, scratch, self._blobs)
                except skopeo.TransferFailed as problem:
                    raise ImageProblem(f"pull of {name.familiar} failed: {problem}") from problem
                return self._admit(name.canonical, digest, stored, "pulled")

    def load_archive(self, path: str | os.PathLike[str]) -> Records:
        """Load all images of a docker or OCI archive; their names now mean these images."""
        archive = Path(path)
        if not archive.is_file():
            raise ImageProblem(f"{archive} is no file: give the path of a docker or OCI archive")
        with self._adding() as scratch:
            try:
                imported = skopeo.import_archive(archive.resolve(), scratch, self._blobs)
            except skopeo.TransferFailed as problem:
                raise ImageProblem(f"loading {archive} failed: {problem}") from problem
            return [
                self._admit(_parse(reference).canonical, stored, stored, "loaded") for reference, stored in imported
            ]

    def pack(
        self,
        source: str | os.PathLike[str],
        tag: str,
        cmd: Sequence[str] = (),
        entrypoint: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        ports: Sequence[int] = (),
        user: str = "",
        workdir: str = "",
    ) -> records.ImageRecord:
        """Make an image of a directory's content or of one static binary (then at `/<its name>`, and its entry point
        where none is given). The same input gives the same digest."""
        path = Path(source)
        if not path.exists():
            raise ImageProblem(f"{path} does not exist: give a directory or a static binary")
        name = _parse(tag)
        if name.digest is not None:
            raise ImageProblem(f"{tag} has a digest: a packed image is named by repository and tag")
        if path.is_file() and not entrypoint and not cmd:
            entrypoint = (f"/{path.name}",)
        with self._adding() as scratch:
            layer = scratch / "layer"
            try:
                with layer.open("wb") as target:
                    pack.write_layer(path, target)
            except (ValueError, OSError) as problem:
                raise ImageProblem(f"packing {path} failed: {problem}") from problem
            layer_digest, layer_bytes = pack.digest_of_file(layer), layer.stat().st_size
            os.replace(layer, self._blob(layer_digest))
            config = pack.build_config(
                diff_id=layer_digest,
                command=cmd,
                entry_point=entrypoint,
                environment=env or {},
                ports=ports,
                user=user,
                working_directory=workdir,
            )
            manifest = pack.build_manifest(config=config, layer_digest=layer_digest, layer_bytes=layer_bytes)
            for blob in (config, manifest):
                _write_atomically(self._blob(pack.digest_of(blob)), blob)
            stored = pack.digest_of(manifest)
            return self._admit(name.canonical, stored, stored, "packed")

    def _admit(self, reference: str, digest: str, stored: str, source: records.Source) -> records.ImageRecord:
        """Verify, unpack and name an image whose blobs are in the store."""
        manifest = self._verified_json(stored)
        config_digest = _member(manifest, "config", "digest")
        config = self._verified_json(config_digest)
        diff_ids = tuple(str(value) for value in (config.get("rootfs") or {}).get("diff_ids") or ())
        layers = tuple(str(layer["digest"]) for layer in manifest.get("layers") or ())
        if len(diff_ids) != len(layers):
            raise ImageProblem(f"{reference}: manifest has {len(layers)} layers, configuration {len(diff_ids)}")
        if len(layers) > LAYERS_MAX:
            raise ImageProblem(f"{reference} has {len(layers)} layers; at most {LAYERS_MAX} can be mounted")
        found = str(config.get("architecture") or "")
        if found != pack.architecture():
            raise ImageProblem(
                f"{reference} is built for {found or 'no known architecture'}, this host is {pack.architecture()}"
            )
        for layer, diff_id in zip(layers, diff_ids, strict=True):
            self._ensure_unpacked(layer, diff_id)
        size = sum(self._blob(part).stat().st_size for part in {config_digest, *layers})
        record = records.ImageRecord(
            reference=reference,
            digest=digest,
            manifest_digest=stored,
            config_digest=config_digest,
            diff_ids=diff_ids,
            layer_digests=layers,
            size_bytes=size,
            architecture=found,
            created_at=self._clock(),
            source=source,
        )
        _write_atomically(self._record_path(reference), msgspec.json.encode(record))
        return record

    def _verified_json(self, digest: str) -> dict[str, Any]:
        path = self._blob(digest)
        if path.stat().st_size > MANIFEST_BYTES_MAX:
            raise ImageProblem(f"{digest} is larger than {MANIFEST_BYTES_MAX} bytes: no manifest or configuration")
        raw = path.read_bytes()
        if pack.digest_of(raw) != digest:
            path.unlink()
            raise ImageProblem(f"{digest} was damaged in the store and has been removed: pull or load the image again")
        document = json.loads(raw)
        if not isinstance(document, dict):
            raise ImageProblem(f"{digest} is no manifest or configuration")
        return document

    def _ensure_unpacked(self, digest: str, diff_id: str) -> None:
        target = self.layers / self.layer_name(diff_id)
        if target.is_dir():
            return
        with self._locked(self._scratch / f"{target.name}.lock", fcntl.LOCK_EX):
            if target.is_dir():
                return
            folder = Path(tempfile.mkdtemp(dir=self._scratch, prefix="layer-"))
            try:
                folder.chmod(0o755)
                unpack.unpack_layer(self._blob(digest), digest, diff_id, folder)
                os.rename(folder, target)
            except unpack.LayerProblem as problem:
                raise ImageProblem(f"{problem} (layer {digest})") from problem
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    # ── use and removal ────────────────────────────────────────────────────────────────────────────────────────

    def lease(self, reference: str, holder: str) -> records.ImageRecord:
        """Hold the image for `holder` (a container's id): its layers stay until `release`. Raises ImageProblem."""
        with self._locked(self.root / "lock", fcntl.LOCK_SH):
            record = self.resolve(reference)
            if record is None:
                raise ImageProblem(f"no image {reference} on this host: pull, load or pack it first")
            lease = _Lease(digest=record.digest, diff_ids=record.diff_ids)
            # In place: whoever collects garbage waits for this lock, and a torn lease is one of a holder that is gone.
            (self._leases / f"{holder}.json").write_bytes(msgspec.json.encode(lease))
            return record

    def release(self, holder: str) -> None:
        """End a lease; none is no error."""
        (self._leases / f"{holder}.json").unlink(missing_ok=True)

    def all_holders(self) -> Words:
        """Everybody with a lease."""
        return sorted(path.stem for path in self._leases.glob("*.json"))

    def holders(self, record: records.ImageRecord) -> Words:
        """Which containers hold this image."""
        found = []
        for path in self._leases.glob("*.json"):
            lease = _read(path, _Lease)
            if lease is not None and lease.digest == record.digest:
                found.append(path.stem)
        return sorted(found)

    def remove(self, reference: str) -> Records:
        """Forget a name, and collect what nothing mentions any more. Refuses while a container uses the image.

        Returns what was removed. Raises ImageProblem where there is no such image or it is in use.
        """
        with self._locked(self.root / "lock", fcntl.LOCK_EX):
            record = self.resolve(reference)
            if record is None:
                raise ImageProblem(f"no image {reference} on this host: `roadstead image list` shows what there is")
            users = self.holders(record)
            others = [other for other in self.list() if other.digest == record.digest]
            if users and len(others) == 1:
                raise ImageProblem(
                    f"{reference} is in use by {len(users)} containers ({users[0]}): stop their tasks first"
                )
            self._record_path(record.reference).unlink(missing_ok=True)
            self._collect()
        return [record]

    def collect_garbage(self) -> int:
        """Remove layers and blobs that no name and no lease mentions, after waiting for transfers.

        Returns the bytes of blobs that were freed.
        """
        with self._locked(self.root / "lock", fcntl.LOCK_EX):
            return self._collect()

    def _collect(self) -> int:
        """Under the exclusive lock: nobody is adding, so whatever lies in `scratch` was left by a killed process."""
        layers, blobs = set(), set()
        for record in self.list():
            layers |= {self.layer_name(diff_id) for diff_id in record.diff_ids}
            blobs |= {record.manifest_digest, record.config_digest, *record.layer_digests}
        for path in self._leases.glob("*.json"):
            lease = _read(path, _Lease)
            if lease is not None:
                layers |= {self.layer_name(diff_id) for diff_id in lease.diff_ids}
        for folder in self.layers.iterdir():
            if folder.name not in layers:
                doomed = self._scratch / f"doomed-{folder.name}"
                os.rename(folder, doomed)  # first out of sight: a half-removed layer must never be mounted
        for leftover in self._scratch.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        freed = 0
        for blob in (self._blobs / "sha256").iterdir():
            if f"sha256:{blob.name}" not in blobs:
                freed += blob.stat().st_size
                blob.unlink()
        return freed

    # ── files ──────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _adding(self) -> Iterator[Path]:
        """A scratch directory, with garbage collection kept away."""
        with self._locked(self.root / "lock", fcntl.LOCK_SH):
            scratch = Path(tempfile.mkdtemp(dir=self._scratch, prefix="transfer-"))
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    @contextmanager
    def _locked(self, path: Path, how: int) -> Iterator[None]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _blob(self, digest: str) -> Path:
        hexadecimal = digest[HEX:]
        if not digest.startswith("sha256:") or len(hexadecimal) != 64 or not hexadecimal.isalnum():
            raise ImageProblem(f"{digest!r} is no sha256 digest")
        return self._blobs / "sha256" / hexadecimal

    def _record_path(self, canonical: str) -> Path:
        return self._names / f"{_key(canonical)}.json"

    def _read_record(self, path: Path) -> records.ImageRecord | None:
        return _read(path, records.ImageRecord)


def _parse(reference: str) -> names.ImageName:
    try:
        return names.parse(reference)
    except names.InvalidName as problem:
        raise ImageProblem(str(problem)) from problem


def _key(canonical: str) -> str:
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]


def _member(document: dict[str, Any], *path: str) -> str:
    value: Any = document
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise ImageProblem(f"the manifest lacks {'.'.join(path)}: it is no image that can be run")
    return value


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    """None where the file is gone: another process may have removed it just now; or torn."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write_atomically(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
