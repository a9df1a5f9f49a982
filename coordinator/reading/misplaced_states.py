"""Misplaced states: completions under an environment that nobody has, of a DAG that another environment has.

That is what a reporter leaves behind that had a wrong environment name for a while. Once the name is corrected, nothing
else shows that what depends on these runs was not started.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.model.references import PipelineRef, Target
    from coordinator.model.runstate import RunState
    from coordinator.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class _Misplaced:
    """:ivar there: where the completion stands. :ivar here: where it probably belongs."""

    there: Target
    here: Target


def misplaced_states(reading: Reading, configured: Collection[str]) -> dict[str, str]:
    """The problems that need somebody's action, by ``states of <environment>``.

    :param configured: the configured environments.
    """
    from coordinator.model.assets.names import is_of_assets

    named: dict[str, list[PipelineRef]] = defaultdict(list)
    for pipeline in reading.propagation.graph:
        if not is_of_assets(pipeline):
            named[pipeline.dag_id].append(pipeline)
    known = {*configured, *(pipeline.environment for pipeline in reading.propagation.graph)}
    found: dict[str, list[_Misplaced]] = defaultdict(list)
    for target in reading.cache.targets():
        environment = target.pipeline.environment
        if environment not in known:
            found[environment] += _of(reading, target, named.get(target.pipeline.dag_id, ()))
    return {f"states of {name}": _in_words(name, found[name]) for name in sorted(found) if found[name]}


def _of(reading: Reading, there: Target, namesakes: Collection[PipelineRef]) -> list[_Misplaced]:
    """:param namesakes: the pipelines of that DAG in documents."""
    from coordinator.model.references import Target
    from coordinator.model.runstate import State

    state = _state(reading, there)
    if state is None or state.state is not State.SUCCESS:
        return []
    places = [Target(pipeline, there.partition) for pipeline in namesakes]
    return [_Misplaced(there, here) for here in places if _is_newer(state, _state(reading, here))]


def _is_newer(state: RunState, other: RunState | None) -> bool:
    if other is None:
        return True
    mine, its = state.attempt.queued_at, other.attempt.queued_at
    return mine is not None and its is not None and mine > its


def _state(reading: Reading, target: Target) -> RunState | None:
    from coordinator.model.runstate import RunState

    seen = reading.cache.state(target)
    return seen.value if seen is not None and isinstance(seen.value, RunState) else None


def _in_words(environment: str, found: list[_Misplaced]) -> str:
    one = min(found, key=lambda misplaced: misplaced.there)
    partition = one.there.partition
    return (
        f"{counted(len(found), 'completion stands', 'completions stand')} under {environment}, which is neither "
        f"configured nor in a document: {one.there} for one, and {one.here.pipeline} has not completed there. If its "
        f"reporter had a wrong name: coordinator report '{one.here.pipeline}' success -p '{partition}' for each (or "
        f"clear the run in Airflow). Then, or if it is of no interest: coordinator forget '{one.there.pipeline}' "
        f"'{partition}'"
    )
