"""``coordinator waits``: the sensors that wait inside runs, and what each still waits for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, pipeline_of
from coordinator.cli.output import print_json, say


def waits(
    pipeline: Annotated[
        str | None,
        typer.Argument(help="Only sensors of this pipeline, or for it.", show_default="all pipelines"),
    ] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Include sensors that have resumed, or were refused.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List waiting sensors (PipelineSensor), why they wait, and what to do.

    Example: [bold]coordinator waits team_b/load_customers --all[/bold]
    """
    from coordinator.cli.wait_list import show_waits, wait_as_json, waits_of
    from coordinator.config.loading import load_settings
    from coordinator.model.waits import SENSORS
    from coordinator.reading.reading import NOBODY_LEADS, read
    from coordinator.reading.unresumed_sensors import unresumed_in
    from coordinator.reading.waiting_sensors import waiting_sensors

    wanted = None if pipeline is None else pipeline_of(pipeline)
    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
    if wanted is not None:
        reading.require(wanted)
    now, environments = datetime.now(UTC), load_settings(config).environments
    waits_ = waits_of(reading, wanted, all_=all_)
    waiting = {one.ref: one for one in waiting_sensors(reading, waits_, environments=environments)}
    unresumed = unresumed_in(reading)
    found = [wait_as_json(reading, one, now, waiting=waiting.get(one.ref), unresumed=unresumed) for one in waits_]
    more = [f"{place}: {problem}" for place, problem in unresumed.items() if place.startswith(SENSORS[1])]
    if as_json:
        print_json({"revision": reading.cache.revision, "waits": found, "more_unresumed": more})
        return
    if found:
        show_waits(found)
    else:
        say("no sensor waits")
    for line in more:
        say(line)
    if reading.cache.leader is None and found:
        say(NOBODY_LEADS, err=True)
