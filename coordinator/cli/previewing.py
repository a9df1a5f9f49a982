"""``coordinator watch --preview``: what a watcher would do at once if it was started now. Writes nothing."""

from __future__ import annotations

from pathlib import Path

from coordinator.cli.connecting import etcd_of
from coordinator.cli.output import print_json
from coordinator.cli.plan_output import problems_printed
from coordinator.cli.planning import Draft, make_draft, publications_in, terms_of
from coordinator.cli.preview_output import preview_as_json, print_preview
from coordinator.cli.validate import read_file
from coordinator.commands.last_readable import with_last_readable
from coordinator.commands.proposal import Proposal, Publications
from coordinator.commands.publish import refusal
from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.controller.dispatch.dispatcher import limits_by_environment
from coordinator.controller.state.problems import shown
from coordinator.model.graph import CycleFound
from coordinator.reading.preview import Preview, preview
from coordinator.reading.reading import Reading, read
from coordinator.store.presence import read_presence


def show_preview(config: Path | None, dependencies: Path | None, owner: str, *, as_json: bool) -> None:
    """Read etcd once, decide, and print.

    :param dependencies: decide as if this file were published; ``None``: by the published documents.
    :raises typer.Exit: with 1, the file could not be published.
    """
    settings = load_settings(config)
    with problems_printed(owner, as_json=as_json):
        draft = None
        if dependencies is not None:
            draft = make_draft(read_file(dependencies), source=str(dependencies), owner=owner, settings=settings)
        with etcd_of(config) as (store, keys):
            reading = read(store, keys)
            if draft is not None:
                base = with_last_readable(publications_in(reading.cache), owner, store, keys)
                publish_in(reading, draft, base, settings)
    own = dict(reading.problems)
    if (missing := settings.without_environments) is not None:
        own["environments"] = f"{'; '.join(missing)}; without one nothing can be started"
    cache = reading.cache
    problems = shown(own, cache.problems)
    leader = read_presence(cache.leader) if cache.leader is not None else None
    show = preview_of(reading, settings)
    if as_json:
        print_json(preview_as_json(show, revision=cache.revision, leader=leader, problems=problems))
    else:
        print_preview(show, revision=cache.revision, leader=leader, problems=problems)


def preview_of(reading: Reading, settings: Settings) -> Preview:
    """The preview of a reading, with the configured environments."""
    return preview(
        reading,
        missed_after=settings.watcher.missed_after,
        environments=settings.environments,
        environment_limits=limits_by_environment(settings),
    )


def publish_in(reading: Reading, draft: Draft, base: Publications, settings: Settings) -> None:
    """Change the reading as if the draft were published.

    :raises DependenciesError: it would be refused.
    """
    proposal = Proposal(draft.owner, draft.document, base, terms_of(settings), draft.file.serial)
    if objections := proposal.objections():
        raise refusal(draft.source, draft.text, objections)
    if proposal.is_published:
        return
    try:
        graph, conflicts = proposal.graph()
    except CycleFound as error:
        reading.problems["dependencies"] = f"documents of others close a cycle: {error}"
        return
    for number, conflict in enumerate(conflicts, 1):
        reading.problems[f"dependencies ({number})"] = conflict
    if not conflicts:  # otherwise the last good ones stay in force, as in a watcher
        reading.propagation.replace_graph(graph, reading.cache.targets())
