"""What a view is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response

from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.ui.live import Live
from coordinator.ui.questions import Questions


@dataclass(frozen=True, slots=True)
class Api:
    """:ivar limits: of the environments, as they are configured here."""

    questions: Questions
    live: Live
    limits: Mapping[str, EnvironmentLimits]


@dataclass(frozen=True, slots=True)
class Page:
    """:ivar show: the HTML page, with a status. :ivar path: what addresses of the page begin with."""

    show: Callable[[HTTPStatus], Response]
    path: str
