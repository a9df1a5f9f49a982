"""The section ``retention`` of the settings: what becomes of old partitions."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field

from coordinator.config.sections import Duration, PositiveDuration, Section


class RetentionSettings(Section):
    """Removal of old partitions.

    :ivar max_age: a partition in which nothing has happened for so long is removed; ``None``: it is kept for ever.
    :ivar max_partitions: how many partitions of each pipeline are kept; ``None``: all.
    :ivar min_age: a partition in which something has happened within this time is never removed: a report may still
        come.
    :ivar give_up_after: a partition that only waits (for an input that does not come, or that nobody repairs) prevents
        no removal once nothing has happened for so long; ``None``: it waits for ever.
    :ivar every: the pause between two sweeps.
    :ivar acts: how long acts of people are kept.
    :ivar assets: as ``max_age``, of asset events and their deliveries.
    """

    max_age: PositiveDuration | None = None
    max_partitions: int | None = Field(default=None, ge=1)
    min_age: Duration = timedelta(days=1)
    give_up_after: PositiveDuration | None = None
    every: PositiveDuration = timedelta(hours=1)
    acts: Duration = timedelta(days=365)
    assets: PositiveDuration = timedelta(days=30)

    @property
    def of_assets(self) -> Self:
        """The limits of asset events and deliveries."""
        return self.model_copy(update={"max_age": self.assets, "max_partitions": None})
