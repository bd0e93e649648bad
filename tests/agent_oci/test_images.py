"""Stories of the content store: packing, archives, registries, hostile layers, removal, several processes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from roadstead.agent.images import names, store, unpack

pytestmark = pytest.mark.real  # ownership, device nodes and whiteouts are root's


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rs-images-") as made:
        yield Path(made)


def layer_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def entry(name: str, content: bytes = b"", **facts: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in facts.items():
        setattr(member, key, value)
    return member, content


def unpack_bytes(folder: Path, data: bytes, plain: bytes | None = None) -> Path:
    blob, target = folder / "blob", folder / "target"
    blob.write_bytes(data)
    target.mkdir()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    diff = f"sha256:{hashlib.sha256(plain if plain is not None else data).hexdigest()}"
    unpack.unpack_layer(blob, digest, diff, target)
    return target


def test_a_layers_files_keep_what_they_are(folder: Path) -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    target = unpack_bytes(
        folder,
        layer_of(
            entry("bin", type=tarfile.DIRTYPE, mode=0o750, mtime=1000),
            entry(
                "bin/tool",
                b"tool",
                mode=0o4755,
                uid=12,
                gid=34,
                mtime=2000,
                pax_headers={
                    "SCHILY.xattr.security.capability": capability.decode(),
                    "SCHILY.xattr.user.note": "hi",
                    "SCHILY.xattr.trusted.overlay.opaque": "y",
                },
            ),
            entry("bin/same", type=tarfile.LNKTYPE, linkname="bin/tool"),
            entry("link", type=tarfile.SYMTYPE, linkname="/bin/tool"),
            entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            entry("pipe", type=tarfile.FIFOTYPE, mode=0o600),
            entry("deep/er/file", b"x"),
        ),
    )
    tool = (target / "bin" / "tool").stat()
    assert (stat.S_IMODE(tool.st_mode), tool.st_uid, tool.st_gid, tool.st_mtime) == (0o4755, 12, 34, 2000)
    assert (target / "bin" / "same").stat().st_ino == tool.st_ino
    assert (target / "bin").stat().st_mtime == 1000
    assert os.getxattr(target / "bin" / "tool", "security.capability") == capability
    assert os.getxattr(target / "bin" / "tool", "user.note") == b"hi"
    assert "trusted.overlay.opaque" not in os.listxattr(target / "bin" / "tool")
    assert os.readlink(target / "link") == "/bin/tool"
    assert (target / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    assert (target / "deep/er/file").read_bytes() == b"x"


def test_whiteouts_take_overlays_form(folder: Path) -> None:
    target = unpack_bytes(folder, layer_of(entry("a/.wh.gone"), entry("b/.wh..wh..opq"), entry("b/new", b"n")))
    gone = (target / "a" / "gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(target / "b", "trusted.overlay.opaque") == b"y"
    assert (target / "b" / "new").read_bytes() == b"n"


@pytest.mark.parametrize(
    "evil",
    [
        [entry("../escaped", b"x")],
        [entry("a/../../escaped", b"x")],
        [entry("ok", b"x"), entry("hard", type=tarfile.LNKTYPE, linkname="../outside")],
        [entry("hard", type=tarfile.LNKTYPE, linkname="etc/passwd")],
        [entry(".wh...", b"")],
    ],
)
def test_entries_that_leave_the_layer_are_refused(folder: Path, evil: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    (folder / "outside").write_bytes(b"safe")
    with pytest.raises(unpack.LayerProblem):
        unpack_bytes(folder, layer_of(*evil))
    assert sorted(path.name for path in folder.iterdir()) == ["blob", "outside", "target"]


def test_symbolic_links_lead_nowhere_but_into_the_layer(folder: Path) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"safe")
    target = unpack_bytes(
        folder,
        layer_of(
            entry("up", type=tarfile.SYMTYPE, linkname="../outside"),
            entry("outside", type=tarfile.DIRTYPE, mode=0o755),
            entry("up/file", b"mine"),
        ),
    )
    assert (outside / "file").read_bytes() == b"safe"
    assert (target / "outside" / "file").read_bytes() == b"mine"
    with pytest.raises(unpack.LayerProblem):
        (folder / "second").mkdir()
        unpack_bytes(
            folder / "second",
            layer_of(entry("abs", type=tarfile.SYMTYPE, linkname=str(outside)), entry("abs/file", b"evil")),
        )
    assert (outside / "file").read_bytes() == b"safe"


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_compressed_layers(folder: Path, compress: str) -> None:
    plain = layer_of(*(entry(f"f{number}", os.urandom(50_000)) for number in range(20)))
    if compress == "gzip":
        data = gzip.compress(plain[:500_000]) + gzip.compress(plain[500_000:])
    else:
        assert shutil.which("zstd"), "the test host lacks zstd"
        data = subprocess.run(["zstd", "-cq"], input=plain, capture_output=True, check=True).stdout
    target = unpack_bytes(folder, data, plain)
    assert len(list(target.iterdir())) == 20


def test_damage_is_noticed(folder: Path) -> None:
    plain = layer_of(entry("a", b"a" * 1000))
    with pytest.raises(unpack.LayerProblem, match="uncompressed digest"):
        unpack_bytes(folder, gzip.compress(plain), b"another")
    shutil.rmtree(folder / "target")
    with pytest.raises(unpack.LayerProblem, match=r"damaged|cut short"):
        unpack_bytes(folder, gzip.compress(plain)[:-20], plain)


@pytest.fixture
def tree(folder: Path) -> Path:
    root = folder / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_text("content")
    (root / "link").symlink_to("sub/file")
    return root


def test_packing_is_deterministic_and_configured(folder: Path, tree: Path) -> None:
    one, two = store.ImageStore(folder / "one"), store.ImageStore(folder / "two")
    options: dict[str, Any] = {
        "cmd": ["a"],
        "entrypoint": ["/e"],
        "env": {"K": "v"},
        "ports": [80],
        "user": "u",
        "workdir": "/w",
    }
    first = one.pack(tree, "app:1", **options)
    os.utime(tree / "sub" / "file", (1, 1))
    second = two.pack(tree, "app:1", **options)
    assert first.digest == second.digest
    config = one.config(first)
    assert (config.command, config.entry_point, config.environment) == (("a",), ("/e",), ("K=v",))
    assert (config.exposed_ports, config.user, config.working_directory) == (("80/tcp",), "u", "/w")
    assert (one.layers / one.layer_name(first.diff_ids[0]) / "sub" / "file").read_text() == "content"
    binary = one.pack("/bin/busybox", "tool")
    assert one.config(binary).entry_point == ("/busybox",)


def test_names_resolve_as_dockers(folder: Path, tree: Path) -> None:
    images = store.ImageStore(folder)
    record = images.pack(tree, "app")
    for reference in ("app", "app:latest", "library/app", "docker.io/library/app", f"app@{record.digest}"):
        assert images.resolve(reference) == record, reference
    assert images.resolve("app:2") is None
    assert names.parse("localhost:5000/x/y").canonical == "localhost:5000/x/y:latest"
    assert names.parse("docker.io/library/a:b").familiar == "a:b"
    with pytest.raises(store.ImageProblem, match="lowercase"):
        images.resolve("App")
    assert images.pull("app") == record  # what was packed under the name wins: nothing is asked of any registry


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_archives_are_loaded(folder: Path, tree: Path, transport: str) -> None:
    first = store.ImageStore(folder / "first")
    record = first.pack(tree, "app:7", cmd=["x"])
    archive = folder / "saved.tar"
    layout = as_layout(folder, first, record.manifest_digest)
    target = f"{transport}:{archive}:" + ("docker.io/library/app:7" if transport == "docker-archive" else "app:7")
    subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}:x", target], check=True)
    second = store.ImageStore(folder / "second")
    loaded = second.load_archive(archive)
    assert [each.reference for each in loaded] == ["docker.io/library/app:7"]
    assert second.config(loaded[0]).command == ("x",)
    assert loaded[0].diff_ids == record.diff_ids
    assert second.list() == loaded
    with pytest.raises(store.ImageProblem, match="neither a docker archive"):
        second.load_archive(make_tar(folder / "other.tar"))


def make_tar(path: Path) -> Path:
    path.write_bytes(layer_of(entry("x", b"x")))
    return path


def as_layout(folder: Path, images: store.ImageStore, manifest: str) -> Path:
    """An OCI layout of one image of a store."""
    layout = folder / "layout"
    layout.mkdir()
    shutil.copytree(images.root / "blobs", layout / "blobs")
    size = (images.root / "blobs" / "sha256" / manifest[7:]).stat().st_size
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    descriptor = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest,
        "size": size,
        "annotations": {"org.opencontainers.image.ref.name": "x"},
    }
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    return layout


class Registry:
    """A small registry on loopback that serves the blobs of a store; asks for a password if told to."""

    def __init__(self, images: store.ImageStore, tags: dict[str, str], login: str | None = None) -> None:
        self.requests: list[str] = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.requests.append(self.path)
                expected = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
                if expected and self.headers.get("Authorization") != expected:
                    self.answer(401, b"{}", "application/json", [("WWW-Authenticate", 'Basic realm="test"')])
                    return
                *_, kind, name = self.path.split("/")
                digest = tags.get(name, name)
                blob = images.root / "blobs" / "sha256" / digest.removeprefix("sha256:")
                if self.path == "/v2/":
                    self.answer(200, b"{}", "application/json", [])
                elif not digest.startswith("sha256:") or not blob.is_file():
                    self.answer(
                        404,
                        b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}',
                        "application/json",
                        [],
                    )
                else:
                    manifest = "application/vnd.oci.image.manifest.v1+json"
                    media = manifest if kind == "manifests" else "application/octet-stream"
                    self.answer(200, blob.read_bytes(), media, [("Docker-Content-Digest", digest)])

            do_HEAD = do_GET

            def answer(self, status: int, body: bytes, media: str, headers: list[tuple[str, str]]) -> None:
                self.send_response(status)
                for name, value in [("Content-Type", media), ("Content-Length", str(len(body))), *headers]:
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Registry]]:
    made: list[Registry] = []

    def start(*arguments: Any, **options: Any) -> Registry:
        made.append(Registry(*arguments, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_pulls_of_one_image_are_one_pull(folder: Path, tree: Path, serve: Callable[..., Registry]) -> None:
    source = store.ImageStore(folder / "source")
    packed = source.pack(tree, "app", cmd=["run"])
    registry = serve(source, {"latest": packed.manifest_digest})
    images = store.ImageStore(folder / "target")
    reference = f"{registry.address}/team/app"
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda _: images.pull(reference), range(4)))
    assert {record.digest for record in records} == {packed.manifest_digest}
    assert images.config(records[0]).command == ("run",)
    layer = [path for path in registry.requests if packed.layer_digests[0] in path]
    assert len(layer) == 1
    asked = len(registry.requests)
    assert images.pull(reference) == records[0]
    assert len(registry.requests) == asked
    assert images.resolve(f"{registry.address}/team/app@{packed.manifest_digest}") == records[0]


def test_credentials_and_refusals_of_a_registry(folder: Path, tree: Path, serve: Callable[..., Registry]) -> None:
    source = store.ImageStore(folder / "source")
    packed = source.pack(tree, "app")
    registry = serve(source, {"latest": packed.manifest_digest}, login="me:secret")
    images = store.ImageStore(folder / "target")
    with pytest.raises(store.ImageProblem, match=r"pull of .* failed"):
        images.pull(f"{registry.address}/app")
    with pytest.raises(store.ImageProblem, match=r"pull of .* failed"):
        images.pull(f"{registry.address}/app", ("me", "wrong"))
    assert images.pull(f"{registry.address}/app", ("me", "secret")).digest == packed.digest
    with pytest.raises(store.ImageProblem, match="manifest unknown"):
        images.pull(f"{registry.address}/app:other", ("me", "secret"))
    assert list((images.root / "scratch").glob("transfer-*")) == []


def test_removing_spares_what_is_in_use_and_collects_the_rest(folder: Path, tree: Path) -> None:
    images = store.ImageStore(folder / "data")
    record = images.pack(tree, "app")
    images.pack("/bin/busybox", "tool")
    images.lease("app", "container-1")
    with pytest.raises(store.ImageProblem, match="in use by 1 containers"):
        images.remove("app")
    layer = images.layers / images.layer_name(record.diff_ids[0])
    images.release("container-1")
    assert images.remove("app") == [record]
    assert not layer.exists()
    assert [each.reference for each in images.list()] == ["docker.io/library/tool:latest"]
    assert len(list(images.layers.iterdir())) == 1
    assert len(list((images.root / "blobs" / "sha256").iterdir())) == 3
    with pytest.raises(store.ImageProblem, match="no image app"):
        images.remove("app")
    with pytest.raises(store.ImageProblem, match="no image app"):
        images.lease("app", "container-2")
