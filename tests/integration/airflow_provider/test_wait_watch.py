"""Sensors of a triggerer: one watch for all, which survives whatever happens to etcd or to the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.airflow_provider import trigger, wait_watch
from coordinator.airflow_provider.wait_watch import answer_to
from coordinator.config.etcd import EtcdSettings
from coordinator.model.conditions import On
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import State
from coordinator.model.waits import Completion, Wait, WaitStatus, dump_wait, passed, read_wait
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, Transaction

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WAIT = Wait(WaitStatus.WAITING, Target(PipelineRef("default", "U"), "k"), On.SUCCESS, "the id", 1, NOON)
PASSED = passed(WAIT, Completion(7, State.SUCCESS, "r"), NOON)


def key_of(keys: Keys, number: int = 0) -> str:
    return keys.wait(WaitRef(Target(PipelineRef("default", "D"), "k"), "r", f"sensor_{number}", -1))


def put(store: EtcdStore, key: str, wait: Wait | bytes) -> None:
    value = wait if isinstance(wait, bytes) else dump_wait(wait)
    store.commit(Transaction((), (Put(key, value),)))


@pytest.fixture(autouse=True)
def _own_watches() -> Iterator[None]:
    yield
    for *_, watch in wait_watch._watches:
        watch.close()
    wait_watch._watches.clear()


async def until(holds: object) -> None:
    """Wait for something that another thread brings about."""
    while not holds():  # type: ignore[operator]
        await asyncio.sleep(0.01)


def run(scenario: object) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))  # type: ignore[arg-type]


def test_an_answer_that_is_there_already_is_taken(etcd: EtcdStore, etcd_settings: EtcdSettings, keys: Keys) -> None:
    async def scenario() -> None:
        put(etcd, key_of(keys), PASSED)
        assert read_wait(await answer_to(etcd_settings, "default", key_of(keys), dump_wait(WAIT))) == PASSED

    run(scenario())


def test_five_hundred_sensors_have_one_watch(etcd: EtcdStore, etcd_settings: EtcdSettings, keys: Keys) -> None:
    async def scenario() -> None:
        for number in range(500):
            put(etcd, key_of(keys, number), WAIT)
        sensors = [
            asyncio.create_task(answer_to(etcd_settings, "default", key_of(keys, number), dump_wait(WAIT)))
            for number in range(500)
        ]
        await until(lambda: wait_watch._watches and sum(map(len, only_watch()._listeners.values())) == 500)
        for number in range(500):
            put(etcd, key_of(keys, number), PASSED)
        assert {read_wait(value) == PASSED for value in await asyncio.gather(*sensors)} == {True}
        assert not only_watch()._listeners

    def only_watch() -> wait_watch.WaitWatch:
        ((*_, watch),) = wait_watch._watches
        return watch

    run(scenario())


def test_a_changed_password_is_used(etcd_settings: EtcdSettings) -> None:
    """Sensors that come after the change have a watch of their own, and need no restart of the triggerer."""

    def watch(password: str) -> wait_watch.WaitWatch:
        settings = etcd_settings.model_copy(update={"username": "sensor"})
        settings.give_password(password, owner="the Airflow connection")
        return wait_watch._watch_of(settings, "default")

    before = watch("before")
    assert watch("before") is before
    assert watch("after") is not before


@pytest.mark.parametrize("how", ["deleted", "rubbish"])
def test_a_wait_that_was_removed_is_written_again(
    etcd: EtcdStore, etcd_settings: EtcdSettings, keys: Keys, how: str
) -> None:
    def stands() -> bool:
        found = etcd.get(key_of(keys))
        return found is not None and read_wait(found.value) == WAIT

    async def scenario() -> None:
        sensor = asyncio.create_task(answer_to(etcd_settings, "default", key_of(keys), dump_wait(WAIT)))
        await until(stands)
        if how == "deleted":
            etcd.commit(Transaction((), (Delete(key_of(keys)),)))
        else:
            put(etcd, key_of(keys), b"\x00 rubbish")
        await until(stands)
        put(etcd, key_of(keys), PASSED)
        assert read_wait(await sensor) == PASSED

    run(scenario())


def test_the_answer_to_a_later_attempt_is_none_of_ours(
    etcd: EtcdStore, etcd_settings: EtcdSettings, keys: Keys
) -> None:
    """The sensor was cleared, and its earlier attempt has not been cancelled yet: it overwrites nothing."""
    later = Wait(WaitStatus.WAITING, WAIT.upstream, On.SUCCESS, "another id", 2, NOON)

    async def scenario() -> None:
        put(etcd, key_of(keys), later)
        ours = asyncio.create_task(answer_to(etcd_settings, "default", key_of(keys), dump_wait(WAIT)))
        theirs = asyncio.create_task(answer_to(etcd_settings, "default", key_of(keys), dump_wait(later)))
        put(etcd, key_of(keys), passed(later, Completion(9, State.SUCCESS, "r"), NOON))
        found = read_wait(await theirs)
        assert isinstance(found, Wait)
        assert found.task_instance == "another id"
        assert not ours.done()
        ours.cancel()

    run(scenario())


@pytest.mark.promise("downtime")
def test_an_answer_that_came_before_a_late_write_stays(
    etcd: EtcdStore, etcd_settings: EtcdSettings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer that was cut off from etcd has not seen that the wait is there, and writes it when the line is back:
    by then it has been answered."""
    write = wait_watch.WaitWatch.write

    def late(watch: wait_watch.WaitWatch, key: str, wait: Wait) -> None:
        put(etcd, key, WAIT)
        put(etcd, key, PASSED)
        write(watch, key, wait)

    monkeypatch.setattr(wait_watch.WaitWatch, "write", late)

    async def scenario() -> None:
        assert read_wait(await answer_to(etcd_settings, "default", key_of(keys), dump_wait(WAIT))) == PASSED
        found = etcd.get(key_of(keys))
        assert found is not None
        assert read_wait(found.value) == PASSED

    run(scenario())


@pytest.mark.promise("downtime")
def test_a_late_write_of_an_earlier_attempt_is_replaced(
    etcd: EtcdStore, etcd_settings: EtcdSettings, keys: Keys
) -> None:
    """Otherwise that one would be answered, and the present one would wait for ever."""
    later = Wait(WaitStatus.WAITING, WAIT.upstream, On.SUCCESS, "another id", 2, NOON)

    def stands() -> bool:
        found = etcd.get(key_of(keys))
        return found is not None and read_wait(found.value) == later

    async def scenario() -> None:
        ours = asyncio.create_task(answer_to(etcd_settings, "default", key_of(keys), dump_wait(later)))
        await until(stands)
        put(etcd, key_of(keys), WAIT)
        await until(stands)
        put(etcd, key_of(keys), passed(later, Completion(9, State.SUCCESS, "r"), NOON))
        await ours

    run(scenario())


@pytest.mark.slow
def test_etcd_that_was_away_is_followed_again(tmp_path: Path) -> None:
    keys = Keys("/away")

    async def scenario() -> None:
        with EmbeddedEtcd(tmp_path / "etcd") as server:
            settings = EtcdSettings(endpoints=[server.endpoint], prefix=keys.prefix, timeout=1.0)
            store = connect(settings)
            put(store, key_of(keys), WAIT)
            sensor = asyncio.create_task(answer_to(settings, "default", key_of(keys), dump_wait(WAIT)))
            await until(lambda: wait_watch._watches and wait_watch._watches[0][-1]._values)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            put(store, key_of(keys), PASSED)
            assert read_wait(await sensor) == PASSED
            store.close()
            for *_, watch in wait_watch._watches:
                watch.close()
            wait_watch._watches.clear()

    run(scenario())


def test_the_log_of_the_task_says_why_etcd_cannot_be_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setattr(trigger, "TOLD_AFTER", 0.05)
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", f'["127.0.0.1:{port}"]')
    printed: list[str] = []
    told = f"the triggerer cannot follow etcd 127.0.0.1:{port}"

    async def scenario() -> None:
        waiting = asyncio.ensure_future(anext(trigger.WaitTrigger("/key", dump_wait(WAIT).decode(), "default").run()))
        await until(lambda: printed.append(capsys.readouterr().out) or told in "".join(printed))
        waiting.cancel()

    run(scenario())
    assert f"waits for the answer in etcd 127.0.0.1:{port}" in "".join(printed)
