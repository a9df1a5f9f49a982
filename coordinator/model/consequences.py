"""What another graph would change at once, on what stands in etcd now."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.model.decide import Decision
from coordinator.model.standings import Standings


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


def consequences(before: Standings, after: Standings) -> Consequences:
    """Compare the decisions by two graphs on the same facts.

    :param before: everything in it has been decided, as in ``after``.
    """
    fire, due, no_longer = [], [], []
    # Whatever is due, by either graph, is not settled.
    for target in sorted({*before.unsettled(), *after.unsettled()}):
        now, then = before.decide(target), after.decide(target)
        if then.fires and not now.fires:
            fire.append(then)
        elif then.due and not now.due:
            due.append(then)
        elif now.due and not then.due:
            no_longer.append(now)
    return Consequences(tuple(fire), tuple(due), tuple(no_longer))
