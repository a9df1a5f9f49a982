"""Writing asset events to etcd: each once, however often it is delivered."""

from __future__ import annotations

from coordinator.model import bounds
from coordinator.model.assets.events import AssetEventDocument, InvalidEvent
from coordinator.model.assets.names import events_of
from coordinator.model.references import Target
from coordinator.model.runstate import Verdict
from coordinator.store.keys import Keys
from coordinator.store.port import ModRevisionIs, Put, Store, Transaction


def write_event(store: Store, keys: Keys, environment: str, event_id: str, document: AssetEventDocument) -> Verdict:
    """Write an event, unless it is there. One attempt.

    :param event_id: was made when it was emitted; each repeat carries it.
    :raises InvalidEvent: it can never be written.
    :raises StoreError: it may or may not be written.
    """
    if not 0 < len(environment) <= bounds.NAME:
        found = f"one of {len(environment)} characters" if environment else "none"
        raise InvalidEvent(f"an event names its environment in 1 to {bounds.NAME} characters; found {found}")
    key = keys.state(Target(events_of(environment), event_id))
    answer = store.commit(Transaction((ModRevisionIs(key, 0),), (Put(key, document.to_value()),)))
    return Verdict.NEW if answer.succeeded else Verdict.REPEAT
