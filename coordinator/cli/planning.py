"""What ``plan`` and ``apply`` find out before anything is written. Prints nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from coordinator.cli.checkup import ask_environment
from coordinator.model.conditions import leaves
from coordinator.model.consequences import Consequences, consequences, unsettled_decisions
from coordinator.model.dependencies import Document
from coordinator.model.graph import CycleFound
from coordinator.model.parsing import DependenciesError, parse_document
from coordinator.model.runstate import Unreadable
from coordinator.publishing import Proposal, Publications, check_owner, read_publications, refusal
from coordinator.runners.port import EnvironmentReport
from coordinator.settings import Settings
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.watcher.reading import Reading, read

_AT_ONCE = 8
_TAKES_NO_EFFECT = "until that is mended nothing that is published takes effect"


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that can be read, and whose document it is."""

    source: str
    text: bytes
    owner: str
    document: Document


@dataclass(frozen=True, slots=True)
class Plan:
    """What publishing a draft would do.

    :ivar refused: what keeps it from being published, with places in the file.
    :ivar consequences: what would happen at once; ``None`` where that cannot be told, or was not asked for.
    :ivar environments: what they say of the pipelines that are named; ``None`` where they were not asked.
    """

    draft: Draft
    proposal: Proposal
    refused: DependenciesError | None
    warnings: tuple[str, ...] = ()
    consequences: Consequences | None = None
    environments: dict[str, EnvironmentReport] | None = None


def make_draft(text: bytes, *, source: str, owner: str, settings: Settings) -> Draft:
    """Read a file as an owner's document.

    :raises DependenciesError: it cannot be used, whatever is published.
    :raises ConfigurationError: the owner is no environment.
    """
    # Where none is configured, as in a CI that knows etcd alone, any environment's name is taken.
    environments = sorted(settings.environments) or None
    if environments is not None:
        check_owner(owner, environments)
    return Draft(source, text, owner, parse_document(text, source=source, environments=environments))


def weigh(draft: Draft, store: Store, keys: Keys) -> Plan:
    """Hold a draft against what is published, and nothing else."""
    return _weighed(draft, read_publications(store, keys))


def make_plan(draft: Draft, store: Store, keys: Keys, *, settings: Settings, offline: bool) -> Plan:
    """Hold a draft against everything that stands in etcd, and ask the environments about its pipelines.

    :param offline: do not ask them.
    """
    reading = read(store, keys)
    plan = _weighed(draft, Publications(reading.cache.published, reading.cache.revision))
    warnings = [*_of_the_present(plan.proposal, reading)]
    found: Consequences | None = None
    try:
        graph, problems = plan.proposal.graph()
        warnings += [f"{problem}; {_TAKES_NO_EFFECT}" for problem in problems if plan.refused is None]
        before = unsettled_decisions(reading.standings)
        reading.standings.replace_graph(graph, reading.cache.targets())
        found = consequences(before, unsettled_decisions(reading.standings))
    except CycleFound as error:
        if plan.refused is None:
            warnings.append(f"documents of others close a cycle: {error}; {_TAKES_NO_EFFECT}")
    environments = None
    if not settings.environments:
        warnings.append("no environment is configured: names of environments and pipelines were not checked")
    elif not offline:
        environments = _ask_environments(draft.document, settings)
    return Plan(draft, plan.proposal, plan.refused, tuple(warnings), found, environments)


def _weighed(draft: Draft, base: Publications) -> Plan:
    proposal = Proposal(draft.owner, draft.document, base)
    objections = proposal.objections()
    return Plan(draft, proposal, refusal(draft.source, draft.text, objections) if objections else None)


def _of_the_present(proposal: Proposal, reading: Reading) -> list[str]:
    present = proposal.present
    if present is None or proposal.is_published:
        return []
    if isinstance(present.value, Unreadable):
        return [
            f"what {proposal.owner} has published cannot be read ({present.value.reason}); it is replaced, and every "
            "dependency becomes active anew"
        ]
    if present.value.published_by in reading.cache.watchers:
        return [
            f"the watcher {present.value.published_by} publishes a file as the document of {proposal.owner} "
            f"({present.value.why}), and would put that back: change the file instead"
        ]
    return []


def _ask_environments(document: Document, settings: Settings) -> dict[str, EnvironmentReport]:
    dag_ids: dict[str, set[str]] = {}
    for downstream in document.values():
        for pipeline in (downstream.pipeline, *(leaf.upstream for leaf in leaves(downstream.condition))):
            dag_ids.setdefault(pipeline.environment, set()).add(pipeline.dag_id)
    names = sorted(dag_ids)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reports = pool.map(
            lambda name: ask_environment(name, settings.environments[name], sorted(dag_ids[name])), names
        )
        return dict(zip(names, reports, strict=True))
