"""What another graph would change at once, on what stands in etcd now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.model.decide import Decision
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target


@dataclass(frozen=True, slots=True)
class Consequences:
    """Decisions that would no longer be what they are.

    Adding a dependency never fires for the past, so mostly there are none.

    :ivar would_fire: what would fire at once, and would not now.
    :ivar would_be_due: what would be due to run without firing at once, and is not due now.
    :ivar no_longer_due: what is due to run now, and would not be.
    """

    would_fire: tuple[Decision, ...]
    would_be_due: tuple[Decision, ...]
    no_longer_due: tuple[Decision, ...]

    def __bool__(self) -> bool:
        return bool(self.would_fire or self.would_be_due or self.no_longer_due)


def unsettled_decisions(propagation: Propagation) -> dict[Target, Decision]:
    """Everything that is due, and more: what is settled is not."""
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
