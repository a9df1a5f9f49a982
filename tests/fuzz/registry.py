"""All targets, by name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import airflow, configuration, documents, etcd, names, outbox, values

TARGETS = {
    target.name: target
    for target in (
        Target("run_state", values.run_state, values.WORDS),
        Target("record", values.record, values.WORDS),
        Target("small_values", values.small, values.WORDS),
        Target("publication", documents.publication, documents.WORDS),
        Target("dependencies", documents.dependencies, documents.WORDS),
        Target("settings", configuration.settings, configuration.WORDS),
        Target("keys", names.keys, names.KINDS, 512),
        Target("spelling", names.spelling, (*names.PARTITIONS, *documents.WORDS), 512),
        Target("answers", airflow.answers, airflow.WORDS),
        Target("http", airflow.http, airflow.WORDS),
        Target("outbox", outbox.outbox, outbox.WORDS),
        Target("cache", etcd.cache, etcd.WORDS),
        Target("reconciler", etcd.reconciler, etcd.WORDS, 2048),
    )
}
