"""Partitions that an environment does not take (``partition_characters``)."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.config.environments import EnvironmentSettings
from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.runners.port import Refused, StartRequest


def refusal_of_partitions(name: str, settings: EnvironmentSettings, request: StartRequest) -> Refused | None:
    """Why a request is not to be sent; ``None``: its partitions are taken.

    :param name: the environment's name, for the message.
    """
    strange = next((one for one in _partitions_of(request) if not settings.takes_partition(one)), None)
    if strange is None:
        return None
    return Refused(
        400,
        f"the partition {printable(repr(strange), limit=bounds.DETAIL // 2)} is not started here: it contains, "
        f"or begins with, characters that environments.{name}.partition_characters does not allow",
    )


def _partitions_of(request: StartRequest) -> Iterator[str]:
    """The partitions that the run can read: its own, and those of its inputs, which other teams may control."""
    yield request.partition
    ours = request.conf.get("coordinator", {})
    yield from (given["partition"] for given in ours.get("inputs", ()))
