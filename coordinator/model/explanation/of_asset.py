"""Why an asset is not ready: because of the runs that emit it."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.assets.completions import AssetCompletion, failed_producers
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.model.view import Readiness, readable_state

EMIT_IT = (
    "let a DAG run that emits it in this partition, or emit it by hand there, with this partition_key (coordinator "
    "doctor says whether its environment tells of asset events)"
)
"""The remedy where nothing has emitted it."""

ON_ITS_WAY = "has come of none of the newest runs that emit it; it may still be on its way"


def producers_in_the_way(propagation: Propagation, asset: Target) -> Iterator[Target]:
    """What emits it, and runs, is due to run or is stuck, or has failed before it emitted it again."""
    known = readable_state(propagation.state(asset))
    if not isinstance(known, AssetCompletion):
        return
    unready = [one for one in known.producers if propagation.readiness(one) is not Readiness.SETTLED]
    yield from unready
    if not unready:
        yield from failed_producers(propagation, known)


def has_failed(propagation: Propagation, producer: Target) -> bool:
    """Whether it is at rest, and its run has failed."""
    run = readable_state(propagation.state(producer))
    at_rest = propagation.readiness(producer) is Readiness.SETTLED
    return at_rest and run is not None and run.state is State.FAILED
