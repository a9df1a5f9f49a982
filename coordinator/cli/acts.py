"""``coordinator acts``: the acts of people."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, pipeline_of
from coordinator.cli.output import people, print_json, say, table


def acts(
    *,
    pipeline: Annotated[str | None, typer.Option(help="Only with this pipeline.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="Newest acts shown.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what people did (hold, release, rerun, mark, fill, forget): when, by whom, why; the newest first.

    Example: [bold]coordinator acts --pipeline team_b/load_customers[/bold]
    """
    from coordinator.commands.acts import recorded_acts
    from coordinator.reading.history import act_as_json

    wanted = pipeline_of(pipeline) if pipeline is not None else None
    with etcd_of(config) as (store, keys):
        found = recorded_acts(store, keys, pipeline=wanted, limit=limit + 1)
    shown = [act_as_json(one) for one in found[:limit]]
    if as_json:
        print_json({"acts": shown, "more": len(found) > limit})
        return
    if not shown:
        say("there are no acts yet" if wanted is None else f"there are no acts on {wanted} yet")
        return
    people().print(table("when", "who", "act", "pipeline", "partition", "why", rows=map(_row, shown)))
    if len(found) > limit:
        say("there are earlier acts: see them with --limit")


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    if "problem" in entry:
        return (entry["id"], "", "", "", "", f"cannot be read: {entry['problem']}")
    act = f"{entry['act']} {entry['what']}" if entry["what"] else entry["act"]
    when = entry["when"][:19] + "Z"
    return (when, entry["who"], act, entry["pipeline"], entry["partition"] or "all", entry["why"])
