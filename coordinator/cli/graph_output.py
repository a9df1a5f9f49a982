"""How ``coordinator graph`` writes edges: a tree for people, DOT, Mermaid, JSON."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from rich.tree import Tree

from coordinator.cli.output import line, people
from coordinator.model.dependency_edges import DependencyEdge, pipelines_of
from coordinator.model.printable import printable
from coordinator.model.references import PipelineRef


def edge_as_json(edge: DependencyEdge) -> dict[str, Any]:
    """An edge, as an object."""
    dependency = edge.dependency
    return {
        "upstream": str(edge.upstream.whole),
        "task": edge.upstream.task or None,
        "downstream": str(edge.downstream),
        "sensor": dependency is None,
        "on": str(dependency.on) if dependency is not None else None,
        "mapping": str(dependency.mapping) if dependency is not None else None,
        "trigger": dependency.trigger if dependency is not None else None,
    }


def show_tree(edges: Sequence[DependencyEdge], focus: PipelineRef | None) -> None:
    """A tree from each pipeline that waits for none, down. :param focus: it stands out."""
    console = people()
    for tree in _trees(edges, focus):
        console.print(tree)


def _trees(edges: Sequence[DependencyEdge], focus: PipelineRef | None) -> Iterable[Tree]:
    below: dict[PipelineRef, dict[PipelineRef, list[str]]] = {}
    for edge in edges:
        labels = below.setdefault(edge.upstream.whole, {}).setdefault(edge.downstream, [])
        labels += [edge.label] if edge.label else []
    downstreams = {edge.downstream for edge in edges}
    names = pipelines_of(edges)
    shown: set[PipelineRef] = set()
    # Those on a cycle that goes back in time may have nothing above them but each other.
    for top in (*(one for one in names if one not in downstreams), *names):
        if top in shown:
            continue
        shown.add(top)
        tree = Tree(_name(top, focus))
        to_visit = [(top, tree)]
        while to_visit:
            pipeline, branch = to_visit.pop()
            added = []
            for downstream, labels in sorted(below.get(pipeline, {}).items(), key=lambda item: str(item[0])):
                text = _name(downstream, focus)
                if labels:
                    text.append(f"  {printable(', '.join(labels))}", style="dim")
                if downstream in shown and below.get(downstream):
                    text.append("  (see above)", style="dim")
                twig = branch.add(text)
                if downstream not in shown:
                    shown.add(downstream)
                    added.append((downstream, twig))
            to_visit += reversed(added)
        yield tree


def _name(pipeline: PipelineRef, focus: PipelineRef | None) -> Any:
    return line(str(pipeline), "bold" if pipeline == focus else "")


def as_dot(edges: Sequence[DependencyEdge]) -> str:
    """A digraph in Graphviz's language, with a cluster for each environment."""
    lines = ["digraph dependencies {", "  rankdir=LR;", "  node [shape=box];"]
    for number, (environment, pipelines) in enumerate(_by_environment(edges)):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_quoted(environment)};")
        lines += [f"    {_quoted(str(one))} [label={_quoted(one.dag_id)}];" for one in pipelines]
        lines.append("  }")
    for edge in edges:
        more = [f"label={_quoted(edge.label)}"] if edge.label else []
        more += ["style=dashed"] if edge.dependency is None or not edge.dependency.trigger else []
        shown = f" [{', '.join(more)}]" if more else ""
        lines.append(f"  {_quoted(str(edge.upstream.whole))} -> {_quoted(str(edge.downstream))}{shown};")
    return "\n".join([*lines, "}", ""])


def as_mermaid(edges: Sequence[DependencyEdge]) -> str:
    """A flowchart in Mermaid's language, with a subgraph for each environment."""
    ids = {pipeline: f"p{number}" for number, pipeline in enumerate(pipelines_of(edges))}
    lines = ["flowchart LR"]
    for number, (environment, pipelines) in enumerate(_by_environment(edges)):
        lines.append(f"  subgraph e{number}[{_escaped(environment)}]")
        lines += [f"    {ids[one]}[{_escaped(one.dag_id)}]" for one in pipelines]
        lines.append("  end")
    for edge in edges:
        arrow = "-.->" if edge.dependency is None or not edge.dependency.trigger else "-->"
        label = f"|{_escaped(edge.label)}|" if edge.label else ""
        lines.append(f"  {ids[edge.upstream.whole]} {arrow}{label} {ids[edge.downstream]}")
    return "\n".join([*lines, ""])


def _by_environment(edges: Sequence[DependencyEdge]) -> Iterable[tuple[str, list[PipelineRef]]]:
    found: dict[str, list[PipelineRef]] = {}
    for pipeline in pipelines_of(edges):
        found.setdefault(pipeline.environment, []).append(pipeline)
    return sorted(found.items())


def _quoted(text: str) -> str:
    """A string of DOT: only quotation marks and backslashes mean something in it."""
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """A text of Mermaid, in which what means something in HTML is spelled as an entity code."""
    numbered = printable(text).replace("#", "#35;")
    return f'"{html.escape(numbered).replace("&", "#")}"'
