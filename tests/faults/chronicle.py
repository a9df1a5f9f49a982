"""Turns observations into a history that the checkers of the simulation can check.

etcd's changes come in the order of their revisions, the environments' in that of their own clock; between the two
only the time at which they were seen is known, and a change in etcd is seen a moment after it happened. Where one
can only have come after the other, that decides: a request after its intent, ``sent`` after the request, a report
after what it reports.
"""

from __future__ import annotations

import bisect
import heapq
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from coordinator.model.assets.names import is_of_assets
from coordinator.model.documents.dumping import dump_document
from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State, read_run_state
from coordinator.model.trigger import Action, Status, TriggerRecord, read_record
from coordinator.runners.port import ObservedRun
from coordinator.store.keys import DependenciesKey, HoldKey, Keys, LeaderKey, OrderKey, ParsedKey, StateKey, TriggerKey
from coordinator.store.port import Changed, Listing
from coordinator.store.presence import read_presence
from tests.faults.witness import Seen
from tests.faults.witnessed_airflow import Happened, present
from tests.simulation.history import (
    PERSON,
    UNSEEN,
    EffectMade,
    History,
    HoldWritten,
    OrderGiven,
    Published,
    RecordWritten,
    RunChanged,
    StateWritten,
)
from tests.worlds.simulated_airflow import partition_of

FOREVER = float("inf")
ETCD, AIRFLOW = "etcd", "airflow"
MADE = ("created", "cleared")

SEEN_WITHIN = 10.0
"""Seconds within which a change in etcd is seen: the machine may be busy, and the member that is asked be struck."""

Place = tuple[str, int]
"""Something that was seen: where, and its number in this telling."""


@dataclass(frozen=True, slots=True)
class Term:
    """A watcher's time as the leader. ``seen``: when its beginning was seen; ``ended``: when its end was seen."""

    who: str
    seen: float
    ended: float = FOREVER


class Chronicle:
    """Collects observations from other threads; adds them to the history in the caller's.

    :ivar behind: seconds by which a leader's view may lag: at most so old is what it decides on.
    :ivar leader: whose the leader key is, at the present place of the telling; ``newest_intent``: of each target.
    """

    def __init__(self, keys: Keys, *, behind: float) -> None:
        self._keys = keys
        self.behind = behind
        self._lock = threading.Lock()
        self._etcd: list[Seen] = []
        self._airflow: list[Happened] = []
        self._times: list[float] = []
        self._revisions: list[int] = []
        self._terms: list[Term] = []
        self.leader = ""
        self.newest_intent: dict[Target, str] = {}

    def saw_etcd(self, seen: Seen) -> None:
        with self._lock:
            self._etcd.append(seen)

    def saw_airflow(self, happened: Happened) -> None:
        with self._lock:
            self._airflow.append(happened)

    def begin(self, listing: Listing, runs: Iterable[tuple[str, ObservedRun]]) -> History:
        """A history that begins with the present contents of etcd and the environments, at rest; nothing is checked
        yet.

        :param runs: with their environments.
        """
        history, now = History(), present()
        for environment, run in runs:
            target = Target(PipelineRef(environment, run.dag_id), partition_of(run))
            history.add(RunChanged(now, target, "queued", run, PERSON))
        for item in sorted(listing.items, key=lambda item: item.mod_revision):
            self.saw_etcd(Seen(now, Changed(item.key, item.mod_revision, item)))
        self.tell(history)
        for target, recorded in history.records.items():
            history.consume_as(target, recorded.record.consumed.named)
        return history

    def untold(self) -> list[Happened]:
        """What has happened in the environments since the last telling, by their own clocks."""
        with self._lock:
            return sorted(self._airflow, key=lambda happened: happened.time)

    def tell(self, history: History) -> None:
        """Add all that has been seen since. :raises PromiseBroken: a checker says so."""
        with self._lock:
            etcd, self._etcd = self._etcd, []
            airflow, self._airflow = self._airflow, []
        for seen in etcd:
            self._times.append(seen.time)
            self._revisions.append(seen.change.revision)
            if isinstance(self._keys.parse(seen.change.key), LeaderKey):
                self._note_term(seen)
        _Telling(self, history, etcd, sorted(airflow, key=lambda happened: happened.time)).run()

    # -- what the events need to know ------------------------------------------------------------------------------

    def revision_at(self, time: float) -> int:
        """The revision of the last change that was seen by then."""
        place = bisect.bisect_right(self._times, time)
        return self._revisions[place - 1] if place else 0

    def led(self, watcher: str, time: float) -> bool:
        """Whether it may have led at that time: the beginning of one of its terms was seen by then (or as late after it
        as observations may come), and the end, if there is one, was seen later."""
        return any(term.who == watcher and term.seen - SEEN_WITHIN <= time <= term.ended for term in self._terms)

    def _note_term(self, seen: Seen) -> None:
        if seen.change.kv is None:
            self._terms[-1:] = [replace(term, ended=seen.time) for term in self._terms[-1:]]
        elif seen.change.kv.create_revision == seen.change.revision:
            self._terms.append(Term(read_presence(seen.change.kv.value).id, seen.time))


class _Telling:
    """One telling: all that has been seen since the last one."""

    def __init__(self, chronicle: Chronicle, history: History, etcd: list[Seen], airflow: list[Happened]) -> None:
        self._chronicle = chronicle
        self._keys = chronicle._keys
        self._history = history
        self._etcd = [(self._keys.parse(seen.change.key), seen) for seen in etcd]
        self._airflow = airflow
        self._records = [
            (place, key.target, record)
            for place, (key, seen) in enumerate(self._etcd)
            if isinstance(key, TriggerKey) and (record := _record_of(seen)) is not None
        ]
        self._confirmed = {
            (target, str(record.attempt)): record.token
            for _, target, record in self._records
            if record.attempt is not None
        }

    def run(self) -> None:
        """Add all observations, each after its causes, and otherwise in the order in which they were seen."""
        after = self._causes()
        waits_for = {one: len(causes) for one, causes in after.items()}
        leads_to: dict[Place, list[Place]] = {}
        for one, causes in after.items():
            for cause in causes:
                leads_to.setdefault(cause, []).append(one)
        ready = [(self._time_of(one), one) for one, count in waits_for.items() if not count]
        heapq.heapify(ready)
        told = 0
        while ready:
            _, one = heapq.heappop(ready)
            told += 1
            self._tell(one)
            for following in leads_to.get(one, ()):
                waits_for[following] -= 1
                if not waits_for[following]:
                    heapq.heappush(ready, (self._time_of(following), following))
        assert told == len(after), "what was seen contradicts itself: each came after the other"

    def _causes(self) -> dict[Place, set[Place]]:
        """The causes of each observation."""
        after: dict[Place, set[Place]] = {}
        for source, count in ((ETCD, len(self._etcd)), (AIRFLOW, len(self._airflow))):
            for place in range(count):
                after[source, place] = {(source, place - 1)} if place else set()
        intents: dict[str, int] = {}
        for place, _, record in self._records:
            if record.status is Status.INTENT:
                intents.setdefault(record.token, place)
        made: dict[tuple[Target, str], int] = {}
        reached: dict[tuple[Target, str, State], int] = {}
        for place, happened in enumerate(self._airflow):
            target, queued_at = target_of(happened), str(happened.run.queued_at)
            if happened.what in MADE:
                made[target, queued_at] = place
                if happened.sender is not None and (token := self._token_of(happened)) in intents:
                    after[AIRFLOW, place].add((ETCD, intents[token]))
            else:
                reached[target, queued_at, happened.run.state] = place
        for place, target, record in self._records:
            if (found := made.get((target, str(record.attempt)))) is not None:
                after[ETCD, place].add((AIRFLOW, found))
        for place, (key, seen) in enumerate(self._etcd):
            if _is_of_run(key) and (state := _state_of(seen)) is not None:
                found = reached.get((key.target, str(state.attempt.queued_at), state.state))
                if found is not None:
                    after[ETCD, place].add((AIRFLOW, found))
        return after

    def _time_of(self, place: Place) -> float:
        return self._etcd[place[1]][1].time if place[0] == ETCD else self._airflow[place[1]].time

    def _tell(self, place: Place) -> None:
        if place[0] == ETCD:
            self._tell_etcd(*self._etcd[place[1]])
        else:
            self._tell_airflow(self._airflow[place[1]])

    def _tell_etcd(self, key: ParsedKey | None, seen: Seen) -> None:
        change, history, chronicle = seen.change, self._history, self._chronicle
        match key:
            case StateKey(target) if _is_of_run(key):
                state = _state_of(seen)
                by = PERSON if state is None else "a reporter"
                history.add(StateWritten(seen.time, target, state, change.revision, by, leads=False))
            case TriggerKey(target):
                record = _record_of(seen)
                by, leads = "a watcher", True  # the outcome of an intent keeps its ``who``, whoever writes it
                if record is not None and record.status is Status.INTENT:
                    chronicle.newest_intent[target] = record.token
                    by, leads = record.who, chronicle.leader == record.who
                knows = min(chronicle.revision_at(seen.time - chronicle.behind), change.revision - 1)
                knew = chronicle.revision_at(seen.time - UNSEEN)
                history.add(RecordWritten(seen.time, target, record, change.revision, by, leads, knows, knew))
            case HoldKey(pipeline):
                history.add(HoldWritten(seen.time, pipeline, change.kv is not None, change.revision))
            case OrderKey(target) if change.kv is not None:
                order = json.loads(change.kv.value)["order"]
                history.add(OrderGiven(seen.time, target, order, change.revision))
            case DependenciesKey() if change.kv is not None:
                history.add(Published(seen.time, document_of(change.kv.value), change.revision))
            case LeaderKey():
                chronicle.leader = read_presence(change.kv.value).id if change.kv is not None else ""

    def _tell_airflow(self, happened: Happened) -> None:
        target, chronicle = target_of(happened), self._chronicle
        if happened.what in MADE and happened.sender is not None:
            action = Action.CREATE if happened.what == "created" else Action.CLEAR
            token, sender = self._token_of(happened), happened.sender
            leads, knew = chronicle.led(sender, happened.asked_at), chronicle.revision_at(happened.time - UNSEEN)
            self._history.add(
                EffectMade(happened.time, target, action, token, happened.run, happened.before, sender, leads, knew)
            )
            return
        what, by = ("queued", PERSON) if happened.what in MADE else (happened.what, "itself")
        self._history.add(RunChanged(happened.time, target, what, happened.run, by))

    def _token_of(self, happened: Happened) -> str:
        """The intent behind a request. A clear carries no token: the record that names its attempt says so."""
        if happened.what == "created":
            return happened.run.token or "a run without a token"
        target = target_of(happened)
        confirmed = self._confirmed.get((target, str(happened.run.queued_at)))
        return confirmed or self._chronicle.newest_intent.get(target, "a clear without an intent")


def _is_of_run(key: ParsedKey | None) -> TypeGuard[StateKey]:
    """Whether it is the state of a run, or of a task: not of an asset, or of one of its events."""
    return isinstance(key, StateKey) and not is_of_assets(key.target.pipeline)


def _record_of(seen: Seen) -> TriggerRecord | None:
    if seen.change.kv is None:
        return None
    record = read_record(seen.change.kv.value)
    assert isinstance(record, TriggerRecord), f"{seen.change.key}: {record}"
    return record


def _state_of(seen: Seen) -> RunState | None:
    if seen.change.kv is None:
        return None
    state = read_run_state(seen.change.kv.value)
    assert isinstance(state, RunState), f"{seen.change.key}: {state}"
    return state


def target_of(happened: Happened) -> Target:
    """Whose run it is, and in which partition."""
    return Target(PipelineRef(happened.environment, happened.run.dag_id), partition_of(happened.run))


def document_of(published: bytes) -> dict[str, Any]:
    """The dependencies in a published document, in the long form that the wiring reads. It knows no assets."""
    publication = read_publication(published, source="the published document")
    assert isinstance(publication, Publication), publication
    return {
        name: entry if isinstance(entry, dict) and "upstream" in entry else {"upstream": entry}
        for name, entry in dump_document(publication.document).items()
        if name != "assets" and '"asset":' not in json.dumps(entry)
    }
