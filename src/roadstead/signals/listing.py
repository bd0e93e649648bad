"""Which metrics exist, found by namespace, name and dimensions without looking at all of them (ListMetrics)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sortedcontainers import SortedDict, SortedList

from roadstead.signals import metrics

DimensionFilter = tuple[str, str | None]
"""A dimension that a listed metric must have; None as its value stands for any."""


class MetricIndex:
    """The listed metrics, ordered by namespace, name, dimensions."""

    def __init__(self) -> None:
        self._all: SortedList[metrics.Metric] = SortedList()
        self._by_pair: dict[tuple[str, str], SortedList[metrics.Metric]] = {}
        self._namespaces: SortedDict[str, int] = SortedDict()

    def add(self, metric: metrics.Metric) -> None:
        """List a metric that is not listed."""
        self._all.add(metric)
        self._namespaces[metric.namespace] = self._namespaces.get(metric.namespace, 0) + 1
        for pair in metric.dimensions:
            self._by_pair.setdefault(pair, SortedList()).add(metric)

    def remove(self, metric: metrics.Metric) -> None:
        """Take a listed metric out."""
        self._all.remove(metric)
        self._namespaces[metric.namespace] -= 1
        if not self._namespaces[metric.namespace]:
            del self._namespaces[metric.namespace]
        for pair in metric.dimensions:
            listed = self._by_pair[pair]
            listed.remove(metric)
            if not listed:
                del self._by_pair[pair]

    def __len__(self) -> int:
        return len(self._all)

    def find(
        self,
        namespace: str | None,
        name: str | None,
        dimensions: Sequence[DimensionFilter],
        after: metrics.Metric | None,
    ) -> Iterator[metrics.Metric]:
        """The metrics that fit, in order, those past `after` only."""
        pairs = [(key, value) for key, value in dimensions if value is not None]
        among = self._all
        for pair in pairs:
            listed = self._by_pair.get(pair)
            if listed is None:
                return
            if len(listed) < len(among):
                among = listed
        names = {key for key, value in dimensions if value is None}
        wanted = frozenset(pairs)
        for metric in self._in_order(among, namespace, name, after):
            if wanted.issubset(metric.dimensions) and names.issubset(key for key, _ in metric.dimensions):
                yield metric

    def _in_order(
        self, among: SortedList[metrics.Metric], namespace: str | None, name: str | None, after: metrics.Metric | None
    ) -> Iterator[metrics.Metric]:
        if namespace is None and name is None:
            yield from among if after is None else among.irange(minimum=after, inclusive=(False, True))
            return
        spaces = (
            list(self._namespaces.irange(minimum=after.namespace if after else None))
            if namespace is None
            else [namespace]
        )
        for space in spaces:
            low = metrics.Metric(space, name or "")
            beyond = after is not None and after >= low
            for metric in among.irange(minimum=after if beyond else low, inclusive=(not beyond, True)):
                if metric.namespace != space or (name is not None and metric.name != name):
                    break
                yield metric
