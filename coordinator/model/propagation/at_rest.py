"""Deciding quickly about targets *at rest*, which are most of a million keys when a watcher starts.

If every input is settled, and none has completed since the record was written, no input is new, busy or repairable.
Then :func:`~coordinator.model.decide.decide` finds nothing due and nothing to repair, whatever the condition: its
decision is that the target is settled. Only the evaluation of the inputs is missing, which is not needed here.

Only cheap checks are made. Everything else is left to the rule.
"""

from __future__ import annotations

from collections.abc import Container
from typing import cast

from coordinator.model.conditions import Dependency
from coordinator.model.consumption import NOTHING
from coordinator.model.decide import Decision
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import Identity
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State, Unreadable
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Facts, Readiness

_Inputs = tuple[tuple[PipelineRef, int], ...]
"""Upstreams, each with the revision of its activation."""


class AtRest:
    """Knows for which pipelines these checks are possible.

    :param unsettled: the targets that are busy or stuck.
    """

    def __init__(self, graph: Graph, facts: Facts, unsettled: Container[Target]) -> None:
        self._graph = graph
        self._facts = facts
        self._unsettled = unsettled
        self._inputs: dict[PipelineRef, _Inputs | None] = {}

    def decide(self, target: Target) -> Decision | None:
        """The decision, without ``evaluated``, if the target is at rest by these checks; ``None``: ask the rule."""
        pipeline, partition = target
        try:
            inputs = self._inputs[pipeline]
        except KeyError:
            node = self._graph.node(pipeline)
            inputs = self._inputs[pipeline] = None if node is None else _inputs_of(node)
        facts = self._facts
        if inputs is None or facts.hold(pipeline) is not None or facts.order(target) is not None:
            return None
        if facts.sensors(target):
            return None
        seen, recorded = facts.state(target), facts.record(target)
        if seen is not None and not (isinstance(seen.value, RunState) and seen.value.state.is_terminal):
            return None
        consumed, past = NOTHING, 0
        if recorded is not None:
            record = recorded.value
            if not isinstance(record, TriggerRecord) or record.status is not Status.DONE or record.rows is not None:
                return None  # what has rows hangs on its items, too
            if seen is not None and _has_failed(seen.value) and self._may_retry(pipeline):
                return None
            consumed = record.consumed
        elif (watermark := facts.watermark(pipeline)) is not None:
            past = watermark.revision
        named, unsettled, state = consumed.named, self._unsettled, facts.state
        for upstream, since in inputs:
            one = cast(Target, (upstream, partition))  # an equal tuple, made in a tenth of the time
            if one in unsettled:
                return None
            known = state(one)
            if known is None or ((used := named.get(one)) is not None and used.revision == known.revision):
                continue  # this completion was used
            if known.revision <= since or known.revision <= past:
                continue
            if not isinstance(known.value, RunState) or not known.value.state.is_terminal:
                continue
            if not consumed.knows(one, known.value, known.revision):
                return None
        return Decision(target, Readiness.SETTLED)

    def _may_retry(self, pipeline: PipelineRef) -> bool:
        node = self._graph.node(pipeline)
        return node is not None and node.downstream.retries > 0


def _has_failed(state: RunState | Unreadable) -> bool:
    return isinstance(state, RunState) and state.state is State.FAILED


def _inputs_of(node: Node) -> _Inputs | None:
    """The inputs of a pipeline; ``None`` if they are not all in the same partition, or some are tasks."""
    leaves: list[Dependency] = list(node.leaves())
    if not all(isinstance(leaf.mapping, Identity) and not leaf.upstream.task for leaf in leaves):
        return None
    return tuple((leaf.upstream, node.active_since[leaf]) for leaf in leaves)
