"""What a publication does with the activation of each dependency: kept, resumed, retired, or new.

Pure: the rule beside the values of :mod:`coordinator.model.publishing.publication`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.model import bounds
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document
from coordinator.model.partitions.instants import partition_order
from coordinator.model.publishing.publication import Activation, DependencyName, Publication, Retired
from coordinator.model.references import PipelineRef

RESUME_WITHIN = timedelta(days=7)
"""How long a dependency may be taken out and still resume: the default of ``publication.resume_within``."""

SHOWN_WAITING = 20
"""Partitions that a retired dependency names."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a publication.

    :ivar at: when.
    :ivar resume_within: how long a dependency may have been taken out and still resume.
    :ivar fresh: pipelines whose dependencies all begin again: nothing is kept, nothing resumes.
    """

    at: datetime
    resume_within: timedelta = RESUME_WITHIN
    fresh: frozenset[PipelineRef] = frozenset()


def publish(
    document: Document,
    previous: Publication | None,
    previous_revision: int,
    terms: Terms,
    *,
    others: Collection[Publication] = (),
    waiting: Mapping[DependencyName, Collection[str]] | None = None,
) -> Publication:
    """The publication of a document, in which dependencies keep their activation, or resume with it.

    :param previous: the present publication of this owner, at ``previous_revision``.
    :param others: the publications of other owners: their retired dependencies may resume here.
    :param waiting: for dependencies that are taken out: partitions that were due, waiting or in flight.
    :returns: a publication with at most ``bounds.RETIRED`` retired dependencies: those that were taken out last.
    """
    active = previous.activations(previous_revision) if previous is not None else {}
    retired = {
        name: one
        for name, one in (previous.retired.items() if previous is not None else ())
        if _may_resume(one, terms) and name[0] not in terms.fresh
    }
    resumable = _newest_retired([retired, *(one.retired for one in others)], terms)
    kept: dict[tuple[PipelineRef, Dependency], Activation] = {}
    named: set[DependencyName] = set()
    for pipeline, downstream in document.items():
        for leaf in leaves(downstream.condition):
            identity = leaf.identity
            name = (pipeline, str(identity))
            named.add(name)
            if pipeline in terms.fresh:
                continue
            if (pipeline, identity) in active:
                kept[pipeline, identity] = active[pipeline, identity]
            elif name in resumable:
                kept[pipeline, identity] = resumable[name].activation
    for (pipeline, identity), activation in active.items():
        name = (pipeline, str(identity))
        partitions = sorted((waiting or {}).get(name, ()), key=partition_order)
        shown = tuple(partitions[:SHOWN_WAITING])
        retired[name] = Retired(activation, terms.at, shown, len(partitions) - len(shown))
    version = previous.version + 1 if previous is not None else 1
    may_resume = {name: one for name, one in retired.items() if name not in named}
    not_kept = max(0, len(may_resume) - bounds.RETIRED)
    if not_kept:
        newest = sorted(may_resume, key=lambda name: _age(may_resume[name]), reverse=True)
        may_resume = {name: may_resume[name] for name in newest[: bounds.RETIRED]}
    return Publication(document, kept, retired=may_resume, version=version, not_kept=not_kept)


def resumed(
    document: Document, previous: Publication | None, terms: Terms, *, others: Collection[Publication] = ()
) -> dict[tuple[PipelineRef, Dependency], Retired]:
    """The dependencies that publishing a document would resume: put back in time. Arguments as for :func:`publish`."""
    before = {
        (pipeline, leaf.identity)
        for pipeline, downstream in (previous.document.items() if previous is not None else ())
        for leaf in leaves(downstream.condition)
    }
    retired = [one.retired for one in ((previous, *others) if previous is not None else others)]
    resumable = _newest_retired(retired, terms)
    return {
        (pipeline, leaf.identity): resumable[pipeline, str(leaf.identity)]
        for pipeline, downstream in document.items()
        if pipeline not in terms.fresh
        for leaf in leaves(downstream.condition)
        if (pipeline, leaf.identity) not in before and (pipeline, str(leaf.identity)) in resumable
    }


def _may_resume(one: Retired, terms: Terms) -> bool:
    return abs(terms.at - one.at) <= terms.resume_within  # another clock may be ahead, but not by so much


def _newest_retired(retired: Iterable[Mapping[DependencyName, Retired]], terms: Terms) -> dict[DependencyName, Retired]:
    """The retired dependencies of several documents, each as it was retired last."""
    found: dict[DependencyName, Retired] = {}
    for of_one in retired:
        for name, one in of_one.items():
            known = found.get(name)
            if _may_resume(one, terms) and (known is None or _age(known) < _age(one)):
                found[name] = one
    return found


def _age(one: Retired) -> tuple[datetime, int]:
    return one.at, one.activation.revision
