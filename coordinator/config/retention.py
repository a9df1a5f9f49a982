"""The section ``retention`` of the settings: what becomes of old partitions."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, field_validator

from coordinator.config.sections import Section
from coordinator.model.durations import parse_duration


class RetentionSettings(Section):
    """Removal of old partitions. All durations are texts such as ``90 days``.

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

    max_age: str | None = None
    max_partitions: int | None = Field(default=None, ge=1)
    min_age: str = "1 day"
    give_up_after: str | None = None
    every: str = "1 hour"
    acts: str = "365 days"
    assets: str = "30 days"

    @field_validator("max_age", "min_age", "give_up_after", "every", "acts", "assets")
    @classmethod
    def _duration(cls, text: str | None) -> str | None:
        if text is not None:
            parse_duration(text)
        return text

    @field_validator("max_age", "give_up_after", "every", "assets")
    @classmethod
    def _not_nothing(cls, text: str | None) -> str | None:
        if text is not None and not parse_duration(text):
            raise ValueError(f"{text!r} is no positive duration; expected one such as '90 days'")
        return text

    @property
    def of_assets(self) -> Self:
        """The limits of asset events and deliveries."""
        return self.model_copy(update={"max_age": self.assets, "max_partitions": None})

    @property
    def longest(self) -> timedelta | None:
        """``max_age``, read."""
        return parse_duration(self.max_age) if self.max_age is not None else None

    @property
    def patience(self) -> timedelta | None:
        """``give_up_after``, read."""
        return parse_duration(self.give_up_after) if self.give_up_after is not None else None

    @property
    def shortest(self) -> timedelta:
        """``min_age``, read."""
        return parse_duration(self.min_age)
