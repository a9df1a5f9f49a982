"""Unknown DAGs: the published dependencies name them, and their environments do not have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import structlog

from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.state.cache import Cache
from coordinator.model.assets.names import is_of_assets
from coordinator.model.conditions import leaves
from coordinator.model.phrases import some_of
from coordinator.model.publishing.guard import Known
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import PipelineRef

_log = structlog.get_logger(__name__)

LOOKED_EVERY = 1.0
"""Seconds between two looks at what is known."""

WELL_FOR = 15.0
"""Seconds until the next look, where all was well."""

PLACE = "unknown DAGs"
"""Under which a watcher tells it in its presence."""

_SHOWN = 10


class UnknownDags:
    """Asks about the DAGs of all owners' documents, on the leader. Used by the deciding thread only.

    :param clock: monotonic seconds.
    :ivar problem: which DAGs do not exist, and which environments cannot be asked.
    :ivar unanswered: which environments have not answered yet, which may be no problem.
    """

    def __init__(self, cache: Cache, checks: DagChecks, *, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._checks = checks
        self._clock = clock
        self._look_at = 0.0
        self._revisions: dict[str, int] = {}
        self._named: set[PipelineRef] = set()
        self._is_well = False
        self._well_until = 0.0
        self.problem: str | None = None
        self.unanswered: str | None = None

    def look(self) -> None:
        """Note what is known by now, and ask about the rest."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOKED_EVERY
        names = self._names()
        if self._is_well and now < self._well_until:
            return
        known = self._checks.known(names)
        if known is None:
            return
        self._is_well = not known.missing and not known.unasked
        self._well_until = now + WELL_FOR
        problem = in_words(known)
        if problem is not None and problem != self.problem:
            _log.warning("dependencies.unknown_dags", reason=problem)
        self.problem = problem
        self.unanswered = "; ".join(_unasked(known, awaited=True)) or None

    def rest(self) -> None:
        """Another watcher leads, and shows this problem."""
        self.problem = self.unanswered = None

    def _names(self) -> set[PipelineRef]:
        published = self._cache.published
        revisions = {owner: one.revision for owner, one in published.items()}
        if revisions != self._revisions:
            documents = [one.value.document for one in published.values() if isinstance(one.value, Publication)]
            self._named = {pipeline for document in documents for pipeline in document}
            self._named |= {
                leaf.pipeline
                for document in documents
                for downstream in document.values()
                for leaf in leaves(downstream.condition)
            }
            self._named = {pipeline for pipeline in self._named if not is_of_assets(pipeline)}
            self._revisions = revisions
            self._is_well = False
        return self._named


def in_words(known: Known) -> str | None:
    """What is wrong, in one line; ``None``: nothing."""
    problems = list(_unasked(known, awaited=False))
    if known.missing:
        named = some_of([str(one) for one in sorted(known.missing)], _SHOWN)
        problems.append(f"no such DAGs: {named}; the dependencies name them: deploy them, or correct the file")
    return "; ".join(problems) or None


def names(told: str, pipeline: PipelineRef) -> bool:
    """Whether such a line is about a pipeline, or about its environment."""
    about = rf"{re.escape(str(pipeline))}(?![\w./-])|{re.escape(pipeline.environment)} could not be asked"
    return re.search(rf"(?<![\w./-])(?:{about})", told) is not None


def _unasked(known: Known, *, awaited: bool) -> Iterator[str]:
    for name, why in sorted(known.unasked.items()):
        if (name in known.awaited) is awaited:
            yield f"{name} could not be asked which DAGs it has: {why}"
