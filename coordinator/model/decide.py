"""The rule that decides (design section 4). Pure: no I/O, no clock, no log.

**D fires in k when its condition holds over the inputs that count, at least one input of the branches that
hold is new, no other branch of its condition is still coming, and D is not held, not in flight, and not itself
queued or running.**

The rule was model-checked. Each simplification of it breaks a case of ``tests/worlds/cases.py``; the comments
below name which.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.model.dependencies import Rerun, Settle
from coordinator.model.graph import Graph
from coordinator.model.judgement import (
    Judged,
    JudgedInput,
    inputs_that_hold,
    inputs_that_would_hold,
    judge,
)
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Consumed, Status, TriggerRecord
from coordinator.model.view import SeenRecord, SeenState, Standing, View


class Obstacle(enum.StrEnum):
    """What keeps a pipeline that is due from firing, besides its inputs."""

    HELD = "held"
    IN_FLIGHT = "in flight"
    RUNNING = "queued or running"
    BLOCKED = "blocked"
    UNREADABLE_RECORD = "kept back by a trigger record that cannot be read"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rule says about a pipeline in a partition, and why.

    :ivar due: it would fire now, or would once busy inputs end well.
    :ivar ready: its inputs ask it to fire now; ``fires`` when no obstacle stands against it either.
    :ivar ignored: its inputs ask it to fire now, and its rerun policy says no: they are consumed without a run.
    :ivar inputs: the completions that firing now would use.
    :ivar wave: etcd revision of the completion at the top of what firing now would belong to.
    :ivar judged: the condition, input by input; ``None`` for a pipeline that waits for nothing.
    """

    target: Target
    standing: Standing
    due: bool = False
    ready: bool = False
    ignored: bool = False
    obstacles: frozenset[Obstacle] = frozenset()
    inputs: Mapping[Target, Consumed] = field(default_factory=dict)
    wave: int = 0
    judged: Judged | None = None

    @property
    def fires(self) -> bool:
        return self.ready and not self.obstacles


def decide(graph: Graph, view: View, target: Target) -> Decision:
    """Decide about a pipeline in a partition.

    :param view: one reading of etcd; it also knows how the inputs stand.
    """
    seen, recorded = view.state(target), view.record(target)
    obstacles = frozenset(_obstacles(view, target, seen, recorded))
    moving = not obstacles.isdisjoint((Obstacle.IN_FLIGHT, Obstacle.RUNNING))

    node = graph.node(target.pipeline)
    if node is None:
        return Decision(target, Standing.BUSY if moving else Standing.SETTLED, obstacles=obstacles)

    record = recorded.value if recorded is not None and isinstance(recorded.value, TriggerRecord) else None
    judged = judge(graph, view, node, target, record.consumed if record is not None else {})

    coming = tuple(inputs_that_would_hold(judged))
    due = any(one.new or one.busy for one in coming)
    used = tuple(inputs_that_hold(judged))
    ready = any(one.new for one in used)
    if node.downstream.settle is Settle.WAVE:
        # A branch that is still coming is waited for (case 7); one that cannot come is not (cases 5, 25).
        ready = ready and not any(one.busy for one in coming)
    ignores = node.downstream.rerun is Rerun.IGNORE and record is not None and bool(record.consumed)

    if moving:
        standing = Standing.BUSY
    elif ignores:
        standing = Standing.SETTLED  # it has run, and will not again by itself (case 4)
    elif due and not obstacles:
        standing = Standing.BUSY
    elif due or (judged.if_mended and not judged.would_hold):
        # Out of date, and something or somebody else must move first (case 3).
        standing = Standing.STUCK
    else:
        # Also with something new in a branch that does not hold: it is not needed (cases 6, 25).
        standing = Standing.SETTLED
    return Decision(
        target=target,
        standing=standing,
        due=due and not ignores,
        ready=ready and not ignores,
        ignored=ready and ignores,
        obstacles=obstacles,
        inputs=_completions(used) if ready else {},
        wave=max(_wave(view, one) for one in used if one.new) if ready else 0,
        judged=judged,
    )


def _obstacles(view: View, target: Target, seen: SeenState | None, recorded: SeenRecord | None) -> list[Obstacle]:
    found = []
    if view.hold(target.pipeline) is not None:
        found.append(Obstacle.HELD)
    if seen is not None and isinstance(seen.value, RunState) and not seen.value.state.is_terminal:
        found.append(Obstacle.RUNNING)
    if recorded is not None:
        if not isinstance(recorded.value, TriggerRecord):
            # Firing without knowing what was fired could double; people must look (it is shown as a problem).
            found.append(Obstacle.UNREADABLE_RECORD)
        elif in_flight(recorded.value, recorded.revision, seen):
            found.append(Obstacle.IN_FLIGHT)
        elif recorded.value.status is Status.BLOCKED:
            found.append(Obstacle.BLOCKED)
    return found


def in_flight(record: TriggerRecord, revision: int, seen: SeenState | None) -> bool:
    """Whether a request is on its way, or its run has not been seen to end (design section 4, *in flight*).

    A terminal state ends the flight when its attempt is at least as new as the one that our request made; an
    older attempt's late end does not (case 11). A report without queued_at cannot be compared: it ends the
    flight when its revision is greater than that of the ``sent`` record.

    :param revision: etcd revision of the record's key.
    """
    if record.status is Status.INTENT:
        return True
    if record.status is not Status.SENT:
        return False  # also when the state key has vanished since the end (case 18)
    if seen is None or not isinstance(seen.value, RunState) or not seen.value.state.is_terminal:
        return True
    reported = seen.value.attempt.queued_at
    if reported is not None and record.attempt is not None:
        return reported < record.attempt
    return seen.revision <= revision


def _completions(used: tuple[JudgedInput, ...]) -> dict[Target, Consumed]:
    return {
        one.target: Consumed(one.seen.revision, one.seen.value.attempt, one.seen.value.state)
        for one in used
        if one.seen is not None and isinstance(one.seen.value, RunState)
    }


def _wave(view: View, one: JudgedInput) -> int:
    """The wave that an input's completion belongs to: its own revision, or that of what started its run."""
    assert one.seen is not None
    assert isinstance(one.seen.value, RunState)
    recorded = view.record(one.target)
    if recorded is None or not isinstance(recorded.value, TriggerRecord):
        return one.seen.revision
    record, reported = recorded.value, one.seen.value.attempt.queued_at
    if reported is not None and record.attempt is not None:
        ours = reported == record.attempt
    else:
        ours = record.status is Status.SENT or (record.status is Status.DONE and one.seen.revision < recorded.revision)
    return record.wave if ours else one.seen.revision
