"""What happened in a partition, read from etcd's changes: who was asked to run and why, and what ran.

Pure. A show has acts (the wave is one, the cascade below a cleared run another); what is seen for the first time
belongs to the act that goes on then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from coordinator.model.consumption import Inputs
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.keys import Keys, StateKey, TriggerKey
from coordinator.store.port import KeyValue


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt of a run: a cleared run is the same run and a new execution.

    :ivar revision: etcd revision of its newest state; of its completion, once it has ended.
    """

    pipeline: PipelineRef
    act: int
    run_id: str | None
    queued_at: datetime | None
    state: State
    revision: int
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Request:
    """The coordinator's decision to run a pipeline, and what has become of it.

    :ivar inputs: the completions that the decision used.
    :ivar fresh: those of them that the pipeline's request before did not stand on: the reason for this one.
    """

    pipeline: PipelineRef
    act: int
    record: TriggerRecord
    inputs: Inputs
    fresh: frozenset[Target]

    @property
    def under_way(self) -> bool:
        return self.record.status in (Status.INTENT, Status.SENT)


Happening = Execution | Request


class Chronicle:
    """Takes keys as they change, in revision order; ignores those of other partitions.

    :ivar act: the act that goes on.
    :ivar revision: of the newest key that was taken.
    """

    def __init__(self, keys: Keys, partition: str) -> None:
        self.act = 1
        self.revision = 0
        self._keys = keys
        self._partition = partition
        self._executions: dict[PipelineRef, dict[tuple[str | None, datetime | None], Execution]] = {}
        self._requests: dict[PipelineRef, dict[int, Request]] = {}

    def take(self, item: KeyValue) -> Happening | None:
        """Take a key in; what there is to tell of it, ``None`` if nothing is new."""
        self.revision = max(self.revision, item.mod_revision)
        match self._keys.parse(item.key):
            case StateKey(target) if target.partition == self._partition:
                return self._state(target.pipeline, item)
            case TriggerKey(target) if target.partition == self._partition:
                return self._record(target.pipeline, item)
        return None

    def executions(self, pipeline: PipelineRef, act: int) -> list[Execution]:
        """How often a pipeline has run in an act, oldest first."""
        return [each for each in self._executions.get(pipeline, {}).values() if each.act == act]

    def requests(self, pipeline: PipelineRef, act: int) -> list[Request]:
        """What the coordinator has asked of a pipeline in an act, oldest first."""
        return [each for each in self._requests.get(pipeline, {}).values() if each.act == act]

    def request_for(self, execution: Execution) -> Request | None:
        """The request that an execution came from; ``None`` for one that a person or the clock started."""
        for request in self._requests.get(execution.pipeline, {}).values():
            record = request.record
            if record.run_id == execution.run_id and record.attempt == execution.queued_at:
                return request
        return None

    def pipelines(self) -> Iterator[PipelineRef]:
        """Every pipeline of which anything is known."""
        yield from self._executions.keys() | self._requests.keys()

    def _state(self, pipeline: PipelineRef, item: KeyValue) -> Execution | None:
        try:
            report = RunStateDocument.model_validate_json(item.value)
        except ValidationError:
            return None  # a person's bare word, or rubbish: the watcher shows it as a problem
        known = self._executions.setdefault(pipeline, {})
        attempt = (report.run_id, report.queued_at)
        before = known.get(attempt)
        known[attempt] = Execution(
            pipeline=pipeline,
            act=before.act if before is not None else self.act,
            run_id=report.run_id,
            queued_at=report.queued_at,
            state=report.state,
            revision=item.mod_revision,
            started=report.start_date,
            ended=report.end_date,
        )
        return known[attempt] if before is None or before.state is not report.state else None

    def _record(self, pipeline: PipelineRef, item: KeyValue) -> Request | None:
        record = read_record(item.value)
        if not isinstance(record, TriggerRecord):
            return None
        known = self._requests.setdefault(pipeline, {})
        before = known.get(record.sequence)
        if before is not None:
            known[record.sequence] = replace(before, record=record)
            return known[record.sequence] if record.status is Status.BLOCKED else None
        # An intent has its inputs beside those consumed before it; once the effect is known they are the consumed ones.
        inputs = record.inputs.named or record.consumed.named
        earlier = [request for sequence, request in known.items() if sequence < record.sequence]
        stood_on = {target: used.revision for target, used in earlier[-1].inputs.items()} if earlier else {}
        fresh = frozenset(target for target, used in inputs.items() if stood_on.get(target) != used.revision)
        known[record.sequence] = Request(pipeline, self.act, record, inputs, fresh)
        return known[record.sequence]
