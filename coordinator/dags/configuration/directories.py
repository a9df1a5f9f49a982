"""Where the templates of a configuration are, and where its files go: beside it, and nowhere else.

The configuration and its links may be somebody else's, such as those of a pull request: they choose nothing that is
read or written out of the directory of the configuration. Who runs the command may, with ``--output``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from coordinator.dags.configuration.forms import Configuration
from coordinator.errors import ConfigurationError

_OF_A_VIRTUAL_ENVIRONMENT: Final = "pyvenv.cfg"


def templates_of(file: Path, configuration: Configuration) -> Path:
    """The directory of the templates.

    :param file: of the configuration.
    :raises ConfigurationError: a link leads out of the directory of the file.
    """
    return _beside(file, "templates", configuration.templates, "copy the templates")


def output_of(file: Path, configuration: Configuration) -> Path:
    """The directory to write to.

    :param file: of the configuration.
    :raises ConfigurationError: a link leads out of the directory of the file, or it is in a virtual environment, whose
        Python would run what is written there.
    """
    remedy = "name the place itself with --output"
    output = _beside(file, "output", configuration.output, remedy)
    base, place = _real(file.parent), _real(output)
    for above in (place, *place.parents):
        if above == base:
            break
        if (above / _OF_A_VIRTUAL_ENVIRONMENT).exists():
            raise ConfigurationError(
                f"{file}: output: expected a directory of DAG files, found one of the virtual environment {above}; "
                f"choose another one, or {remedy}"
            )
    return output


def _beside(file: Path, field: str, path: str, remedy: str) -> Path:
    place = file.parent / path
    if not _real(place).is_relative_to(_real(file.parent)):
        raise ConfigurationError(
            f"{file}: {field}: expected a directory beside this file, found that a link leads from {place} to "
            f"{_real(place)}; {remedy}"
        )
    return place


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # where links form a circle Path.resolve raises an error
