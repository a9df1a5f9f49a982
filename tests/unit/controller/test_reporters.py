"""A watcher knows who reports, within bounds, and takes no moment without etcd for silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.config.airflow import AirflowSettings
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.problems import SHOWN
from coordinator.controller.state.reporters import TIME_TO_START, WAITING, HealthOfReporters, Listening
from coordinator.model import bounds
from coordinator.model.documents import parse_document
from coordinator.model.graph import Graph
from coordinator.model.publishing.owners import merge
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.reporters import LEASE, LastSeen, ReporterStatus
from coordinator.store.keys import Keys
from coordinator.store.port import Changed, Changes, KeyValue, Listing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYS = Keys()
SALES = KEYS.reporter("sales", "r1")
SEEN = KEYS.reporter_seen("sales")
THERE = ReporterStatus(host="h", pid=1, since=NOON, written_at=NOON).to_value()
LAST = LastSeen(at=NOON, reporter="r1", host="h").to_value()
ENVIRONMENTS = {name: AirflowSettings(url="http://127.0.0.1:1") for name in ("sales", "finance")}


def graph(text: str = '{"finance/daily": "sales/load"}') -> Graph:
    publication = Publication(parse_document(text, source="test"), {})
    return merge({"default": Published(publication, 1)})[0]


def put(cache: Cache, key: str, value: bytes | None) -> None:
    revision = cache.revision + 1
    kv = KeyValue(key, value, revision, revision) if value is not None else None
    cache.apply(Changes((Changed(key, revision, kv),), revision), now=0.0, live=True)


def test_who_is_not_heard_from_is_a_problem_of_a_watcher() -> None:
    cache = Cache(KEYS)
    health = HealthOfReporters(cache.reporters, ENVIRONMENTS)
    health.note(graph(), connected=True, now=NOON)
    assert health.problems(NOON) == {}, "they may be about to start"
    assert set(health.problems(NOON + TIME_TO_START)) == {"reporters sales", "reporters finance"}
    put(cache, SALES, THERE)
    put(cache, KEYS.reporter("finance", "r"), THERE)
    assert health.problems(NOON + TIME_TO_START) == {}
    put(cache, SEEN, LAST)
    put(cache, SALES, None)
    later = NOON + timedelta(hours=1)
    assert set(health.problems(later)) == {"reporters sales"}
    assert "has been heard from since" in health.problems(later)["reporters sales"]


def test_silence_is_not_told_before_etcd_was_reachable_for_two_leases() -> None:
    cache = Cache(KEYS)
    put(cache, SEEN, LAST)
    health = HealthOfReporters(cache.reporters, {"sales": ENVIRONMENTS["sales"]})
    now = NOON + timedelta(hours=1)
    health.note(graph(), connected=False, now=now)
    assert health.problems(now) == {}
    health.note(graph(), connected=True, now=now)
    assert health.problems(now + 2 * LEASE) == {}
    assert set(health.problems(now + 2 * LEASE + timedelta(seconds=1))) == {"reporters sales"}
    health.note(graph(), connected=False, now=now + 3 * LEASE)
    health.note(graph(), connected=True, now=now + 4 * LEASE)
    assert health.problems(now + 5 * LEASE) == {}, "etcd was away again"


def test_an_environment_that_nobody_needs_or_that_has_no_plugin_is_not_missed() -> None:
    cache = Cache(KEYS)
    nobody = HealthOfReporters(cache.reporters, ENVIRONMENTS)
    nobody.note(graph('{"elsewhere/b": "elsewhere/a"}'), connected=True, now=NOON)
    assert nobody.problems(NOON + TIME_TO_START) == {}
    without = {name: one.model_copy(update={"plugin": False}) for name, one in ENVIRONMENTS.items()}
    health = HealthOfReporters(cache.reporters, without)
    health.note(graph(), connected=True, now=NOON)
    assert health.problems(NOON + TIME_TO_START) == {}


def test_what_a_reporter_writes_is_bounded_and_shown_where_it_is_no_status() -> None:
    cache = Cache(KEYS)
    for number in range(bounds.REPORTERS + 3):
        put(cache, KEYS.reporter("sales", f"r{number:03d}"), THERE)
    heard = cache.reporters.hear("sales", now=NOON, reachable_since=None)
    assert len(heard.reporters) == bounds.REPORTERS
    assert len(cache.problems) == 3
    put(cache, KEYS.reporter("finance", "r"), b" " * (bounds.REPORTER + 1))
    assert "the most that" in cache.problems[KEYS.reporter("finance", "r")]
    put(cache, KEYS.reporter("finance", "r"), None)
    assert len(cache.problems) == 3


def test_a_new_listing_forgets_who_has_left() -> None:
    cache = Cache(KEYS)
    put(cache, SALES, THERE)
    put(cache, SEEN, LAST)
    cache.replace(Listing([KeyValue(SEEN, LAST, 9, 9)], 9, 1))
    heard = cache.reporters.hear("sales", now=NOON, reachable_since=None)
    assert (heard.reporters, heard.last_seen is not None) == ({}, True)


def heard_of(cache: Cache, environment: str = "sales") -> set[str]:
    return set(cache.reporters.hear(environment, now=NOON, reachable_since=None).readable)


def test_junk_takes_no_place_of_a_reporter_that_can_be_read() -> None:
    cache = Cache(KEYS)
    for number in range(bounds.REPORTERS * 3):
        put(cache, KEYS.reporter("sales", f"junk{number:03d}"), b"junk")
    put(cache, SALES, THERE)
    put(cache, KEYS.reporter("sales", "r2"), THERE)
    assert heard_of(cache) == {"r1", "r2"}
    assert SALES not in cache.problems
    put(cache, KEYS.reporter("sales", "more junk"), b"junk")
    assert heard_of(cache) == {"r1", "r2"}


def test_reporters_count_again_when_what_took_their_place_has_gone() -> None:
    cache = Cache(KEYS)
    forged = [KEYS.reporter("sales", f"forged{number:03d}") for number in range(bounds.REPORTERS)]
    for key in forged:
        put(cache, key, THERE)
    put(cache, SALES, THERE)
    put(cache, KEYS.reporter("sales", "r2"), THERE)
    assert "not counted" in cache.problems[SALES]
    put(cache, KEYS.reporter("sales", "r2"), None)
    for key in forged:
        put(cache, key, None)
    assert heard_of(cache) == {"r1"}
    assert cache.problems == {}


def test_reporters_beyond_those_that_wait_count_when_they_say_themselves_again() -> None:
    cache = Cache(KEYS)
    forged = [KEYS.reporter("sales", f"forged{number:03d}") for number in range(bounds.REPORTERS + WAITING)]
    for key in forged:
        put(cache, key, THERE)
    put(cache, SALES, THERE)
    for key in forged:
        put(cache, key, None)
    assert heard_of(cache) == set(), "nothing more than its key is known of it"
    put(cache, SALES, THERE)
    assert (heard_of(cache), len(cache.problems)) == ({"r1"}, 0)


def test_environments_that_nobody_knows_hide_none_that_is_configured() -> None:
    cache = Cache(KEYS)
    for number in range(1_000):
        put(cache, KEYS.reporter(f"junk{number}", "r"), THERE)
    put(cache, SALES, THERE)
    listening = Listening(cache.reporters, ENVIRONMENTS, {"sales"})
    heard = listening.heard(now=NOON, reachable_since=None)
    assert {"sales", "finance"} < {one.environment for one in heard}
    assert len(heard) + listening.unknown_not_shown() == 1_002
    assert len(listening.unexpected(heard)) < 100


def test_environments_that_documents_name_are_shown_in_part_and_counted() -> None:
    cache = Cache(KEYS)
    named = {f"e{number:05d}" for number in range(10_000)}
    reporting = {"e00300", "e09999"}
    for name in reporting:
        put(cache, KEYS.reporter(name, "r"), THERE)
    listening = Listening(cache.reporters, ENVIRONMENTS, named)
    heard = {one.environment for one in listening.heard(now=NOON, reachable_since=None)}
    assert heard > set(ENVIRONMENTS) | reporting
    assert len(heard) == len(ENVIRONMENTS) + len(reporting) + SHOWN
    assert len(heard) + listening.never_heard_not_shown() == len(ENVIRONMENTS) + len(named)
    numbers = listening.in_numbers(now=NOON, reachable_since=None)
    assert {one.environment for one in numbers.configured} == set(ENVIRONMENTS)
    assert (numbers.others, numbers.others_silent) == (len(named), 0)


def test_an_environment_that_is_only_named_is_a_problem_and_counted_when_it_falls_silent() -> None:
    cache = Cache(KEYS)
    put(cache, KEYS.reporter_seen("elsewhere"), LAST)
    health = HealthOfReporters(cache.reporters, {})
    health.note(graph('{"b": "elsewhere/a"}'), connected=True, now=NOON)
    later = NOON + timedelta(hours=1)
    assert set(health.problems(later)) == {"reporters elsewhere"}
    numbers = health.in_numbers(later)
    assert (numbers.configured, numbers.others, numbers.others_silent) == ([], 2, 1)
