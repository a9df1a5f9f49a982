"""DAGs that the published dependencies name, and that their environments do not have: said as long as that lasts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import structlog

from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.state.cache import Cache
from coordinator.model.conditions import leaves
from coordinator.model.phrases import some_of
from coordinator.model.publishing.guard import Known
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import PipelineRef

_log = structlog.get_logger(__name__)

LOOKED_EVERY = 1.0
"""Seconds between two looks at what is known."""

PLACE = "unknown DAGs"
"""Under which a watcher tells it in its presence."""

_SHOWN = 10


class UnknownDags:
    """Asks for the leader, of all owners' documents. Used by the deciding thread only.

    :param clock: monotonic seconds.
    :ivar problem: which DAGs are not there, and which environments cannot be asked.
    :ivar unanswered: which environments have not answered yet, where that need not mean anything.
    """

    def __init__(self, cache: Cache, checks: DagChecks, *, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._checks = checks
        self._clock = clock
        self._look_at = 0.0
        self._revisions: dict[str, int] = {}
        self._named: set[PipelineRef] = set()
        self.problem: str | None = None
        self.unanswered: str | None = None

    def look(self) -> None:
        """Find out what is known by now; what is not is asked."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOKED_EVERY
        known = self._checks.known(self._names())
        if known is None:
            return
        problem = in_words(known)
        if problem is not None and problem != self.problem:
            _log.warning("dependencies.unknown_dags", reason=problem)
        self.problem = problem
        self.unanswered = "; ".join(_unasked(known, awaited=True)) or None

    def rest(self) -> None:
        """Another watcher leads, and says it."""
        self.problem = self.unanswered = None

    def _names(self) -> set[PipelineRef]:
        published = self._cache.published
        revisions = {owner: one.revision for owner, one in published.items()}
        if revisions != self._revisions:
            documents = [one.value.document for one in published.values() if isinstance(one.value, Publication)]
            self._named = {pipeline for document in documents for pipeline in document}
            self._named |= {
                leaf.upstream
                for document in documents
                for downstream in document.values()
                for leaf in leaves(downstream.condition)
            }
            self._revisions = revisions
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
