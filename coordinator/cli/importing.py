"""``coordinator import``: from the files of other systems to dependencies.json and coordinator.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.options import JsonOption
from coordinator.cli.output import people, print_json, say, table
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.model.imports.imported import Imported

importing = typer.Typer(
    name="import",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Write dependencies.json and coordinator.toml from the files of another system. Nothing is published.

    Example: [bold]coordinator import composer mappings/*.json --environment sales[/bold]
    """,
)

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", help="The directory to write to.", file_okay=False, show_default=True)
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]


@importing.command()
def playground(
    file: Annotated[Path, typer.Argument(help="Child to parent, or to a list of parents.", show_default=False)],
    *,
    output: OutputOption = Path(),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """The playground's dependencies.json: {"child": "parent", "other": ["parent", "child"]}.

    Example: [bold]coordinator import playground old/dependencies.json --output new[/bold]
    """
    from coordinator.model.imports.playground import import_playground

    _write(import_playground(str(file), _text_of(file)), output, force=force, as_json=as_json)


@importing.command()
def composer(
    mappings: Annotated[list[Path], typer.Argument(help="Workflow mappings and URL mappings.", show_default=False)],
    *,
    environment: Annotated[
        str, typer.Option(help="The environment of the source workflows, which the files do not name.")
    ] = "default",
    output: OutputOption = Path(),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cloud Composer's mappings: {workflow_id}.json and composer-url-mapping-{env}.json, unchanged.

    Example: [bold]coordinator import composer mappings/*.json --environment sales --output new[/bold]
    """
    from coordinator.model.imports.composer import import_composer

    files = [(str(one), _text_of(one)) for one in sorted(mappings)]
    _write(import_composer(files, environment=environment), output, force=force, as_json=as_json)


def _text_of(file: Path) -> str:
    from coordinator.errors import ConfigurationError

    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 text") from error


def _write(imported: Imported, output: Path, *, force: bool, as_json: bool) -> None:
    from coordinator.cli.failures import ExitCode
    from coordinator.errors import ConfigurationError, CoordinatorError
    from coordinator.model.documents import parse_document

    document, configuration = output / "dependencies.json", output / "coordinator.toml"
    texts = {document: imported.document(), configuration: imported.configuration()}
    problem = None
    try:
        _check_configuration(texts[configuration], configuration)
        parse_document(texts[document], source=str(document), environments={"default", *imported.environments})
    except CoordinatorError as error:
        problem = str(error)
    there = [path for path in texts if path.exists()]
    if there and not force:
        raise ConfigurationError(f"{', '.join(map(str, there))} already exist; use --force to overwrite")
    output.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    if as_json:
        print_json(_as_json(imported, texts, problem))
    else:
        _show(imported, texts, problem)
    if problem is not None or imported.left:
        raise typer.Exit(ExitCode.PROBLEM)


def _check_configuration(text: str, file: Path) -> None:
    """Read it back. No variables are read with it: they concern another configuration.

    :raises ConfigurationError: the settings would be refused.
    """
    import tomllib

    from pydantic import TypeAdapter, ValidationError

    from coordinator.config.environments import EnvironmentName
    from coordinator.config.kinds import AnyEnvironment
    from coordinator.errors import ConfigurationError

    environments = tomllib.loads(text)["environments"]
    try:
        TypeAdapter(dict[EnvironmentName, AnyEnvironment]).validate_python(environments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, ("environments", *first["loc"])))
        raise ConfigurationError(f"{file}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def _as_json(imported: Imported, texts: dict[Path, str], problem: str | None) -> dict[str, Any]:
    return {
        "written": [str(path) for path in texts],
        "pipelines": len(imported.dependencies),
        "environments": sorted(imported.environments),
        "not_carried_over": [{"place": one.place, "what": one.what} for one in imported.left],
        "to_look_at": [{"place": one.place, "what": one.what} for one in imported.changed],
        "to_set": imported.to_set,
        "problem": problem,
    }


def _show(imported: Imported, texts: dict[Path, str], problem: str | None) -> None:
    for title, remarks in (("not carried over", imported.left), ("to look at", imported.changed)):
        if remarks:
            people().print(table("where", title, rows=((one.place, one.what) for one in remarks)))
    if problem is not None:
        say(f"the result needs to be corrected: {problem}", err=True, lines=True)
    document, configuration = texts
    names = " and ".join(map(str, texts))
    say(
        f"written: {names}: {counted(len(imported.dependencies), 'pipeline')}, "
        f"{counted(len(imported.environments), 'environment')}"
    )
    to_set = "; ".join(["[etcd] endpoints and credentials", *imported.to_set])
    say(f"next: set {to_set}; then run: coordinator validate {document} --config {configuration}")
