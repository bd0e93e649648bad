"""What a process killed in the middle leaves behind is gone after the next open."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agent_oci.rigs import Rig

from roadstead.agent import runtime
from roadstead.agent.oci import cgroups

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


async def test_an_agent_after_a_reboot_reports_what_ran_as_ended(data_dir: Path) -> None:
    first = Rig(data_dir, None)
    await first.open()
    await first.run("ran", "sleep 100", mode="bridge")
    await first.close()
    paths = first.runtime.paths
    # A reboot as the runtime sees it: another boot id, and processes and mounts gone.
    text = paths.instance.read_text()
    paths.instance.write_text(text.replace('"boot_id":"', '"boot_id":"other-'))
    second = Rig(data_dir, None)
    await second.open()
    try:
        found = (await second.runtime.inventory()).containers
        assert [(each.status, each.exit_code) for each in found] == [("exited", 255)]
        await second.runtime.remove("ran")
        await second.runtime.remove_sandbox("task-ran")
        assert await second.runtime.inventory() == runtime.Inventory(sandboxes=(), containers=())
    finally:
        await second.close()
