"""The watermarks of pipelines, as far as they can be read (:mod:`coordinator.model.retention.watermark`).

A watermark keeps the past from being fired again, so one that cannot be read must not count as none. The last good one
stays in force. Where there is none, because this watcher has just listed everything, nobody can tell what has been
removed: then no state of that pipeline counts until the watermark is put right or deleted, and for a partition without
a record nothing is new that was there before the rubbish was.
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
        """Whether nobody can tell what has been removed."""
        return pipeline in self._unknown

    def begin_list(self) -> None:
        """Everything is listed anew: good ones from before matter only where what stands there now cannot be read."""
        self._before = self._good
        self._good = {}
        self._revisions.clear()
        self._unknown.clear()
        self._listing = True

    def end_list(self) -> None:
        self._before = {}
        self._listing = False

    def put(self, pipeline: PipelineRef, watermark: Watermark | Unreadable, revision: int) -> bool:
        """Take in what stands under its key. Returns whether it was unknown until now, and is known."""
        self._revisions[pipeline] = revision
        if isinstance(watermark, Watermark):
            self._good[pipeline] = watermark
            return self._unknown.pop(pipeline, None) is not None
        if self._listing and (before := self._before.get(pipeline)) is not None:
            # Out of another history (a restored etcd) its revision may lie in the future of this one.
            self._good[pipeline] = Watermark(before.queued_at, min(before.revision, revision))
        elif self._listing:
            self._unknown[pipeline] = Watermark(revision=revision)
        return False  # in a watch: the one before it is known, even if that was none

    def delete(self, pipeline: PipelineRef) -> bool:
        """Nothing stands under its key any more. Returns whether it was unknown until now."""
        self._good.pop(pipeline, None)
        self._revisions.pop(pipeline, None)
        return self._unknown.pop(pipeline, None) is not None
