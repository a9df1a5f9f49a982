"""``coordinator ui``: the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import ConfigOption
from coordinator.cli.output import say

if TYPE_CHECKING:
    from coordinator.config.ui import UiSettings


def ui(
    *,
    config: ConfigOption = None,
    listen: Annotated[
        str | None, typer.Option(help="Where it listens: host:port, or a port.", show_default="ui.listen")
    ] = None,
) -> None:
    """Show a page in the browser: what needs a person, why a pipeline runs in a partition, or what it waits for.

    It reads etcd, and changes nothing. SIGTERM and Ctrl-C end it. Airflow links to it from each run where ui.url says
    at which address people reach it.

    Example: [bold]coordinator ui --config coordinator.toml --listen 127.0.0.1:8610[/bold]
    """
    import structlog

    from coordinator.cli.gc_tuning import RareCollections
    from coordinator.config.insecure import insecure_settings
    from coordinator.config.loading import load_settings
    from coordinator.errors import ConfigurationError

    try:
        from coordinator.ui.server import serve
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed, which the page needs; install the extra 'ui': pip install '.[ui]'"
        ) from error

    settings = load_settings(config)
    if listen is not None:
        settings = settings.model_copy(update={"ui": _listening(settings.ui, listen)})
    log = structlog.get_logger(__name__)
    for insecure in insecure_settings(settings):
        log.warning("settings.insecure", reason=insecure.found, remedy=insecure.remedy)
    with RareCollections():
        serve(settings, lambda address: say(f"coordinator ui: {address} (Ctrl-C ends it)"))


def _listening(settings: UiSettings, listen: str) -> UiSettings:
    """The settings with another address. :raises typer.BadParameter: it is none."""
    from pydantic import ValidationError

    try:
        return type(settings)(**{**settings.model_dump(), "listen": listen})
    except ValidationError as error:
        (problem,) = error.errors()
        raise typer.BadParameter(problem["msg"], param_hint="--listen") from None
