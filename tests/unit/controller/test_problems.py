"""Whatever somebody writes, problems are counted exactly, kept within bounds, and the service's own come first."""

from __future__ import annotations

from coordinator.controller.state.cache import Cache
from coordinator.controller.state.problems import SHOWN, in_a_line, shown
from coordinator.model.references import PipelineRef, Target
from coordinator.store.keys import Keys
from coordinator.store.port import Changed, Changes, KeyValue, Listing, Page

KEYS = Keys()
MANY = 5_000


def junk(number: int) -> str:
    return f"{KEYS.root}junk/{number}/{'x' * 2_000}"


def items_of(*keys: str) -> list[KeyValue]:
    """As etcd lists keys that have been written before, some of them more than once."""
    return [KeyValue(key, b"{", number, number * 2) for number, key in enumerate(keys, 1)]


def listed(*keys: str) -> Cache:
    cache = Cache(KEYS)
    cache.replace(Listing(items_of(*keys), 2 * len(keys), 1))
    return cache


def change(cache: Cache, key: str, value: bytes | None, *, created: int = 0) -> None:
    revision = cache.revision + 1
    kv = KeyValue(key, value, created or revision, revision) if value is not None else None
    cache.apply(Changes((Changed(key, revision, kv),), revision), now=0.0, live=True)


def test_foreign_keys_are_counted_exactly_and_a_few_are_kept() -> None:
    cache = listed(*map(junk, range(MANY)))
    assert (cache.problems.count, len(cache.problems)) == (MANY, SHOWN)
    change(cache, junk(7), b"again", created=7)
    assert cache.problems.count == MANY, "the same key, written again"
    change(cache, junk(MANY), b"one more")
    assert cache.problems.count == MANY + 1
    for number in range(MANY + 1):
        change(cache, junk(number), None)
    assert (cache.problems.count, len(cache.problems)) == (0, 0)


def test_foreign_keys_that_are_read_page_by_page_are_counted_as_in_a_listing() -> None:
    keys = [*map(junk, range(2 * SHOWN))]
    items, revision = items_of(*keys), 4 * SHOWN
    cache = Cache(KEYS)
    cache.fill([Page(items[:SHOWN], revision, 1, keys[SHOWN - 1]), Page(items[SHOWN:], revision, 1, None)])
    assert shown({}, cache.problems) == shown({}, listed(*keys).problems)
    assert cache.problems.count == 2 * SHOWN


def test_foreign_keys_are_shown_again_when_those_that_were_shown_have_gone() -> None:
    cache = listed(*map(junk, range(3 * SHOWN)))
    for number in range(2 * SHOWN):
        change(cache, junk(number), None)
    assert shown({}, cache.problems).count == SHOWN
    change(cache, junk(2 * SHOWN), b"again", created=2 * SHOWN + 1)
    assert cache.problems


def test_junk_hides_nothing_of_the_service_and_of_other_kinds() -> None:
    state = KEYS.state(Target(PipelineRef("e", "d"), "p"))
    hold = KEYS.hold(PipelineRef("e", "d"))
    cache = listed(*map(junk, range(MANY)), state, hold)
    found = shown({"etcd": "nearly full", **{f"watchers/{number}": "?" for number in range(MANY)}}, cache.problems)
    assert next(iter(found.some)) == "etcd"
    assert {state, hold} <= found.some.keys()
    assert found.count == 1 + MANY + 2 + MANY
    assert len(found.some) == 1 + SHOWN + 2 + SHOWN
    assert found.more == {"about watchers": MANY - SHOWN, "keys that are not the coordinator's": MANY - SHOWN}
    assert list(found.in_words())[-1] == "and 4,980 more keys that are not the coordinator's"


def test_unreadable_keys_of_one_kind_are_counted_and_some_are_shown() -> None:
    states = [KEYS.state(Target(PipelineRef("e", "d"), str(number))) for number in range(MANY)]
    found = shown({}, listed(*states).problems, most=3)
    assert (len(found.some), found.count, found.more) == (3, MANY, {"keys under state/": MANY - 3})


def test_a_line_about_many_documents_is_short() -> None:
    assert in_a_line(["a", "b"]) == "a; b"
    assert in_a_line([]) == ""
    assert in_a_line([str(number) for number in range(MANY)]).endswith("; 19; and 4,980 more")
