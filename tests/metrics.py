"""The metrics of a watcher, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterator

import requests
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "coordinator_"


class Scrape:
    """What ``/metrics`` answered.

    :ivar labels: of all metrics, by name, which ends with ``_total`` where it is a counter.
    """

    def __init__(self, text: str) -> None:
        self.labels: dict[str, set[str]] = {}
        self._samples: list[tuple[str, dict[str, str], float]] = []
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            self.labels[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
            self._samples += [(sample.name, dict(sample.labels), sample.value) for sample in family.samples]

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
    with requests.Session() as session:
        session.trust_env = False  # pytest changes the environment while other threads would read it
        answer = session.get(f"{url}/metrics", timeout=5)
    answer.raise_for_status()
    return Scrape(answer.text)
