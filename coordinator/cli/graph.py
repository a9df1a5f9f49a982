"""``coordinator graph``: which pipelines wait for which, as a tree, or for Graphviz and Mermaid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, pipeline_of
from coordinator.cli.output import print_json, say

if TYPE_CHECKING:
    from coordinator.model.dependency_edges import DependencyEdge


def graph(
    pipeline: Annotated[
        str | None,
        typer.Argument(help="Only what is above this pipeline, and below it.", show_default="all pipelines"),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A dependencies.json; - is stdin.", show_default="what is published"),
    ] = None,
    dot: Annotated[bool, typer.Option("--dot", help="Print DOT, for Graphviz.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print Mermaid, for Markdown.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the dependencies between pipelines as a tree, upstreams first.

    A pipeline with several upstreams is expanded only under the first one. Sensors inside runs
    (PipelineSensor) are included as far as they are known; --file has none.

    Example: [bold]coordinator graph team_b/load_customers --mermaid[/bold]
    """
    from coordinator.cli.failures import ExitCode
    from coordinator.cli.graph_output import as_dot, as_mermaid, edge_as_json, show_tree
    from coordinator.errors import CoordinatorError
    from coordinator.model.alike import alike
    from coordinator.model.dependency_edges import around, pipelines_of

    if dot + mermaid + as_json > 1:
        raise typer.BadParameter("--dot, --mermaid and --json exclude each other: choose one")
    edges, problems = _published(config) if file is None else (_in_file(file), {})
    if pipeline is not None:
        focus = pipeline_of(pipeline)
        if focus not in (known := pipelines_of(edges)):
            near = alike(str(focus), [str(one) for one in known])
            meant = f"did you mean {' or '.join(near)}?" if near else "'coordinator graph' without a pipeline shows all"
            raise CoordinatorError(f"no dependency names {focus}; {meant}")
        edges = around(edges, focus)
    if as_json:
        names = [str(one) for one in pipelines_of(edges)]
        print_json({"pipelines": names, "edges": [edge_as_json(edge) for edge in edges], "problems": problems})
    elif dot:
        typer.echo(as_dot(edges), nl=False)
    elif mermaid:
        typer.echo(as_mermaid(edges), nl=False)
    elif edges:
        show_tree(edges, None if pipeline is None else focus)
    else:
        say("there are no dependencies")
    for place, problem in problems.items() if not as_json else ():
        say(f"{place}: {problem}", err=True)
    if problems:
        raise typer.Exit(ExitCode.PROBLEM)


def _published(config: Path | None) -> tuple[list[DependencyEdge], dict[str, str]]:
    from coordinator.model.dependency_edges import edges_of
    from coordinator.reading.reading import read

    with etcd_of(config) as (store, keys):
        reading = read(store, keys)
    edges = edges_of((node.downstream for node in reading.propagation.graph.nodes()), reading.propagation.graph.sensors)
    return edges, {place: problem for place, problem in reading.problems.items() if place.startswith("dependencies")}


def _in_file(file: Path) -> list[DependencyEdge]:
    from coordinator.cli.validate import read_file
    from coordinator.model.dependency_edges import edges_of
    from coordinator.model.documents import parse_document

    return edges_of(parse_document(read_file(file), source=str(file)).values())
