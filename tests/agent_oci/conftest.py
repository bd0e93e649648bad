"""Real containers for tests: one busybox image, packed once; every runtime is wiped from the host afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.agent_oci import rigs

from roadstead.agent.images import store
from roadstead.agent.oci import destroy

BUSYBOX = Path("/bin/busybox")
APPLETS = (  # noqa: SIM905
    "sh sleep cat ls id wget httpd grep mount ping ip touch mkdir mknod nslookup env pwd hostname df dd tail kill echo "
    "head stat chmod true false nc seq unshare ps ulimit traceroute"
).split()


@pytest.fixture(scope="session")
def busybox_tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rs-image-") as folder:
        root = Path(folder)
        for name in ("bin", "tmp", "etc", "www"):
            (root / name).mkdir()
        (root / "tmp").chmod(0o1777)
        shutil.copy(BUSYBOX, root / "bin" / "busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:Web:/www:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\nweb:x:1000:\nextra:x:2000:web\n")
        (root / "www" / "index.html").write_text("hello from inside\n")
        yield root


@pytest.fixture
def data_dir(busybox_tree: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rs-test-"))
    store.ImageStore(folder).pack(busybox_tree, "box")
    try:
        yield folder
    finally:
        destroy.destroy(folder)
        shutil.rmtree(folder)


@pytest.fixture(params=["crun"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def rig(data_dir: Path, engine: str) -> AsyncIterator[rigs.Rig]:
    made = rigs.Rig(data_dir, engine)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
