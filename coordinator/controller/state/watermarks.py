"""The watermarks of pipelines, as far as they can be read (:mod:`coordinator.model.retention.watermark`).

A watermark prevents old completions from firing again, so an unreadable one must not count as absent. The last readable
one stays in force. If there is none, because this watcher has just listed everything, it is unknown what has been
removed: then no state of that pipeline counts until the watermark is corrected or deleted, and for a partition without
a record, no completion older than the unreadable value is new.
"""

from __future__ import annotations

from coordinator.model.references import PipelineRef
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import Unreadable


class Watermarks:
    """Used by the cache only."""

    def __init__(self) -> None:
        self._good: dict[PipelineRef, Watermark] = {}
        self._revisions: dict[PipelineRef, int] = {}
        self._unknown: dict[PipelineRef, Watermark] = {}
        self._before: dict[PipelineRef, Watermark] = {}
        self._listing = False

    def get(self, pipeline: PipelineRef) -> Watermark | None:
        return self._unknown.get(pipeline) or self._good.get(pipeline)

    def revision(self, pipeline: PipelineRef) -> int:
        """The mod revision of the watermark's key; 0: there is none."""
        return self._revisions.get(pipeline, 0)

    def is_unknown(self, pipeline: PipelineRef) -> bool:
        """Whether it is unknown what has been removed."""
        return pipeline in self._unknown

    def begin_list(self) -> None:
        """Everything is listed again: earlier values matter only where the present one cannot be read."""
        self._before = self._good
        self._good = {}
        self._revisions.clear()
        self._unknown.clear()
        self._listing = True

    def end_list(self) -> None:
        self._before = {}
        self._listing = False

    def put(self, pipeline: PipelineRef, watermark: Watermark | Unreadable, revision: int) -> bool:
        """Note the value of its key. Returns whether it was unknown until now, and is known."""
        self._revisions[pipeline] = revision
        if isinstance(watermark, Watermark):
            self._good[pipeline] = watermark
            return self._unknown.pop(pipeline, None) is not None
        if self._listing and (before := self._before.get(pipeline)) is not None:
            # From another history (a restored etcd), its revision may lie in the future of this one.
            self._good[pipeline] = Watermark(before.queued_at, min(before.revision, revision))
        elif self._listing:
            self._unknown[pipeline] = Watermark(revision=revision)
        return False  # in a watch, the earlier value is known, even if there was none

    def delete(self, pipeline: PipelineRef) -> bool:
        """Its key was deleted. Returns whether it was unknown until now."""
        self._good.pop(pipeline, None)
        self._revisions.pop(pipeline, None)
        return self._unknown.pop(pipeline, None) is not None
