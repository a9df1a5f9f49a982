"""Why a deploy does not happen, or not to its end."""

from __future__ import annotations

from coordinator.errors import CoordinatorError


class DeployError(CoordinatorError):
    """Somebody else is, or was, at work in the target. The message says what to do."""


class TargetUnavailable(CoordinatorError):
    """The target gives no answer, or not the expected one: the same command goes on later."""


class TargetRefused(CoordinatorError):
    """The target answers, and says no."""
