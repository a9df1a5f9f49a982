"""The metrics of a watcher, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator

import requests
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "coordinator_"


class Scrape:
    """What ``/metrics`` answered.

    :ivar names: all metrics, with ``_total`` where it belongs.
    """

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
        self.labels = {label for one in families for sample in one.samples for label in sample.labels}
        self._samples = [(sample.name, dict(sample.labels), sample.value) for one in families for sample in one.samples]

    def values(self, name: str, **labels: str) -> Iterator[float]:
        """Of every sample that has these labels. :param name: without ``coordinator_``."""
        return (
            value for found, its, value in self._samples if found == f"{PREFIX}{name}" and labels.items() <= its.items()
        )

    def value(self, name: str, **labels: str) -> float:
        """The sum of them; 0 where there is none."""
        return sum(self.values(name, **labels))


def scrape(url: str) -> Scrape:
    """:param url: of the watcher, without a path. :raises requests.ConnectionError: it does not listen."""
    answer = requests.get(f"{url}/metrics", timeout=5)
    answer.raise_for_status()
    return Scrape(answer.text)
