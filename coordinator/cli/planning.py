"""The plan of ``plan`` and ``apply``, made before anything is written. Prints nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from coordinator.cli.checkup import ask_environment, tasks_by_environment
from coordinator.commands.impact import NO_EFFECTS, Effects, effects_of
from coordinator.commands.last_readable import with_last_readable
from coordinator.commands.proposal import Proposal, Publications
from coordinator.commands.publish import check_owner, read_publications, refusal
from coordinator.config.settings import Settings
from coordinator.controller.state.cache import Cache
from coordinator.model import bounds
from coordinator.model.assets.names import is_of_assets
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document
from coordinator.model.documents import DependenciesError, DependenciesFile, parse_file
from coordinator.model.graph import CycleFound
from coordinator.model.publishing.consequences import Consequences, consequences, unsettled_decisions
from coordinator.model.publishing.edition import Edition, by_serial
from coordinator.model.publishing.guard import Known, replacements
from coordinator.model.publishing.may_have_ended import may_have_ended
from coordinator.model.publishing.not_met_where_it_ran import not_met_where_it_ran
from coordinator.model.publishing.publication import Retired, content_hash
from coordinator.model.publishing.resuming import Terms
from coordinator.model.publishing.unmet_lately import seen_in, unmet_lately
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Unreadable
from coordinator.model.view import readable_state
from coordinator.reading.reading import Reading, read
from coordinator.runners.port import NO_TASKS, EnvironmentReport
from coordinator.store.keys import Keys
from coordinator.store.port import Store

_AT_ONCE = 8
_TAKES_NO_EFFECT = (
    "until that is corrected the watchers go on with the last documents that could be used, and this takes no effect "
    "either; its owner publishes a good one: coordinator apply FILE --owner OWNER"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A readable file, and the owner of its document."""

    source: str
    text: bytes
    owner: str
    file: DependenciesFile

    @property
    def document(self) -> Document:
        return self.file.document


@dataclass(frozen=True, slots=True)
class Plan:
    """The consequences of publishing a draft.

    :ivar refused: why it cannot be published, with places in the file.
    :ivar consequences: what would happen at once; ``None``: it is unknown, or was not asked for.
    :ivar environments: the reports of the environments about the named pipelines; ``None``: they were not asked.
    :ivar kinds: of the environments, by name.
    :ivar concerns: the guard's reasons to refuse it: it is published only if somebody accepts them.
    :ivar effects: the waiting work that it takes away, and what it may start by resuming.
    """

    draft: Draft
    proposal: Proposal
    refused: DependenciesError | None
    warnings: tuple[str, ...] = ()
    consequences: Consequences | None = None
    environments: dict[str, EnvironmentReport] | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    concerns: tuple[str, ...] = ()
    effects: Effects = NO_EFFECTS

    @property
    def accepted_by_file(self) -> bool:
        """Whether the file itself overrides the guard."""
        return self.draft.file.accept is not None and self.draft.file.accept == self.proposal.version

    @property
    def is_refused(self) -> bool:
        """Whether it cannot be published as it is, without ``--accept``."""
        return self.refused is not None or (bool(self.concerns) and not self.accepted_by_file)

    @property
    def resumes(self) -> dict[tuple[PipelineRef, Dependency], Retired]:
        """The dependencies that resume: they were taken out, and are put back in time."""
        return self.proposal.resumed()


def make_draft(text: bytes, *, source: str, owner: str, settings: Settings) -> Draft:
    """Read a file as an owner's document.

    :raises DependenciesError: it cannot be used, whatever is published.
    :raises ConfigurationError: the owner is no environment.
    """
    # If none is configured, as in a CI that knows only etcd, every environment name is accepted.
    environments = sorted(settings.environments) or None
    if environments is not None:
        check_owner(owner, environments)
    return Draft(source, text, owner, parse_file(text, source=source, environments=environments))


def compare(draft: Draft, store: Store, keys: Keys, *, settings: Settings, fresh: Collection[PipelineRef] = ()) -> Plan:
    """Compare a draft with the published documents only. :param fresh: as for :func:`make_plan`."""
    base = with_last_readable(read_publications(store, keys), draft.owner, store, keys)
    plan = _compared(draft, base, terms_of(settings, fresh))
    return replace(plan, concerns=(*_of_its_order(plan.proposal), *plan.proposal.concerns(Known())))


def _added(proposal: Proposal) -> dict[PipelineRef, tuple[Dependency, ...]]:
    """The dependencies that are new in entries that were there before."""
    return {change.pipeline: change.added for change in proposal.difference().differs if change.added}


def publications_in(cache: Cache) -> Publications:
    """The published documents that were read into a cache."""
    return Publications(cache.published, cache.revision, cache.published_before)


def terms_of(settings: Settings, fresh: Collection[PipelineRef] = ()) -> Terms:
    """The terms of a publication now. :param fresh: pipelines whose dependencies begin again."""
    return Terms(datetime.now(UTC), settings.publication.resume_within, frozenset(fresh))


def make_plan(
    draft: Draft,
    store: Store,
    keys: Keys,
    *,
    settings: Settings,
    offline: bool,
    fresh: Collection[PipelineRef] = (),
) -> Plan:
    """Compare a draft with everything in etcd, and ask the environments about its pipelines.

    :param offline: do not ask the environments.
    :param fresh: pipelines whose dependencies begin again.
    """
    reading = read(store, keys)
    cache = reading.cache
    base = with_last_readable(publications_in(cache), draft.owner, store, keys)
    plan = _compared(draft, base, terms_of(settings, fresh))
    effects = effects_of(plan.proposal, cache, cache.targets())
    unmet = unmet_lately(draft.document.values(), seen_in(cache.targets()))
    warnings = [*_of_the_present(plan.proposal, reading), *map(str, unmet)]
    previous = plan.proposal.previous
    replaced = previous.document if previous is not None else {}
    if (ended := may_have_ended(draft.document, replaced, _running(cache))) is not None:
        warnings.append(ended)
    if not_kept := plan.proposal.not_kept:
        warnings.append(
            f"dependencies that were taken out of the document of {draft.owner} are remembered, so that they can "
            f"resume; publishing this forgets the {not_kept:,} that were taken out longest ago, as {bounds.RETIRED:,} "
            "are kept. If one of those is put back, what completed meanwhile starts nothing: 'coordinator gaps' lists "
            "it then"
        )
    found: Consequences | None = None
    try:
        graph, problems = plan.proposal.graph()
        warnings += [f"{problem}; {_TAKES_NO_EFFECT}" for problem in problems if plan.refused is None]
        before = unsettled_decisions(reading.propagation)
        reading.propagation.replace_graph(graph, reading.cache.targets())
        found = consequences(before, unsettled_decisions(reading.propagation))
        added = {} if plan.proposal.is_published else _added(plan.proposal)
        warnings += not_met_where_it_ran(reading.propagation, cache.recorded(), added)
    except CycleFound as error:
        if plan.refused is None:
            warnings.append(
                f"the documents of other owners close a cycle without this one: {error}; {_TAKES_NO_EFFECT}"
            )
    environments: dict[str, EnvironmentReport] | None = None
    known = Known()
    if (missing := settings.without_environments) is not None:
        found_none, remedy = missing
        warnings.append(f"{found_none}, so names of environments and DAGs were not checked; {remedy}")
    elif not offline:
        gone = _replaced_in(plan.proposal) - _named_in(draft.document)
        asked = _ask_environments(draft.document, gone, settings)
        known = _known_of(asked)
        environments = {name: _without(report, name, gone) for name, report in asked.items()}
    concerns = (
        *_of_its_order(plan.proposal),
        *plan.proposal.concerns(known),
        *effects.concerns(settings.publication.resume_limit),
    )
    return replace(
        plan,
        warnings=tuple(warnings),
        consequences=found,
        environments=environments,
        kinds={name: one.kind for name, one in settings.environments.items()},
        concerns=concerns,
        effects=effects,
    )


def _running(cache: Cache) -> Iterator[Target]:
    """The pipelines with a run that goes on."""
    for target in cache.targets():
        state = readable_state(cache.state(target)) if not target.pipeline.task else None
        if state is not None and not state.state.is_terminal:
            yield target


def _of_its_order(proposal: Proposal) -> Iterator[str]:
    """Why serials forbid it: a person may publish an earlier document again, but not against the order of serials."""
    previous = proposal.previous
    if previous is None or proposal.is_published or not proposal.has_serials:
        return
    ruling = by_serial(proposal.edition, Edition(content_hash(previous.document), previous.serial), proposal.version)
    if ruling.reason:
        yield ruling.reason


def _replaced_in(proposal: Proposal) -> set[PipelineRef]:
    return {gone for one in replacements(proposal.difference()) for gone in one.gone}


def _known_of(reports: dict[str, EnvironmentReport]) -> Known:
    return Known(
        frozenset(PipelineRef(name, dag_id) for name, report in reports.items() for dag_id in report.missing_dags),
        {name: report.problem for name, report in reports.items() if report.problem and not report.says_dags},
    )


def _without(report: EnvironmentReport, name: str, pipelines: Collection[PipelineRef]) -> EnvironmentReport:
    """An environment's report without the pipelines that the draft no longer names."""
    missing, paused = (
        tuple(dag_id for dag_id in dag_ids if PipelineRef(name, dag_id) not in pipelines)
        for dag_ids in (report.missing_dags, report.paused_dags)
    )
    return replace(report, missing_dags=missing, paused_dags=paused)


def _compared(draft: Draft, base: Publications, terms: Terms) -> Plan:
    proposal = Proposal(draft.owner, draft.document, base, terms, draft.file.serial)
    objections = proposal.objections()
    return Plan(draft, proposal, refusal(draft.source, draft.text, objections) if objections else None)


def _of_the_present(proposal: Proposal, reading: Reading) -> list[str]:
    present = proposal.present
    if present is None or proposal.is_published:
        return []
    if isinstance(present.value, Unreadable):
        found = (
            f"the published document of {proposal.owner} (etcd revision {present.revision}) cannot be read: "
            f"{present.value.reason}. Publishing this replaces it"
        )
        if proposal.previous is not None:
            return [f"{found}; its dependencies go on from version {proposal.previous.version}, the last readable one"]
        return [
            f"{found}, and every dependency in it counts completions from then on only; afterwards 'coordinator gaps' "
            "lists what has not run"
        ]
    if present.value.published_by in reading.cache.watchers:
        return [
            f"the watcher {present.value.published_by} publishes a file as the document of {proposal.owner} "
            f"({present.value.why}): this stays in force until that file is edited, which replaces it; make the same "
            "change in that file, or publish from one place only"
        ]
    return []


def _named_in(document: Document) -> set[PipelineRef]:
    return {*document, *(leaf.pipeline for one in document.values() for leaf in leaves(one.condition))}


def _ask_environments(
    document: Document, gone: Collection[PipelineRef], settings: Settings
) -> dict[str, EnvironmentReport]:
    dag_ids: dict[str, set[str]] = {}
    tasks = tasks_by_environment(leaf.upstream for one in document.values() for leaf in leaves(one.condition))
    for pipeline in {*_named_in(document), *gone}:
        if is_of_assets(pipeline):
            continue
        dag_ids.setdefault(pipeline.environment, set()).add(pipeline.dag_id)
    names = sorted(dag_ids.keys() & settings.environments.keys())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reports = pool.map(
            lambda name: ask_environment(
                name, settings.environments[name], sorted(dag_ids[name]), tasks=tasks.get(name, NO_TASKS)
            ),
            names,
        )
        return dict(zip(names, reports, strict=True))
