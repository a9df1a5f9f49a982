"""``coordinator plan``: what would publishing this dependencies.json change?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.failures import ExitCode
from coordinator.cli.options import ConfigOption, JsonOption, OfflineOption, OwnerOption
from coordinator.cli.output import people, print_json


def plan(
    file: Annotated[Path, typer.Argument(help="The file; - reads stdin.")] = Path("dependencies.json"),
    *,
    owner: OwnerOption = "default",
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="For CI. Exit code 0: no difference; 1: it cannot be published; 5: it would change something.",
        ),
    ] = False,
    offline: OfflineOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would change if this file were published: dependencies, cycles, what would fire. Writes nothing.

    Holds the file against all published documents and all run states, and asks the environments whether they know
    its pipelines. Exit code 0 whether or not something would change; 1 when the file cannot be published as it is.

    Example: [bold]coordinator plan dependencies.json --owner team_b --exit-code[/bold]
    """
    from coordinator.cli.plan_output import plan_as_json, print_plan, problems_printed
    from coordinator.cli.planning import make_draft, make_plan
    from coordinator.cli.validate import read_file
    from coordinator.config.loading import load_settings

    settings = load_settings(config)
    with problems_printed(owner, as_json=as_json):
        draft = make_draft(read_file(file), source=str(file), owner=owner, settings=settings)
    with etcd_of(config) as (store, keys), people(stderr=True).status("asking etcd and the environments"):
        made = make_plan(draft, store, keys, settings=settings, offline=offline)
    if as_json:
        print_json(plan_as_json(made))
    else:
        print_plan(made)
    if made.is_refused:
        raise typer.Exit(ExitCode.PROBLEM)
    if exit_code and not made.proposal.is_published:
        raise typer.Exit(ExitCode.DIFFERENT)
