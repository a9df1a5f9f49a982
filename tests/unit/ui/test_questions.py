"""Few questions at a time, within a time limit, and equal ones once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import StoreUnavailable
from coordinator.ui import questions
from coordinator.ui.questions import NoAnswer, Questions


class Gate:
    """A question that waits until it may go on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.under_way = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, *_: object) -> int:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        assert self.may_go_on.wait(30)
        with self._lock:
            self.under_way -= 1
        return 7


def run(test: Callable[[Questions], Awaitable[Any]], **bounds: int) -> Any:
    async def main() -> Any:
        return await test(Questions(MemoryStore(MemoryEtcd()), Keys(), **bounds))

    return asyncio.run(main())


def test_few_questions_are_asked_at_a_time() -> None:
    gate = Gate()

    async def test(asked: Questions) -> None:
        tasks = [asyncio.create_task(asked.ask(number, gate)) for number in range(6)]
        while gate.under_way < 2:
            await asyncio.sleep(0)
        gate.may_go_on.set()
        assert await asyncio.gather(*tasks) == [7] * 6

    run(test, at_once=2)
    assert gate.most == 2


def test_the_same_question_is_asked_once_for_all_who_ask_it() -> None:
    asked = []

    async def test(questions: Questions) -> None:
        question = lambda *_: asked.append(1) or "answer"  # noqa: E731
        both = await asyncio.gather(questions.ask("same", question), questions.ask("same", question))
        assert [*both, await questions.ask("same", question)] == ["answer"] * 3
        assert await questions.ask("another", question) == "answer"

    run(test)
    assert len(asked) == 2


def test_an_answer_is_forgotten_after_a_moment_and_a_failure_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "GOOD_FOR", 0.01)
    asked = []

    async def test(questions: Questions) -> None:
        def question(*_: object) -> int:
            asked.append(1)
            return len(asked)

        first = await questions.ask("q", question)
        while (now := await questions.ask("q", question)) == first:
            await asyncio.sleep(0.005)
        assert now == 2

    run(test)


def test_too_many_questions_are_refused_and_those_that_wait_are_answered() -> None:
    gate = Gate()

    async def test(questions: Questions) -> None:
        tasks = [asyncio.create_task(questions.ask(number, gate)) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(NoAnswer, match="3 other questions wait") as refused:
            await questions.ask("one more", gate)
        assert refused.value.kind == "busy"
        gate.may_go_on.set()
        assert await asyncio.gather(*tasks) == [7] * 3

    run(test, at_once=1, most=3)


def test_what_takes_too_long_is_said_and_keeps_its_place() -> None:
    gate = Gate()

    async def test(questions: Questions) -> None:
        with pytest.raises(NoAnswer, match=r"more than 0\.05 seconds") as slow:
            await questions.ask("slow", gate, within=0.05)
        assert slow.value.kind == "slow"
        with pytest.raises(NoAnswer, match=r"more than 0\.05 seconds"):
            await questions.ask("another", lambda *_: 1, within=0.05)
        gate.may_go_on.set()
        assert await questions.ask("slow", gate) == 7, "it went on"
        assert await questions.ask("another", lambda *_: 1) == 1

    run(test, at_once=1)


def test_it_is_known_since_when_etcd_is_away() -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("no answer")

    async def test(questions: Questions) -> None:
        assert questions.away_since is None
        with pytest.raises(StoreUnavailable):
            await questions.ask("a", away)
        since = questions.away_since
        assert since is not None
        with pytest.raises(StoreUnavailable):
            await questions.ask("b", away)
        assert questions.away_since == since
        await questions.ask("c", lambda *_: 1)
        assert questions.away_since is None

    run(test)


def test_another_error_does_not_mean_that_etcd_is_away() -> None:
    def wrong(*_: object) -> None:
        raise KeyError("a defect")

    async def test(questions: Questions) -> None:
        with pytest.raises(KeyError):
            await questions.ask("a", wrong)
        assert questions.away_since is None

    run(test)


def test_answers_that_are_kept_take_no_place() -> None:
    """While much changes, each change makes another question."""

    async def test(asked: Questions) -> list[int]:
        return [await asked.ask(number, lambda *_, number=number: number, good_for=60.0) for number in range(20)]

    assert run(test, most=3) == [*range(20)]


def test_an_answer_from_what_is_known_does_not_say_that_etcd_is_back() -> None:
    def away(*_: object) -> int:
        raise StoreUnavailable("gone")

    async def test(asked: Questions) -> None:
        with pytest.raises(StoreUnavailable):
            await asked.ask("etcd", away)
        since = asked.away_since
        assert since is not None
        await asked.ask("known", lambda *_: 1, asks_etcd=False)
        assert asked.away_since == since
        await asked.ask("etcd again", lambda *_: 1)
        assert asked.away_since is None

    run(test)
