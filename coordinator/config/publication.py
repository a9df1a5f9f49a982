"""The section ``publication`` of the settings: what an edit of the dependencies keeps."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator

from coordinator.config.sections import Section
from coordinator.model.durations import parse_duration
from coordinator.model.publishing.guard import RESUME_LIMIT


class PublicationSettings(Section):
    """The limits of publishing dependencies.

    :ivar resume_within: a dependency that is put back within so long after it was taken out resumes: completions in
        between are new.
    :ivar resume_limit: putting dependencies back is refused if more partitions than this might start at once.
    """

    resume_within: str = "7 days"
    resume_limit: int = Field(default=RESUME_LIMIT, ge=0)

    @field_validator("resume_within")
    @classmethod
    def _duration(cls, text: str) -> str:
        parse_duration(text)
        return text

    @property
    def resumes_within(self) -> timedelta:
        """``resume_within``, read."""
        return parse_duration(self.resume_within)
