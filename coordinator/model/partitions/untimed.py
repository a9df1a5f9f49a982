"""Mappings that do not depend on time.

``Identity``  the same partition
``FixedKey``  every upstream partition feeds one and the same downstream partition
``Latest``    every downstream partition looks at the upstream's newest completion, whatever its partition
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.model.partitions.refusal import MappingError


@dataclass(frozen=True, slots=True)
class Identity:
    """Airflow's ``IdentityMapper``, and the default of a dependency."""

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        return (downstream,)

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        return (upstream,)

    def __str__(self) -> str:
        return "identity"


@dataclass(frozen=True, slots=True)
class FixedKey:
    """Airflow's ``FixedKeyMapper``: open towards upstream; the input is the upstream's newest completion.

    :raises MappingError: the key is empty.
    """

    downstream_key: str

    def __post_init__(self) -> None:
        if not self.downstream_key:
            raise MappingError("downstream_key", "expected a partition; found an empty text")

    def downstreams(self, upstream: str) -> tuple[str, ...]:  # noqa: ARG002 - the same for all
        return (self.downstream_key,)

    def feeds(self, upstream: str, downstream: str) -> bool:  # noqa: ARG002 - the same for all
        """Whether an upstream partition is among the inputs of a downstream partition."""
        return downstream == self.downstream_key

    def __str__(self) -> str:
        return f"fixed key {self.downstream_key!r}"


@dataclass(frozen=True, slots=True)
class Latest:
    """Open on both sides: the upstream's newest completion in any partition, for any downstream partition."""

    def __str__(self) -> str:
        return "latest"
