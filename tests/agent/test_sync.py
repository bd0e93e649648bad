"""A new task is on the disk before the control plane hears of it; its work does not wait for the disk."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from fake_control_plane import FakeControlPlane
from stage import a_task, arn_of
from test_shell import an_agent

from roadstead.agent import records, storage
from roadstead.base import errors


async def test_nothing_is_told_of_a_new_task_before_the_disk_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_is_done = threading.Event()
    synced = storage.Storage.sync

    def slow(self: storage.Storage) -> None:
        disk_is_done.wait(10)
        synced(self)

    async with FakeControlPlane() as plane, an_agent(plane, tmp_path) as agent:
        monkeypatch.setattr(storage.Storage, "sync", slow)
        try:
            await plane.payload(a_task(1), message_id="m1")
            await plane.until(lambda: len(agent._engine.running()) == 1)  # it runs already
            assert plane.agent_messages == [] and plane.states(arn_of(1)) == []
            await plane.payload(a_task(2), message_id="m2")
            await plane.until(lambda: len(agent._engine.running()) == 2)
            assert plane.agent_messages == [] and plane.states(arn_of(2)) == []
        finally:
            disk_is_done.set()
        await plane.until(lambda: plane.states(arn_of(1)) == plane.states(arn_of(2)) == ["RUNNING"])
        acknowledged = [each.message_id for each in plane.agent_messages]  # type: ignore[attr-defined]
        assert acknowledged == ["m1", "m2"]


async def test_a_disk_that_fails_to_sync_stops_the_agent_before_it_says_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeControlPlane() as plane, an_agent(plane, tmp_path) as agent:
        monkeypatch.setattr(storage.os, "fdatasync", _fails)
        await plane.payload(a_task(1))
        with pytest.raises(errors.HostProblem, match="can't write"):
            await agent.wait()
        assert plane.agent_messages == [] and plane.states(arn_of(1)) == []


def _fails(_: int) -> None:
    raise OSError(5, "Input/output error")


def test_only_new_tasks_ask_for_a_sync(tmp_path: Path) -> None:
    kept = storage.Storage(tmp_path)
    state = records.TaskState(task=a_task(1), received_at=1.0)
    assert kept.save([("a", state)], 0, 1.0)
    assert not kept.save([("a", state)], 0, 2.0)
    assert not kept.save([("a", None)], 0, 3.0)
    assert kept.save([("a", state)], 0, 4.0)
    kept.sync()
    kept.close()
