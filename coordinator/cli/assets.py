"""``coordinator assets``: the asset events that are handed on between environments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.failures import ExitCode
from coordinator.cli.options import ConfigOption, JsonOption, ReasonOption, WhoOption, signature_of
from coordinator.cli.output import print_json, say
from coordinator.model.phrases import counted
from coordinator.model.printable import printable

assets = typer.Typer(
    name="assets",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Show the asset events that are handed on between environments, and try parked ones again.

    Which events are handed on stands in dependencies.json, under 'assets'.

    Example: [bold]coordinator assets list[/bold]
    """,
)

ToOption = Annotated[
    str | None, typer.Option("--to", help="Only those for this environment.", show_default="every environment")
]


@assets.command("list")
def list_(
    *,
    to: ToOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that have arrived.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the events that are on their way, or parked, because the consumer does not take them.

    A parked event is tried again once a minute, and holds up no other. It arrives as soon as the consumer knows the
    asset; 'coordinator assets replay' tries it at once.

    Exit code 1 when events are parked.

    Example: [bold]coordinator assets list --to finance[/bold]
    """
    from coordinator.cli import delivery_list
    from coordinator.reading.reading import read

    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
    found, now = delivery_list.deliveries_in(reading, consumer=to, all_=all_), datetime.now(UTC)
    parked = sum(one.is_parked for one in found)
    if as_json:
        events = [delivery_list.as_json(one, now) for one in found]
        print_json({"revision": reading.cache.revision, "parked": parked, "events": events})
    elif found:
        delivery_list.show(found, now)
    else:
        say("no asset event is on its way")
    if parked:
        raise typer.Exit(ExitCode.PROBLEM)


@assets.command()
def replay(
    events: Annotated[
        list[str] | None, typer.Argument(help="Parked events, as 'list' names them.", show_default=False)
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every parked event.")] = False,
    to: ToOption = None,
    reason: ReasonOption = "",
    who: WhoOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try parked events again at once, for example after the asset was added in the consumer.

    Each arrives once, however often it is replayed.

    Example: [bold]coordinator assets replay --all --to finance --reason "DAG deployed"[/bold]
    """
    from coordinator.cli.delivery_list import deliveries_in
    from coordinator.commands.order import put_order
    from coordinator.model.order import GivenOrder, Order
    from coordinator.reading.reading import read

    if everything == bool(events):
        raise typer.BadParameter("expected either names of parked events, or --all", param_hint="EVENTS")
    signature = signature_of(who, reason)
    given = GivenOrder(Order.RELEASE, who=signature.who, when=signature.when, why=signature.why)
    with etcd_of(config) as (store, keys):
        parked = [one for one in deliveries_in(read(store, keys), consumer=to) if one.is_parked]
        wanted = {*(events or ())}
        if unknown := wanted - {one.event_id for one in parked}:
            raise typer.BadParameter(
                f"not parked: {printable(', '.join(sorted(unknown)))}; see coordinator assets list", param_hint="EVENTS"
            )
        replayed = [one for one in parked if everything or one.event_id in wanted]
        changes = [put_order(store, keys, one.target, given) for one in replayed]
    if as_json:
        print_json(
            {
                "replayed": [
                    {"event": one.event_id, "to": one.target.pipeline.environment, "revision": change.revision}
                    for one, change in zip(replayed, changes, strict=True)
                ]
            }
        )
        return
    say(f"{counted(len(replayed), 'event')} replayed; coordinator assets list shows what becomes of them")
