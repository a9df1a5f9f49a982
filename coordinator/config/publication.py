"""The section ``publication`` of the settings: what an edit of the dependencies keeps."""

from __future__ import annotations

from pydantic import Field

from coordinator.config.sections import Duration, Section
from coordinator.model.publishing.guard import RESUME_LIMIT
from coordinator.model.publishing.resuming import RESUME_WITHIN


class PublicationSettings(Section):
    """The limits of publishing dependencies.

    :ivar resume_within: a dependency that is put back within so long after it was taken out resumes: completions in
        between are new.
    :ivar resume_limit: putting dependencies back is refused if more partitions than this might start at once.
    """

    resume_within: Duration = RESUME_WITHIN
    resume_limit: int = Field(default=RESUME_LIMIT, ge=0)
