"""The immediate consequences of another graph, on the present facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.model.decide import Decision
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target


@dataclass(frozen=True, slots=True)
class Consequences:
    """Decisions that would change.

    Adding a dependency never fires for earlier completions, so there are mostly none.

    :ivar would_fire: targets that would fire at once, and do not fire now.
    :ivar would_be_due: targets that would be due without firing at once, and are not due now.
    :ivar no_longer_due: targets that are due now, and would not be.
    """

    would_fire: tuple[Decision, ...]
    would_be_due: tuple[Decision, ...]
    no_longer_due: tuple[Decision, ...]

    def __bool__(self) -> bool:
        return bool(self.would_fire or self.would_be_due or self.no_longer_due)


def unsettled_decisions(propagation: Propagation) -> dict[Target, Decision]:
    """The decisions about all busy and stuck targets, which include all due ones."""
    return {target: propagation.decide(target) for target in propagation.unsettled()}


def consequences(before: Mapping[Target, Decision], after: Mapping[Target, Decision]) -> Consequences:
    """Compare the decisions by two graphs on the same facts, each as :func:`unsettled_decisions` gives them."""
    fires, due, no_longer = [], [], []
    for target in sorted({*before, *after}):
        now, then = before.get(target), after.get(target)
        was_due = now is not None and now.due
        if then is not None and then.fires and not (now is not None and now.fires):
            fires.append(then)
        elif then is not None and then.due and not was_due:
            due.append(then)
        elif now is not None and was_due and not (then is not None and then.due):
            no_longer.append(now)
    return Consequences(tuple(fires), tuple(due), tuple(no_longer))
