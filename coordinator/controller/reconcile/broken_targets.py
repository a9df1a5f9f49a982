"""How broken targets are shown: those that cannot be decided or acted on because of a mistake in the coordinator."""

from __future__ import annotations

from coordinator.model.references import Target

SHOWN = 20
"""Broken targets that are named among the problems; one mistake may break every partition of a pipeline."""


def problems_of(broken: dict[Target, Exception]) -> dict[str, str]:
    """The problems to show for broken targets."""
    shown = {
        str(target): f"a mistake in the coordinator, please report it: {type(error).__name__}: {error}; "
        "nothing is started for this partition, and it is tried again every minute"
        for target, error in sorted(broken.items())[:SHOWN]
    }
    if len(broken) > SHOWN:
        shown["more broken targets"] = f"{len(broken) - SHOWN} more are broken: see target.broken in the log"
    return shown
