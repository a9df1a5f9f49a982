"""Who resigns lets a successor lead at once: no request of its own may be under way by then."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.config.settings import Settings
from coordinator.controller.messages import Message
from coordinator.controller.service import Watcher
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action
from coordinator.runners.port import Outcome, Permit, StartRequest
from coordinator.store.memory import MemoryEtcd, MemoryStore
from tests.unit.controller.test_dispatcher import FakeRunner

PATIENCE = 10.0
ANSWERED_AFTER = 0.3
"""Seconds. A watcher that resigns without waiting has done so by then."""


class SlowRunner(FakeRunner):
    """Its answer comes after the watcher has broken down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.resigned = threading.Event()
        self.happened: list[str] = []

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        self.asked.set()
        self.resigned.wait(ANSWERED_AFTER)
        self.happened.append("answered")
        return super().start(request, permit=permit)


@pytest.mark.slow
@pytest.mark.promise("leader-only")
def test_a_watcher_that_breaks_down_resigns_after_the_answer_to_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = SlowRunner()
    settings = Settings(environments={"default": AirflowSettings(url="http://127.0.0.1:1")})
    watcher = Watcher(settings, store=MemoryStore(MemoryEtcd()), runners={"default": runner})
    step, resign = watcher.reconciler.step, watcher._candidate.resign

    def break_down(messages: Iterable[Message], *, lag: float) -> bool:
        leader_gone = step(messages, lag=lag)
        if watcher.reconciler.leads:
            dispatcher, now = watcher._dispatchers.get("default"), watcher._clock.monotonic()
            assert dispatcher is not None
            dispatcher.send(Target(PipelineRef("default", "d"), "p"), StartRequest("d", Action.CREATE, "r", "t"), now)
            dispatcher.pump(now)
            assert runner.asked.wait(PATIENCE)
            raise RuntimeError("a defect")
        return leader_gone

    def resigned() -> None:
        resign()
        runner.happened.append("resigned")
        runner.resigned.set()

    monkeypatch.setattr(watcher.reconciler, "step", break_down)
    monkeypatch.setattr(watcher._candidate, "resign", resigned)
    with pytest.raises(RuntimeError, match="a defect"):
        watcher.run(max_runtime=PATIENCE)
    assert runner.happened == ["answered", "resigned"]
