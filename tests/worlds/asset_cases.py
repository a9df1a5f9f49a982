"""Asset events that are handed on, as scripts, in a simulated world of three environments."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from coordinator.commands.emit import write_event
from coordinator.model.assets.events import AssetEventDocument, new_event_id
from coordinator.model.documents import parse_document
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.publishing.publication import dump_publication
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.runners.port import EnvironmentUnavailable
from coordinator.store.port import Delete, Put
from tests.airflow_model.rest import Answer, Call, RestApi
from tests.worlds.simulated import SimulatedWorld, StandStill
from tests.worlds.simulated_airflow import SimulatedAirflow
from tests.worlds.world import target

ENVIRONMENTS = ("sales", "finance", "hr")
ORDERS = "s3://lake/orders/eu"

CARRIED_OUT_LATE = 65.0
"""Seconds: the time limit of a request, and a minute."""

AssetCase = Callable[[SimulatedWorld], None]


def _bridged(world: SimulatedWorld, *consumers: str, **more: Any) -> None:
    """``sales`` hands on its events, and everybody knows the asset."""
    for airflow in world.airflows.values():
        airflow.assets.add(ORDERS)
    world.dependencies({"assets": [{"from": "sales", "to": [*consumers], **more}]})


def emit(
    world: SimulatedWorld,
    uri: str = ORDERS,
    *,
    environment: str = "sales",
    dag: str = "load",
    run: str = "run",
    **more: Any,
) -> None:
    """A task emits an event."""
    airflow = world.airflows[environment]
    airflow.assets.add(uri)
    asset_id = next(one for one, known in airflow.assets.uris.items() if known == uri)
    airflow.assets.emit(asset_id, at=airflow.now(), source=(dag, run, "publish"), **more)


def emitted(world: SimulatedWorld, environment: str, uri: str = ORDERS) -> int:
    """How many events of an asset an environment has."""
    return len(world.airflows[environment].assets.of(uri))


def deliveries(world: SimulatedWorld, consumer: str, *, once: bool = False) -> list[TriggerRecord]:
    """The records of the deliveries from ``sales`` to an environment."""
    prefix = f"{world.keys.root}trigger/{consumer}/assets {'once ' if once else ''}from sales/"
    found = [read_record(item.value) for item in world.store.list(prefix).items]
    assert all(isinstance(record, TriggerRecord) for record in found)
    return [record for record in found if isinstance(record, TriggerRecord)]


class _Intercepted(RestApi):
    """Finance's API, whose next emission is left to ``act``; it gets what would carry it out."""

    def __init__(self, airflow: SimulatedAirflow, act: Callable[[Callable[[], Answer]], Answer]) -> None:
        super().__init__(airflow)
        self._act: Callable[[Callable[[], Answer]], Answer] | None = act

    def answer(self, kind: str | None, call: Call) -> Answer:
        if kind == "emit" and self._act is not None:
            act, self._act = self._act, None
            return act(lambda: super(_Intercepted, self).answer(kind, call))
        return super().answer(kind, call)


def _intercept(world: SimulatedWorld, act: Callable[[Callable[[], Answer]], Answer]) -> None:
    airflow = world.airflows["finance"]
    airflow.api = _Intercepted(airflow, act)


def _dies(world: SimulatedWorld) -> None:
    """The watcher is killed in the middle of a request."""
    world.stop_watcher()
    raise StandStill


@pytest.mark.promise("assets")
def case_event_arrives_once(world: SimulatedWorld) -> None:
    """The consumer gets the event, once, with what it says and where it comes from. Nobody else gets it."""
    _bridged(world, "finance")
    emit(world, extra={"rows": 3}, partition_key="eu")
    world.settle()
    (event,) = world.airflows["finance"].assets.of(ORDERS)
    ours = event.extra["coordinator"]
    assert event.extra["rows"] == 3
    assert event.partition_key == "eu"
    assert ours["path"] == ["sales"]
    assert [ours[name] for name in ("dag_id", "run_id", "task_id")] == ["load", "run", "publish"]
    assert emitted(world, "hr") == 0
    (record,) = deliveries(world, "finance")
    assert record.status is Status.DONE


@pytest.mark.promise("assets")
def case_watcher_off(world: SimulatedWorld) -> None:
    """Events from while no watcher ran arrive afterwards."""
    _bridged(world, "finance")
    world.stop_watcher()
    emit(world, run="one")
    emit(world, run="two")
    world.start_watcher()
    world.settle()
    assert [event.extra["coordinator"]["run_id"] for event in world.airflows["finance"].assets.of(ORDERS)] == [
        "one",
        "two",
    ]


@pytest.mark.promise("assets")
def case_consumer_away_for_hours(world: SimulatedWorld) -> None:
    """Of two consumers one is away for hours: the other one gets the event at once, and this one gets it later."""
    _bridged(world, "finance", "hr")
    world.down("finance")
    emit(world)
    emit(world, run="another")
    world.settle()
    assert emitted(world, "hr") == 2
    world.clock.seconds += 4 * 3600
    world.settle()
    world.up("finance")
    world.settle_until(lambda: emitted(world, "finance") == 2, "finance has both")
    world.settle()
    assert [emitted(world, one) for one in ("finance", "hr")] == [2, 2]


@pytest.mark.promise("assets")
def case_unknown_asset_is_parked(world: SimulatedWorld) -> None:
    """What the consumer does not know is blocked, with the answer, and arrives when the asset appears."""
    _bridged(world, "finance")
    emit(world, "s3://lake/new")
    emit(world)
    world.settle()
    assert emitted(world, "finance") == 1, "an unknown asset holds up no other"
    (blocked,) = [record for record in deliveries(world, "finance") if record.status is Status.BLOCKED]
    assert blocked.last_error is not None
    assert "knows no asset s3://lake/new" in blocked.last_error
    world.airflows["finance"].assets.add("s3://lake/new")
    world.settle_until(lambda: emitted(world, "finance", "s3://lake/new") == 1, "the parked event arrives")
    world.settle()
    assert emitted(world, "finance", "s3://lake/new") == 1


@pytest.mark.promise("assets")
def case_parked_event_is_replayed_at_once(world: SimulatedWorld) -> None:
    """A person says that the asset is there: nobody waits for the next slow attempt."""
    _bridged(world, "finance")
    emit(world, "s3://lake/new")
    world.settle_until(lambda: any(r.status is Status.BLOCKED for r in deliveries(world, "finance")), "it is parked")
    world.airflows["finance"].assets.add("s3://lake/new")
    (item,) = world.store.list(f"{world.keys.root}asset/sales/").items
    began = world.clock.seconds
    world.order("finance/assets from sales", "release", partition=item.key.rpartition("/")[2])
    world.settle_until(lambda: emitted(world, "finance", "s3://lake/new") == 1, "it arrives")
    assert world.clock.seconds - began < 10
    world.settle()
    assert emitted(world, "finance", "s3://lake/new") == 1


@pytest.mark.promise("assets")
def case_parked_event_is_left_out(world: SimulatedWorld) -> None:
    """The bridge is edited so that a parked event is not handed on: it is parked no more, and arrives no more."""
    _bridged(world, "finance")
    emit(world, "s3://lake/new")
    world.settle_until(lambda: any(r.status is Status.BLOCKED for r in deliveries(world, "finance")), "it is parked")
    _bridged(world, "finance", **{"except": ["s3://lake/new"]})
    world.settle()
    assert [record.status for record in deliveries(world, "finance")] == [Status.WITHDRAWN]
    world.airflows["finance"].assets.add("s3://lake/new")
    world.clock.seconds += 600
    world.settle()
    assert emitted(world, "finance", "s3://lake/new") == 0


@pytest.mark.promise("assets")
def case_killed_before_request(world: SimulatedWorld) -> None:
    """The watcher is killed between intent and request: its successor finds nothing there, waits, and sends it."""
    _bridged(world, "finance")

    def act(carry_out: Callable[[], Answer]) -> Answer:
        del carry_out
        _dies(world)
        raise AssertionError

    _intercept(world, act)
    emit(world)
    world.settle()
    assert emitted(world, "finance") == 0
    world.start_watcher()
    began = world.clock.seconds
    world.settle_until(lambda: emitted(world, "finance") == 1, "the successor sends it")
    assert world.clock.seconds - began >= CARRIED_OUT_LATE
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_killed_before_answer(world: SimulatedWorld) -> None:
    """The watcher is killed between request and answer: its successor finds the event there, and sends nothing."""
    _bridged(world, "finance")

    def act(carry_out: Callable[[], Answer]) -> Answer:
        carry_out()
        _dies(world)
        raise AssertionError

    _intercept(world, act)
    emit(world)
    world.settle()
    world.start_watcher()
    world.settle_until(lambda: deliveries(world, "finance")[0].status is Status.DONE, "the successor knows")
    world.clock.seconds += 600
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_answer_lost_and_found(world: SimulatedWorld) -> None:
    """Finance carries a request out, and the answer is lost: asking finds the event."""
    _bridged(world, "finance")

    def act(carry_out: Callable[[], Answer]) -> Answer:
        carry_out()
        raise EnvironmentUnavailable("no answer: timed out")

    _intercept(world, act)
    emit(world)
    world.settle()
    assert deliveries(world, "finance")[0].status is Status.DONE
    world.clock.seconds += 600
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_carried_out_late(world: SimulatedWorld) -> None:
    """An answer is lost, and finance carries the request out half a minute later: it is found, and not repeated."""
    _bridged(world, "finance")
    waiting: list[Callable[[], Answer]] = []

    def act(carry_out: Callable[[], Answer]) -> Answer:
        waiting.append(carry_out)
        raise EnvironmentUnavailable("no answer: timed out")

    _intercept(world, act)
    emit(world)
    world.settle_until(lambda: bool(waiting), "the request is sent")
    world.live_until(world.clock.now() + timedelta(seconds=30))
    assert emitted(world, "finance") == 0
    waiting[0]()
    world.settle()
    world.clock.seconds += 600
    world.settle()
    assert emitted(world, "finance") == 1
    assert deliveries(world, "finance")[0].status is Status.DONE


@pytest.mark.promise("assets")
def case_request_lost(world: SimulatedWorld) -> None:
    """A request is lost: it is sent again, once its time limit and a minute are over, in which it was not found."""
    _bridged(world, "finance")

    def act(carry_out: Callable[[], Answer]) -> Answer:
        del carry_out
        raise EnvironmentUnavailable("no answer: timed out")

    _intercept(world, act)
    emit(world)
    began = world.clock.seconds
    world.settle_until(lambda: emitted(world, "finance") == 1, "it is sent again")
    assert world.clock.seconds - began >= CARRIED_OUT_LATE
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_back_and_forth_ends(world: SimulatedWorld) -> None:
    """Two documents hand on to each other, which nobody has noticed: an event goes to nobody whom it has passed."""
    for environment, other in (("sales", "finance"), ("finance", "sales")):
        world.airflows[environment].assets.add(ORDERS)
        text = json.dumps({"assets": [{"from": environment, "to": [other]}]})
        document = parse_document(text, source="case")
        key = world.keys.dependencies(other)
        world.write(Put(key, dump_publication(publish(document, None, 0, Terms(world.clock.now())))))
    world.settle()
    emit(world)
    world.settle()
    world.clock.seconds += 600
    world.settle()
    assert [emitted(world, one) for one in ("sales", "finance")] == [1, 1]


@pytest.mark.promise("assets")
def case_from_one_to_the_next(world: SimulatedWorld) -> None:
    """An event goes on over two bridges, and says where it comes from."""
    for airflow in world.airflows.values():
        airflow.assets.add(ORDERS)
    world.dependencies({"assets": [{"from": "sales", "to": ["finance"]}, {"from": "finance", "to": ["hr"]}]})
    emit(world)
    world.settle()
    (event,) = world.airflows["hr"].assets.of(ORDERS)
    assert event.extra["coordinator"]["path"] == ["sales", "finance"]
    assert event.extra["coordinator"]["run_id"] == "run"


@pytest.mark.promise("assets")
def case_cleared_producer_is_forwarded(world: SimulatedWorld) -> None:
    """The producer is cleared and emits again: with ``forward``, the consumer gets that too."""
    _bridged(world, "finance")
    emit(world)
    world.settle()
    emit(world)
    world.settle()
    assert emitted(world, "finance") == 2


@pytest.mark.promise("assets")
def case_cleared_producer_is_handed_on_once(world: SimulatedWorld) -> None:
    """With ``once`` it does not; another run is another event."""
    _bridged(world, "finance", rerun="once")
    emit(world)
    world.settle()
    emit(world)
    world.settle()
    assert emitted(world, "finance") == 1
    emit(world, run="another")
    world.settle()
    assert emitted(world, "finance") == 2


@pytest.mark.promise("assets")
def case_cleared_while_the_consumer_is_away(world: SimulatedWorld) -> None:
    """Both events of one origin wait for the consumer: it gets the newer one."""
    _bridged(world, "finance", rerun="once")
    world.down("finance")
    emit(world, extra={"attempt": 1})
    emit(world, extra={"attempt": 2})
    world.settle()
    world.up("finance")
    world.settle()
    (event,) = world.airflows["finance"].assets.of(ORDERS)
    assert event.extra["attempt"] == 2


@pytest.mark.promise("assets", "not-for-the-past")
def case_bridge_added_later(world: SimulatedWorld) -> None:
    """A bridge, a consumer and a pattern that are added hand on nothing from before."""
    _bridged(world, "hr", match=["s3://other/*"])
    emit(world)
    world.settle()
    _bridged(world, "hr", "finance", match=["s3://other/*", "s3://lake/*"])
    world.settle()
    assert [emitted(world, one) for one in ("finance", "hr")] == [0, 0]
    emit(world)
    world.settle()
    assert [emitted(world, one) for one in ("finance", "hr")] == [1, 1]


@pytest.mark.promise("assets")
def case_pattern_added_while_events_wait(world: SimulatedWorld) -> None:
    """An edit of a bridge loses nothing that waits, nor hands it on twice."""
    _bridged(world, "finance", match=["s3://lake/*"])
    world.down("finance")
    emit(world)
    world.settle()
    _bridged(world, "finance", match=["s3://lake/*", "s3://lake/orders/*"], **{"except": ["s3://lake/tmp/*"]})
    world.up("finance")
    world.settle_until(lambda: emitted(world, "finance") == 1, "it arrives")
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_bridge_removed_while_events_wait(world: SimulatedWorld) -> None:
    """A bridge is taken out while an event waits: it is not handed on. Put back in time, it is."""
    _bridged(world, "finance")
    world.down("finance")
    emit(world)
    world.settle()
    world.dependencies({"D": ["U"]})
    world.up("finance")
    world.clock.seconds += 600
    world.settle()
    assert emitted(world, "finance") == 0
    _bridged(world, "finance")
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_match_and_except(world: SimulatedWorld) -> None:
    """Only events that a pattern lets through are handed on."""
    uris = [ORDERS, "s3://lake/orders/tmp/1", "s3://lake/other"]
    _bridged(world, "finance", match=["s3://lake/orders/*"], **{"except": ["*/tmp/*"]})
    world.airflows["finance"].assets.add(*uris)
    for uri in uris:
        emit(world, uri)
    world.settle()
    assert [emitted(world, "finance", uri) for uri in uris] == [1, 0, 0]
    assert len(deliveries(world, "finance")) == 1


@pytest.mark.promise("assets")
def case_event_for_named_environments(world: SimulatedWorld) -> None:
    """An explicit bridge hands on only what an operator emits for that consumer; another one hands on what is heard."""
    for airflow in world.airflows.values():
        airflow.assets.add(ORDERS)
    bridges = [{"from": "sales", "to": ["finance"], "explicit": True}, {"from": "sales", "to": ["hr"]}]
    world.dependencies({"assets": bridges})
    emit(world)
    world.settle()
    assert [emitted(world, one) for one in ("finance", "hr")] == [0, 1]
    told = AssetEventDocument(uri=ORDERS, to=["finance"], timestamp=world.clock.now())
    write_event(world.store, world.keys, "sales", new_event_id(told), told)
    world.settle()
    assert [emitted(world, one) for one in ("finance", "hr")] == [1, 1]


@pytest.mark.promise("assets")
def case_held(world: SimulatedWorld) -> None:
    """Deliveries can be held and released like any pipeline."""
    _bridged(world, "finance")
    world.hold("finance/assets from sales")
    emit(world)
    world.settle()
    assert emitted(world, "finance") == 0
    world.release("finance/assets from sales")
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_delivered_twice_to_etcd(world: SimulatedWorld) -> None:
    """A sender delivers an event again, even once it was removed from etcd by hand: it is the same one."""
    _bridged(world, "finance")
    emit(world)
    world.settle()
    (item,) = world.store.list(f"{world.keys.root}asset/sales/").items
    world.write(Put(item.key, item.value))
    world.settle()
    world.write(Delete(item.key))
    world.settle()
    world.write(Put(item.key, item.value))
    world.settle()
    assert emitted(world, "finance") == 1


@pytest.mark.promise("assets")
def case_old_events_are_removed(world: SimulatedWorld) -> None:
    """Old events and their deliveries are removed, whatever else is kept; newer ones arrive all the same. What is
    parked is kept."""
    world.retain(assets="2 days")
    _bridged(world, "finance")
    emit(world)
    emit(world, "s3://lake/unbridged", environment="hr")
    world.settle()
    assert [_keys(world, f"asset/{one}/") for one in ENVIRONMENTS] == [1, 1, 1]
    world.clock.seconds += 3 * 86400
    world.settle()
    emit(world)
    world.clock.seconds += 3600
    world.settle()
    assert emitted(world, "finance") == 2
    assert [_keys(world, f"asset/{one}/") for one in ENVIRONMENTS] == [1, 1, 0]
    assert len(deliveries(world, "finance")) == 1
    emit(world, "s3://lake/new")
    world.settle()
    world.clock.seconds += 5 * 86400
    world.settle()
    assert [record.status for record in deliveries(world, "finance")] == [Status.BLOCKED]
    world.airflows["finance"].assets.add("s3://lake/new")
    world.settle_until(lambda: emitted(world, "finance", "s3://lake/new") == 1, "the parked event arrives")
    assert emitted(world, "finance") == 2


@pytest.mark.promise("assets")
def case_old_events_of_one_origin_are_removed(world: SimulatedWorld) -> None:
    """With ``once``, too; another run is handed on afterwards."""
    world.retain(assets="2 days")
    _bridged(world, "finance", rerun="once")
    emit(world)
    emit(world)
    world.settle()
    world.clock.seconds += 3 * 86400
    world.settle()
    world.clock.seconds += 3 * 3600
    world.settle()
    assert _keys(world, "asset/") == 0
    assert deliveries(world, "finance", once=True) == []
    emit(world, run="another")
    world.settle()
    assert emitted(world, "finance") == 2


@pytest.mark.promise("assets", "orders")
def case_a_person_sends_one_again(world: SimulatedWorld) -> None:
    """An order emits the same event once more."""
    _bridged(world, "finance")
    emit(world)
    world.settle()
    (item,) = world.store.list(f"{world.keys.root}asset/sales/").items
    world.order("finance/assets from sales", "rerun", partition=item.key.rpartition("/")[2])
    world.settle()
    first, second = world.airflows["finance"].assets.of(ORDERS)
    assert first.extra == second.extra


def case_orders_for_what_is_no_dag(world: SimulatedWorld) -> None:
    """Orders that somebody has put by hand: nothing is started for events, for deliveries without a bridge, or for an
    event that is gone."""
    _bridged(world, "finance")
    given = dump_order(GivenOrder(Order.RERUN))
    for name in ("sales/asset events", "hr/assets from sales", "finance/assets from sales"):
        world.write(Put(world.keys.order(target(name, "gone")), given))
    world.settle()
    assert [emitted(world, one) for one in ENVIRONMENTS] == [0, 0, 0]
    assert not any(airflow.runs for airflow in world.airflows.values())
    assert [record.status for record in deliveries(world, "finance")] == [Status.BLOCKED]
    emit(world)
    world.settle()
    assert emitted(world, "finance") == 1


def _keys(world: SimulatedWorld, kind: str) -> int:
    return len(world.store.list(f"{world.keys.root}{kind}").items)


CASES: dict[str, AssetCase] = {name: script for name, script in globals().items() if name.startswith("case_")}
