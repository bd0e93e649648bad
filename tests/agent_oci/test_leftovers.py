"""What a process killed in the middle leaves behind is gone after the next open."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agent_oci.rigs import Rig

from roadstead.agent import runtime
from roadstead.agent.images import store
from roadstead.agent.oci import cgroups, destroy

pytestmark = pytest.mark.real


async def test_half_made_things_are_removed_at_open(data_dir: Path) -> None:
    first = Rig(data_dir, None)
    await first.open()
    paths = first.runtime.paths
    await first.run("kept", "sleep 100", mode="bridge")
    # As if killed between a verb's first step and its record.
    await first.run("half", "sleep 100", mode="bridge")
    (paths.bundle("half") / "container.json").unlink()
    paths.sandbox("task-half").unlink()
    layout = cgroups.find_layout()
    assert layout is not None
    orphan = layout.folder("cpu", f"{paths.cgroup}/task-never")
    assert orphan is not None
    orphan.mkdir()
    first.runtime.images.lease("box", "never")
    (paths.exits / "never").write_text("0")
    await first.close()
    second = Rig(data_dir, None)
    await second.open()
    try:
        inventory = await second.runtime.inventory()
        assert [each.container_id for each in inventory.containers] == ["kept"]
        assert [each.task_id for each in inventory.sandboxes] == ["task-kept"]
        assert inventory.containers[0].status == "running"
        assert not orphan.exists()
        assert second.runtime.images.all_holders() == ["kept"]
        assert [each.name for each in paths.containers.iterdir()] == ["kept"]
        assert [each.name for each in paths.networks.iterdir()] == ["kept"]
        assert [each.name for each in paths.exits.iterdir()] == []
    finally:
        await second.close()


async def test_after_a_reboot_there_is_nothing_but_images(data_dir: Path) -> None:
    first = Rig(data_dir, None)
    await first.open()
    await first.run("ran", "sleep 100", mode="bridge")
    paths = first.runtime.paths
    await first.close()
    # A reboot as the runtime sees it: processes and mounts are gone, the disk is as it was.
    disk = {path: path.read_bytes() for path in (paths.instance, paths.lock)}
    destroy.destroy(data_dir, keep_images=True)
    for path, content in disk.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (paths.root / "upper" / "ran" / "upper").mkdir(parents=True)
    store.ImageStore(data_dir).lease("box", "ran")
    second = Rig(data_dir, None)
    await second.open()
    try:
        assert await second.runtime.inventory() == runtime.Inventory(sandboxes=(), containers=())
        assert second.facts.subnet == first.facts.subnet
        assert list(paths.upper.iterdir()) == []
        assert second.runtime.images.all_holders() == []
        await second.run("ran", "exit 0", mode="bridge")
        assert (await second.exit_of("ran")).exit_code == 0
    finally:
        await second.close()
