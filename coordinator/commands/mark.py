"""Marking: a person sets a run state. The environment is not told, and keeps its own state."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.commands import acts
from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.assets.names import is_of_assets
from coordinator.model.references import Target
from coordinator.model.runstate import (
    Attempt,
    RunState,
    RunStateDocument,
    State,
    read_run_state,
)
from coordinator.model.stored import Unreadable, read_stored
from coordinator.model.trigger import TriggerRecord, read_record
from coordinator.store.keys import Keys
from coordinator.store.port import ModRevisionIs, Put, Store, Transaction


class ChangedMeanwhile(CoordinatorError):
    """The state has changed since the person looked at it: nothing was written."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark that was made, or existed already.

    :ivar revision: etcd revision of the state key.
    :ivar changed: it was written; otherwise the run had this state already.
    """

    before: RunState | Unreadable | None
    after: RunState
    revision: int
    changed: bool


def mark(
    store: Store,
    keys: Keys,
    target: Target,
    state: State,
    signature: acts.Signature,
    *,
    looked_at: int,
    record_at: int | None = None,
    attempt: Attempt | None = None,
    confirm: bool = False,
) -> Mark:
    """Set the state of a pipeline's present attempt in a partition, and record it as an act.

    Within this attempt, neither a report nor the environment overrules it; a newer attempt does. Without a present
    state there is no attempt, and any report overrules the mark.

    :param state: a terminal state.
    :param looked_at: etcd revision of the state that the person saw; 0: there was none.
    :param record_at: etcd revision of the trigger record that the person saw; 0: there was none; ``None``: do not
        compare it. A run that the coordinator has started meanwhile changes the record first, and would be another
        attempt.
    :param attempt: the attempt to mark, if it is not the one in the state: the run that is in flight.
    :param confirm: mark it although it has this state already: a failure is to stand, and no retry to come.
    :raises CoordinatorError: it has no runs.
    :raises ChangedMeanwhile: the state or the record has changed.
    """
    if is_of_assets(target.pipeline):
        raise CoordinatorError(f"{target.pipeline} has no runs to mark: the coordinator calls asset events so")
    recorded = store.get(keys.trigger(target))
    record = read_record(recorded.value) if recorded is not None else None
    if isinstance(record, TriggerRecord) and record.rows is not None:
        raise CoordinatorError(f"the state of {target} follows from its items; mark these, as {target.pipeline}[<key>]")
    key = keys.state(target)
    present = store.get(key)
    revision = 0 if present is None else present.mod_revision
    before = None if present is None else read_run_state(present.value)
    if revision == looked_at:
        is_so = isinstance(before, RunState) and before.state is state and attempt in (None, before.attempt)
        if is_so and isinstance(before, RunState) and (before.marked or not confirm):
            return Mark(before, before, revision, changed=False)
        document = _document(b"" if present is None else present.value, before, attempt)
        marked = document.model_copy(
            update={
                "state": state,
                "observed_at": signature.when,
                "reported_by": signature.who,
                "note": signature.why or None,
                "marked": True,
            }
        )
        act = acts.Act(acts.Verb.MARK, target.pipeline, target.partition, signature, str(state))
        write = (Put(key, marked.to_value()), acts.put_of(keys, act))
        compares: tuple[ModRevisionIs, ...] = (ModRevisionIs(key, revision),)
        if record_at is not None:
            compares += (ModRevisionIs(keys.trigger(target), record_at),)
        answer = store.commit(Transaction(compares, write))
        if answer.succeeded:
            return Mark(before, marked.to_run_state(), answer.revision, changed=True)
    raise ChangedMeanwhile(
        f"{target}: its state or its trigger record has changed since it was looked at; nothing was written, look again"
    )


def _document(value: bytes, present: RunState | Unreadable | None, attempt: Attempt | None) -> RunStateDocument:
    """The document of the mark, with everything that was reported about the present attempt."""
    if not isinstance(present, RunState):
        kept = RunStateDocument(state=State.QUEUED)
    else:
        read = read_stored(value, RunStateDocument.model_validate_json, most=bounds.RUN_STATE, what="a run state")
        # A bare word is a state, and no document.
        kept = RunStateDocument(state=present.state) if isinstance(read, Unreadable) else read
    if attempt is None:
        return kept
    return RunStateDocument(
        state=kept.state,
        run_id=attempt.run_id,
        queued_at=attempt.queued_at,
        attempt=attempt.number,
        logical_date=kept.logical_date,
        partition_key=kept.partition_key,
    ).after(present)
