"""A mistake in the thread that reads etcd makes no watcher deaf."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

import pytest

from coordinator.config.settings import Settings
from coordinator.controller import service
from coordinator.controller.service import Watcher
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.reflector import Reflector, Update

PATIENCE = 20.0


def _until(condition: Callable[[], bool]) -> None:
    until = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < until, "it does not come to that"
        threading.Event().wait(0.01)


@pytest.mark.slow
@pytest.mark.promise("downtime")
def test_it_is_told_as_a_lost_watch_and_reading_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TICK", 0.3)
    watcher = Watcher(Settings(), store=MemoryStore(MemoryEtcd()), runners={})
    is_broken, was_lost = threading.Event(), threading.Event()
    step, take = Reflector.step, watcher.reconciler.step

    def break_down(self: Reflector, timeout: float) -> Update | None:
        if is_broken.is_set():
            raise RuntimeError("a defect")
        return step(self, min(timeout, 0.05))

    def noticing(*arguments: object, **named: object) -> None:
        take(*arguments, **named)  # type: ignore[arg-type]
        if is_broken.is_set() and not watcher.reconciler.connected:
            was_lost.set()

    monkeypatch.setattr(Reflector, "step", break_down)
    monkeypatch.setattr(watcher.reconciler, "step", noticing)
    running = threading.Thread(target=watcher.run, daemon=True)
    running.start()
    try:
        _until(lambda: watcher.health().leads)
        is_broken.set()
        assert was_lost.wait(PATIENCE)
        is_broken.clear()
        _until(lambda: watcher.health().connected)
    finally:
        watcher.stop()
        running.join(PATIENCE)
    assert not running.is_alive()
