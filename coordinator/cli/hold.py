"""``coordinator hold``: prevents a pipeline from being started until somebody releases it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import (
    ConfigOption,
    JsonOption,
    NewPipelineOption,
    PipelineArgument,
    WhoOption,
    YesOption,
    person,
    pipeline_of,
)
from coordinator.cli.output import hold_in_words, print_json, say

if TYPE_CHECKING:
    from coordinator.model.references import PipelineRef
    from coordinator.store.keys import Keys
    from coordinator.store.port import Store


def hold(
    pipeline: PipelineArgument,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; shown wherever the pipeline is waited for.")],
    new_pipeline: NewPipelineOption = False,
    yes: YesOption = False,
    who: WhoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a pipeline: it is not started, in any partition, until it is released.

    Its upstreams go on, and what it missed is made up for after the release. A run that it has now is left alone.
    Holding it again changes the reason and keeps the time. It starts nothing, so it never asks.

    Example: [bold]coordinator hold team_b/load_customers --reason "bad source file, see T-123"[/bold]
    """
    from coordinator.commands.hold import put_hold
    from coordinator.model.hold import Hold, hold_as_json
    from coordinator.reading.naming import require_pipeline
    from coordinator.reading.reading import read

    del yes  # this never asks; the option exists because all acts have it
    held = pipeline_of(pipeline)
    if not reason.strip():
        raise typer.BadParameter("expected a reason, found nothing", param_hint="--reason")
    wanted = Hold(why=reason, who=who or person(), since=datetime.now(UTC))
    with etcd_of(config) as (store, keys):
        if not new_pipeline and not _is_known(store, keys, held):
            require_pipeline(read(store, keys), held)
        change = put_hold(store, keys, held, wanted)
    if as_json:
        print_json({"pipeline": str(held), "changed": change.changed, **hold_as_json(change.after)})
    elif change.before is None:
        say(f"{held}: held: {hold_in_words(change.after)}")
    elif change.changed:
        say(f"{held}: was held: {hold_in_words(change.before)}; now: {hold_in_words(change.after)}")
    else:
        say(f"{held}: was held already: {hold_in_words(change.after)}")


def _is_known(store: Store, keys: Keys, pipeline: PipelineRef) -> bool:
    """Whether a document names it, or a run of it has been reported: quick for most pipelines."""
    from coordinator.commands.publish import read_publications
    from coordinator.model.conditions import leaves
    from coordinator.model.publishing.publication import Publication

    for published in read_publications(store, keys).by_owner.values():
        if not isinstance(published.value, Publication):
            return True  # it is unknown
        for downstream in published.value.document.values():
            if pipeline in (downstream.pipeline, *(leaf.pipeline for leaf in leaves(downstream.condition))):
                return True
    return any(page.items for page in store.pages(keys.states_of(pipeline)))
