"""When a watcher may have led, by the rules of the drills."""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.store.keys import Keys
from coordinator.store.port import Changed, KeyValue
from coordinator.store.presence import Presence
from tests.faults.chronicle import SEEN_WITHIN, Chronicle
from tests.faults.witness import Seen
from tests.simulation.history import History

KEYS = Keys()


def _begins(who: str, revision: int, *, seen: float) -> Seen:
    value = Presence.of_this_process(who, since=datetime(2026, 1, 1, tzinfo=UTC)).to_value()
    return Seen(seen, Changed(KEYS.leader, revision, KeyValue(KEYS.leader, value, revision, revision)))


def _ends(revision: int, *, seen: float) -> Seen:
    return Seen(seen, Changed(KEYS.leader, revision, None))


def test_a_term_excuses_nothing_that_was_sent_between_it_and_the_one_before() -> None:
    chronicle = Chronicle(KEYS, behind=1.0)
    for seen in (
        _begins("one", 1, seen=100.0),
        _ends(2, seen=200.0),
        _begins("other", 3, seen=201.0),
        _ends(4, seen=300.0),
        _begins("one", 5, seen=301.0),
    ):
        chronicle.saw_etcd(seen)
    chronicle.tell(History())
    led = [time for time in (50.0, 150.0, 250.0, 299.0, 350.0) if chronicle.led("one", time)]
    assert led == [150.0, 299.0, 350.0], "just before its beginning was seen it may have led"
    assert chronicle.led("other", 201.0 - SEEN_WITHIN)
    assert not chronicle.led("other", 301.0)
