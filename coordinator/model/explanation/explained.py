"""The whole explanation of a pipeline in a partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from coordinator.model.decide import Decision
from coordinator.model.explanation.causes import Cause, causes_of, why_unsettled
from coordinator.model.explanation.headline import MOVING, headline, reason
from coordinator.model.explanation.items import ItemShown, items_of
from coordinator.model.explanation.outlook import outlook
from coordinator.model.explanation.tree import Line, tree
from coordinator.model.explanation.waits import WaitingSensor
from coordinator.model.explanation.words import LISTED, asked_for, did, listed, named, sensor_name
from coordinator.model.hold import Hold
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.runstate import State, Unreadable
from coordinator.model.view import Readiness, SeenOrder, SeenRecord, SeenState, readable_state


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that the rule used, and what follows from it.

    :ivar lines: the condition as a tree; empty for a pipeline that waits for nothing.
    :ivar causes: why it does not fire, followed up to the first reasons; empty when it fires, or need not fire.
    :ivar outlook: what would make it fire.
    :ivar waiting: the sensors of its runs that have no answer yet.
    :ivar items: those over whose rows it fans out.
    """

    decision: Decision
    state: SeenState | None
    record: SeenRecord | None
    order: SeenOrder | None
    hold: Hold | Unreadable | None
    lines: tuple[Line, ...]
    causes: tuple[Cause, ...]
    outlook: str
    waiting: tuple[WaitingSensor, ...] = ()
    items: tuple[ItemShown, ...] = ()

    @property
    def headline(self) -> str:
        return headline_of_run(self.decision, self.waiting, self.state)

    def because(self) -> Iterator[str]:
        """The causes as sentences; of many causes of one kind, only some are named."""
        target = self.decision.target
        groups: dict[tuple[object, ...], list[Cause]] = {}
        for cause in self.causes:
            groups.setdefault((cause.target.pipeline, cause.kind), []).append(cause)
        for group in groups.values():
            yield from (cause.sentence(target) for cause in group[:LISTED])
            if len(group) > LISTED:
                yield f"{group[0].target.pipeline}: {group[0].kind} in {len(group) - LISTED} more partitions"

    def remedies(self) -> list[str]:
        """The remedies for people, each once."""
        target = self.decision.target
        return list(
            dict.fromkeys(
                f"{cause.target.pipeline if cause.target.partition == target.partition else cause.target}: "
                f"{cause.remedy}"
                for cause in self.causes
                if cause.remedy
            )
        )

    def remedies_in_short(self) -> list[str]:
        """The same for a terminal: only the first ones."""
        every = self.remedies()
        more = len(every) - LISTED
        return every if more <= 0 else [*every[:LISTED], f"and {more} more: see them with --json"]


def headline_of_run(decision: Decision, waiting: Sequence[WaitingSensor], seen: SeenState | None) -> str:
    """The decision in one sentence; of a run whose sensors wait, what they wait for; of one that has failed, why.

    :param seen: the state of the target.
    """
    if waiting and not MOVING.isdisjoint(decision.obstacles):
        names = listed([sensor_name(one.ref) for one in waiting])
        upstreams = listed([named(one.wait.upstream, decision.target) for one in waiting])
        sensors = "its sensor {} waits" if len(waiting) == 1 else "its sensors {} wait"
        return f"{decision.target} runs, and {sensors.format(names)} for {upstreams}"
    state = readable_state(seen)
    if state is not None and state.state is State.FAILED and decision.readiness is Readiness.SETTLED:
        return f"{decision.target} {did(state, in_run=False)}; it {reason(decision)}"
    return headline(decision)


def _outlook_of_run(propagation: Propagation, decision: Decision, waiting: Sequence[WaitingSensor]) -> str:
    """The same for the outlook."""
    if not waiting or MOVING.isdisjoint(decision.obstacles):
        return outlook(propagation, decision)
    passes = [
        f"{sensor_name(one.ref)} passes when {named(one.wait.upstream, decision.target)} {asked_for(one.wait.on)}"
        for one in waiting
    ]
    goes_on = f"Its run goes on: {listed(passes)}."
    return goes_on if decision.evaluated is None else f"{goes_on} {outlook(propagation, decision)}"


def explain(
    propagation: Propagation, target: Target, *, known: bool = True, waiting: Sequence[WaitingSensor] = ()
) -> Explanation:
    """Explain the state of a pipeline in a partition.

    :param propagation: up to date with the contents of etcd.
    :param known: something has this partition. Where nothing has it, its name is most likely mistyped: then nobody is
        told to run or to report anything in it, which would make a false state.
    :param waiting: the sensors of its runs that have no answer yet.
    """
    decision = propagation.decide(target)
    why = partial(why_unsettled, propagation)
    causes = () if decision.fires else causes_of(propagation, decision, known=known)
    of_sensors = {(cause.target, cause.kind): cause for one in waiting for cause in one.causes}
    of_itself = {(cause.target, cause.kind) for cause in causes}
    return Explanation(
        decision=decision,
        state=propagation.state(target),
        record=propagation.record(target),
        order=propagation.order(target),
        hold=propagation.hold(target.pipeline) or propagation.hold(target.pipeline.fanned_out),
        lines=tuple(tree(decision.evaluated, target, why)) if decision.evaluated is not None else (),
        causes=(*causes, *(cause for place, cause in of_sensors.items() if place not in of_itself)),
        outlook=_outlook_of_run(propagation, decision, waiting),
        waiting=tuple(waiting),
        items=items_of(propagation, target),
    )
