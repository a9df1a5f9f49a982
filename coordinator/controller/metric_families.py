"""Families of metrics, as prometheus_client writes them: what a watcher and the page have in common."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

from coordinator.store.etcd_requests import EtcdRequests
from coordinator.store.timings import BOUNDS, Labels, Timing

_BUCKETS = (*map(str, BOUNDS), "+Inf")


def gauge(
    name: str, what: str, values: float | Mapping[str, float] | Mapping[tuple[str, str], float], *labels: str
) -> GaugeMetricFamily:
    """A gauge.

    :param name: without ``coordinator_``.
    :param values: by the value of each label; without labels: the one value.
    """
    found = GaugeMetricFamily(f"coordinator_{name}", what, labels=labels)
    for key, each in values.items() if isinstance(values, Mapping) else [((), values)]:
        found.add_metric([key] if isinstance(key, str) else list(key), float(each))
    return found


def histogram(name: str, what: str, *labels: str) -> HistogramMetricFamily:
    """An empty histogram, for :func:`add_timings`. :param name: without ``coordinator_``."""
    return HistogramMetricFamily(f"coordinator_{name}", what, labels=labels)


def add_timings(family: HistogramMetricFamily, timings: Mapping[Labels, Timing], *first: str) -> None:
    """Add timings to a histogram. :param first: the values of its first labels; those of the timings follow."""
    for labels, one in timings.items():
        buckets = list(zip(_BUCKETS, map(float, accumulate(one.counts)), strict=True))
        family.add_metric([*first, *labels], buckets, one.seconds)


def of_etcd(requests: EtcdRequests) -> HistogramMetricFamily:
    """How long etcd took to answer this process."""
    found = histogram("etcd_request_seconds", "How long requests to etcd took.", "kind", "outcome")
    add_timings(found, requests.timings.snapshot())
    return found
