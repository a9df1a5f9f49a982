"""Listeners and senders: on a full disk, killed, frozen, cut off from etcd."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable

import pytest

from tests.faults.line import Way
from tests.faults.listening import ListeningStage
from tests.faults.registry import Struck, fault
from tests.faults.stage import WATCHER, Stage, pause
from tests.faults.strikes.lines import WORDS, broken
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("reporting", "following")

GROUP = "reporters"
FOLLOWED_AFTER = WATCHER.follow_after
BEHIND = 4.0


def _listening(stage: Stage) -> ListeningStage:
    assert isinstance(stage, ListeningStage)
    return stage


def _wave_goes(struck: Struck) -> None:
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.6))


def _wake(stage: Stage) -> None:
    """As with the next event of each Airflow."""
    for sender in stage.senders.values():
        sender.wake()


@fault(
    "the disk of the outboxes is full",
    group=GROUP,
    asserts="the listeners raise what they could not keep; the watcher finds out by itself what became of it",
    kind=ListeningStage,
    behind=BEHIND,
    in_every_test_run=True,
)
def fill(struck: Struck) -> None:
    stage = _listening(struck.stage)
    listeners = list(stage.listeners.values())
    for listener in listeners:
        listener.lost.clear()
        listener.fill()
    struck.workload.end_sources()
    until(struck.workload.sources_are_known_to_have_ended, "the watcher has found out about the sources")
    pause(struck.workload.dice.uniform(0.0, 2 * FOLLOWED_AFTER))
    for listener in listeners:
        listener.free()
    lost = [reason for listener in listeners for reason in listener.lost]
    assert lost
    assert all("No space left" in reason or "File too large" in reason for reason in lost), lost


@fault("the senders cannot write their logs", group=GROUP, asserts="the same ones go on delivering")
def fill_logs(struck: Struck) -> None:
    stage = struck.stage
    processes = [stage.sender_process(name) for name in stage.senders]
    for process in processes:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    struck.workload.end_sources()
    stage.await_rest()
    for process in processes:
        assert process.poll() is None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert [stage.sender_process(name) for name in stage.senders] == processes


@fault("the senders: kill -9", group=GROUP, asserts="others take over with the next event", behind=BEHIND)
def kill(struck: Struck) -> None:
    stage = struck.stage
    processes = [stage.sender_process(name) for name in stage.senders]
    _wave_goes(struck)
    for process in processes:
        process.kill()
    pause(struck.workload.dice.uniform(0.0, 2 * FOLLOWED_AFTER))
    _wake(stage)
    successors = [stage.sender_process(name) for name in stage.senders]
    assert all(one is not gone and one.poll() is None for one, gone in zip(successors, processes, strict=True))


@fault("the senders: SIGSTOP", group=GROUP, asserts="no listener waits for them", behind=BEHIND)
def freeze(struck: Struck) -> None:
    stage = struck.stage
    processes = [stage.sender_process(name) for name in stage.senders]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    struck.workload.end_sources()  # returns when every listener has kept its end
    assert any(outbox.pending() for outbox in stage.outboxes.values())
    pause(struck.workload.dice.uniform(0.0, 3 * FOLLOWED_AFTER))
    for process in processes:
        process.send_signal(signal.SIGCONT)
    stage.await_rest()
    assert all(process.poll() is None for process in processes)


def _cut_off(way: Way) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        stage, dice = struck.stage, struck.workload.dice
        processes = [stage.sender_process(name) for name in stage.senders]
        with broken(stage.reporters_to_etcd, way):
            struck.workload.end_sources()
            until(lambda: any(outbox.pending() for outbox in stage.outboxes.values()), "reports wait")
            pause(dice.uniform(1.0, 4 * FOLLOWED_AFTER))
        stage.await_rest()
        assert all(process.poll() is None for process in processes)

    return strike


for _way, _words in WORDS.items():
    fault(
        f"senders and etcd: {_words}",
        group=GROUP,
        asserts="reports wait, and arrive late" if _way is not Way.DEAF else "reports arrive, again and again",
        behind=BEHIND,
    )(_cut_off(_way))
