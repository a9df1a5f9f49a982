"""The sections ``environments.<name>`` of the kind ``datafusion``."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from coordinator.config.environments import EnvironmentSettings
from coordinator.config.sections import PositiveDuration, Section
from coordinator.config.web_address import web_address

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,249}")
OURS = "coordinator."
"""How the names of the arguments begin that the runner sets."""


def _pipeline_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            "is not a name of a pipeline; expected up to 100 ASCII letters, digits, '_', '-' and '.', and a letter, "
            "digit or '_' first"
        )
    return name


def _id(name: str) -> str:
    if _ID.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not an id of CDAP; expected ASCII letters, digits, '_', '-' and '.'")
    return name


def _argument_name(name: str) -> str:
    if not name or name.startswith(OURS):
        raise ValueError(f"is not a name of an argument; expected one that does not begin with {OURS!r}")
    return name


def _address(url: str) -> str:
    # Credentials in an address would end up in messages, also in the one that refuses them.
    if "@" in url:
        raise ValueError('holds credentials; Data Fusion takes those of login = "google"')
    return web_address(url)


PipelineName = Annotated[str, AfterValidator(_pipeline_name)]
CdapId = Annotated[str, AfterValidator(_id)]
ArgumentName = Annotated[str, AfterValidator(_argument_name)]
Address = Annotated[str, AfterValidator(_address)]


class Pipeline(Section):
    """A workflow of an application.

    :ivar app: the application; a pipeline of Data Fusion's Studio is one.
    :ivar program: its workflow.
    :ivar arguments: runtime arguments of each of its runs.
    :ivar timeout: a run is stopped when it has taken so long; ``None``: it may take any time.
    """

    app: CdapId
    program: CdapId = "DataPipelineWorkflow"
    arguments: dict[ArgumentName, str] = Field(default_factory=dict)
    timeout: PositiveDuration | None = None


class DataFusionSettings(EnvironmentSettings):
    """A namespace of a Cloud Data Fusion instance, or of another CDAP.

    :ivar url: of the API, without ``/v3``; ``apiEndpoint`` of an instance of Data Fusion.
    :ivar login: ``google``, the application default credentials; or ``none``.
    :ivar listed_within: a run that was started and is not listed after so long does not exist.
    :ivar look_back: runs that were started earlier are not found any more.
    :ivar pipelines: by name.
    """

    kind: Literal["datafusion"]
    url: Address
    namespace: CdapId = "default"
    login: Literal["google", "none"] = "google"
    ca_cert: Path | None = None
    listed_within: PositiveDuration = timedelta(minutes=2)
    look_back: PositiveDuration = timedelta(days=30)
    pipelines: Annotated[dict[PipelineName, Pipeline], Field(min_length=1)]

    @property
    def credentials_go_to(self) -> str:
        return self.url
