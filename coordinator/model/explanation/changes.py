"""The changes between an intent and the present decision, which is why the intent is withdrawn."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.consumption import Consumption
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import EvaluatedInput, all_inputs
from coordinator.model.explanation.words import listed, named, state_of
from coordinator.model.view import readable_state


def what_changed(before: Consumption, decision: Decision, *, ordered: int = 0) -> str:
    """Say why a decision differs from the one that used these inputs.

    :param before: the completions that the intent uses.
    :param decision: the present one. That the target is in flight is no change: it is so because of the intent itself.
    :param ordered: etcd revision of the person's order that the intent carries out.
    """
    changes = list(_changes(before, decision))
    if decision.order != ordered:
        changes.append("a person has given another order" if decision.order else "the person's order was taken back")
    return listed(changes, "; ") or "it is not due any more"


def _changes(before: Consumption, decision: Decision) -> Iterator[str]:
    target = decision.target
    if decision.evaluated is None:
        if len(before):
            yield "it waits for nothing any more"
        return
    present = {one.target: one for one in all_inputs(decision.evaluated)}
    for upstream in before.targets():
        one = present.get(upstream)
        if one is None:
            yield f"{named(upstream, target)} is no input of it any more"
        elif not one.holds:
            yield f"{named(upstream, target)} {_why_not(one)}"
        elif not _is_used(before, one):
            yield f"{named(upstream, target)} has completed again, at revision {one.seen and one.seen.revision}"
    for one in present.values():
        used = before.get(one.target) is not None
        if not used and one.busy:
            yield f"it waits for {named(one.target, target)}"
        elif not used and one.target in decision.inputs:
            yield f"{named(one.target, target)} is used too"
    for obstacle in sorted(decision.obstacles - {Obstacle.IN_FLIGHT}):
        yield f"it is {obstacle}"


def _why_not(one: EvaluatedInput) -> str:
    state = readable_state(one.seen)
    if state is not None and state.state.is_terminal and one.met:
        return f"is {one.readiness}"
    return f"is {state_of(one.seen)}"


def _is_used(before: Consumption, one: EvaluatedInput) -> bool:
    state = readable_state(one.seen)
    return one.seen is not None and state is not None and before.knows(one.target, state, one.seen.used_up_to)
