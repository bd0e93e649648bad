"""Clusters (ECS-API CreateCluster)."""

from __future__ import annotations

from typing import Literal

from roadstead.model import record

DEFAULT_CLUSTER = "default"


class ClusterSetting(record.WireValue, frozen=True, kw_only=True):
    name: str
    value: str


class Cluster(record.Record, frozen=True, kw_only=True):
    name: str
    status: Literal["ACTIVE", "INACTIVE"] = "ACTIVE"
    created_at: float
    inactive_at: float | None = None
    """When retention first saw it INACTIVE."""
    settings: tuple[ClusterSetting, ...] = ()
    tags: tuple[record.Tag, ...] = ()

    @property
    def key(self) -> str:
        return self.name
