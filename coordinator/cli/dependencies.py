"""``coordinator dependencies``: the published documents, and earlier versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.connecting import etcd_of
from coordinator.cli.options import ConfigOption, JsonOption, OwnerOption
from coordinator.cli.output import people, print_json, say, table
from coordinator.model.partitions.instants import format_instant

if TYPE_CHECKING:
    from coordinator.commands.publication_history import History, Version

dependencies = typer.Typer(
    name="dependencies",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Show the published dependencies, and what was published before.

    Example: [bold]coordinator dependencies log --owner team_b[/bold]
    """,
)


@dependencies.command()
def log(
    *,
    owner: OwnerOption = "default",
    limit: Annotated[int, typer.Option(min=1, help="Newest versions shown.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the published versions of an owner's document, as far back as etcd keeps them: when, by whom, why.

    Example: [bold]coordinator dependencies log --owner team_b[/bold]
    """
    from coordinator.commands.publication_history import history

    with etcd_of(config) as (store, keys):
        found = history(store, keys, owner, limit=limit)
    if as_json:
        versions = [_version_as_json(version) for version in found.versions]
        print_json({"owner": owner, "versions": versions, "earlier": found.earlier})
    else:
        _print(owner, found)


@dependencies.command()
def show(
    *,
    owner: OwnerOption = "default",
    rev: Annotated[
        int,
        typer.Option("--rev", min=0, help="As it stood at this etcd revision.", show_default="now"),
    ] = 0,
    config: ConfigOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Also who published it, when and why, and since when each is active.")
    ] = False,
) -> None:
    """Print an owner's published document, as a dependencies.json.

    Example: [bold]coordinator dependencies show --rev 57 > before.json[/bold]
    """
    from coordinator.cli.plan_output import published_as_json
    from coordinator.commands.publication_history import readable_version
    from coordinator.model.documents import dump_document

    with etcd_of(config) as (store, keys):
        published, publication = readable_version(store, keys, owner, rev)
    document = dump_document(publication.document)
    if not as_json:
        print_json(document)
        return
    active_since: dict[str, dict[str, Any]] = {}
    for (pipeline, dependency), one in publication.activations(published.revision).items():
        since = {"revision": one.revision, "at": format_instant(one.at) if one.at is not None else None}
        active_since.setdefault(str(pipeline), {})[str(dependency)] = since
    retired = [
        {
            "pipeline": str(pipeline),
            "dependency": dependency,
            "active_since": one.activation.revision,
            "taken_out_at": format_instant(one.at),
            "partitions": list(one.partitions),
            "more": one.more,
        }
        for (pipeline, dependency), one in sorted(publication.retired.items())
    ]
    signed = published_as_json(published) or {}
    print_json({"owner": owner, **signed, "dependencies": document, "active_since": active_since, "retired": retired})


def _version_as_json(version: Version) -> dict[str, Any]:
    from coordinator.cli.plan_output import published_as_json

    changed = version.changed
    return {
        **(published_as_json(version.published) or {}),
        "dependencies_added": None if changed is None else changed.dependencies_added,
        "dependencies_removed": None if changed is None else changed.dependencies_removed,
        "pipelines_begin": None if changed is None else len(changed.begins),
        "pipelines_cease": None if changed is None else len(changed.ceases),
        "pipelines_differ": None if changed is None else len(changed.differs),
    }


def _print(owner: str, found: History) -> None:
    from coordinator.commands.publication_history import Earlier

    if not found.versions:
        say(f"{owner} has published nothing")
        return
    people().print(
        table("version", "revision", "when", "who", "added", "removed", "differ", "why", rows=map(_row, found.versions))
    )
    if found.earlier is Earlier.COMPACTED:
        say("earlier versions are compacted: etcd keeps them no longer")
    elif found.earlier is Earlier.NOT_SHOWN:
        say("there are earlier versions: see them with --limit")


def _row(version: Version) -> tuple[str, ...]:
    from coordinator.model.publishing.publication import Publication

    entry = _version_as_json(version)
    value = version.published.value
    at = value.published_at if isinstance(value, Publication) else None
    if "problem" in entry:
        return ("?", str(entry["revision"]), "", "", "", "", "", f"cannot be read: {entry['problem']}")
    counts = (entry["dependencies_added"], entry["dependencies_removed"], entry["pipelines_differ"])
    return (
        str(entry["version"]),
        str(entry["revision"]),
        format_instant(at.replace(microsecond=0)) if at is not None else "",
        entry["by"],
        *("?" if count is None else str(count) for count in counts),
        entry["why"],
    )
