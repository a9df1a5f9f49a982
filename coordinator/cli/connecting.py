"""Connecting to the etcd that ``--config`` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.store.connection import EtcdStore
    from coordinator.store.keys import Keys


@contextmanager
def etcd_of(config: Path | None) -> Iterator[tuple[EtcdStore, Keys]]:
    """The etcd of a configuration, and its keys; closed afterwards.

    :raises ConfigurationError: the configuration cannot be used.
    """
    from coordinator.cli.gc_tuning import collected_rarely
    from coordinator.config.loading import load_settings
    from coordinator.store.connection import connect
    from coordinator.store.keys import Keys

    settings = load_settings(config)
    store = connect(settings.etcd)
    try:
        with collected_rarely():
            yield store, Keys(settings.etcd.prefix)
    finally:
        store.close()
