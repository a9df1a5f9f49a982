"""Requests to an environment that are answered with anything, cut off, or lost in a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.faults.registry import Struck, fault
from tests.faults.sickness import EFFECTS, ONCE, QUESTIONS, SAME, Since, made, sick, the_leader_stays
from tests.faults.stage import REQUEST_TIMEOUT, pause
from tests.integration.controller.waiting import until
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("answers")

NAMED_PAUSE = 2
"""Seconds of ``Retry-After``: longer than the longest pause that a watcher makes of its own accord."""

BURST = 0.7
"""Seconds after the first refusal in which what was handed out before may still arrive."""

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class _Answer:
    status: int
    body: str | None = None

    def fault(self, *, acts: bool) -> Fault:
        return Fault.answer(self.status, self.body, acts=acts)


def _unheard(answer: _Answer, struck: Struck) -> None:
    """Nothing acts, and all is answered so, until that has happened several times."""
    since = Since(struck.stage)
    with the_leader_stays(struck), sick(struck.stage.airflows.values(), EFFECTS, answer.fault(acts=False)):
        struck.workload.end_sources()
        until(lambda: since.count(*EFFECTS, status=answer.status) >= 5, f"five answers {answer.status}", limit=30)
        assert not made(struck.stage)


def _acted(answer: _Answer, struck: Struck) -> None:
    since = Since(struck.stage)
    with the_leader_stays(struck), sick(struck.stage.airflows.values(), EFFECTS, answer.fault(acts=True)):
        struck.workload.end_sources()
        struck.workload.go_on()
    since.assert_none_was_repeated()


for _answer in (_Answer(429), _Answer(500), _Answer(502, HTML), _Answer(503)):
    for _first in (False, True):
        _doing = "creating" if _first else "clearing"
        fault(
            f"Airflow: {_answer.status}, nothing has happened, {_doing}",
            group="environments",
            asserts=SAME,
            first=_first,
        )(partial(_unheard, _answer))
        fault(
            f"Airflow: {_answer.status}, it has happened, {_doing}",
            group="environments",
            asserts=f"{SAME}; {ONCE}",
            first=_first,
        )(partial(_acted, _answer))


@fault(
    f"Airflow: 429 with Retry-After: {NAMED_PAUSE}",
    group="environments",
    asserts="no request goes out in the pause that it names",
)
def retry_after(struck: Struck) -> None:
    """Looks go on: others' pipelines stand on what they see, and they back off by themselves."""
    since = Since(struck.stage)
    refusal = Fault.answer(429, headers={"Retry-After": str(NAMED_PAUSE)})
    with the_leader_stays(struck), sick(struck.stage.airflows.values(), EFFECTS, refusal):
        struck.workload.end_sources()
        until(lambda: since.count(*EFFECTS, status=429) > 0, "an answer 429", limit=30)
        pause(2.5 * NAMED_PAUSE)
    for name, found in since.requests(*EFFECTS).items():
        first = min((one.arrived for one in found if one.status == 429), default=None)
        early = [one for one in found if first is not None and BURST < one.arrived - first < NAMED_PAUSE]
        assert not early, f"{name} was asked while it wanted to be left alone: {early}"


@fault("Airflow: answers anything", group="environments", asserts=SAME, in_soak=True)
def anything(struck: Struck) -> None:
    dice = struck.workload.dice
    palette: list[Callable[[], Fault]] = [
        lambda: Fault.late(0.0),
        lambda: Fault.late(dice.uniform(0.0, 2 * REQUEST_TIMEOUT)),
        Fault.cut_before,
        Fault.cut_after,
        lambda: Fault.answer(dice.choice((408, 429, 500, 502, 503, 504)), acts=dice.random() < 0.5),
        lambda: Fault.answer(dice.choice((200, 302, 404, 502)), HTML, acts=dice.random() < 0.5),
        lambda: Fault.answer(429, headers={"Retry-After": "1"}, acts=dice.random() < 0.5),
    ]
    with the_leader_stays(struck), sick(struck.stage.airflows.values(), (), Fault.cut_before()):
        for airflow in struck.stage.airflows.values():
            for kind in (*EFFECTS, *QUESTIONS):
                airflow.faults.next(kind, *(dice.choice(palette)() for _ in range(20)))
        struck.workload.end_sources()
        struck.workload.go_on()


def _cut_before(struck: Struck) -> None:
    since = Since(struck.stage)
    with the_leader_stays(struck), sick(struck.stage.airflows.values(), EFFECTS, Fault.cut_before()):
        struck.workload.end_sources()
        until(lambda: since.count(*EFFECTS, status=None) >= 5, "five lines cut", limit=30)
        assert not made(struck.stage)


def _cut_after(struck: Struck) -> None:
    since = Since(struck.stage)
    with the_leader_stays(struck), sick(struck.stage.airflows.values(), EFFECTS, Fault.cut_after()):
        struck.workload.end_sources()
        struck.workload.go_on()
    since.assert_none_was_repeated()


for _first in (False, True):
    _doing = "creating" if _first else "clearing"
    fault(
        f"Airflow: cuts the line before it acts, {_doing}",
        group="environments",
        asserts=SAME,
        first=_first,
    )(_cut_before)
    fault(
        f"Airflow: cuts the line after it has acted, {_doing}",
        group="environments",
        asserts=f"{SAME}; {ONCE}",
        first=_first,
    )(_cut_after)


def _restart_before(struck: Struck) -> None:
    """A request has arrived, and is lost with the server."""
    stage, released = struck.stage, threading.Event()
    lost = {name: Fault.lose(released) for name in stage.airflows}
    with the_leader_stays(struck):
        for name, airflow in stage.airflows.items():
            for kind in EFFECTS:
                airflow.faults.next(kind, lost[name])
        struck.workload.end_sources()
        until(lambda: any(one.met.is_set() for one in lost.values()), "a request has arrived", limit=30)
        pause(struck.workload.dice.uniform(0.0, 0.3))
        _restart([stage.airflows[name] for name, one in lost.items() if one.met.is_set()], struck, released)


def _restart_after(struck: Struck) -> None:
    """A request has acted, and its answer is lost with the server."""
    stage, released, since = struck.stage, threading.Event(), Since(struck.stage)
    withheld = Fault.withhold(released)
    with the_leader_stays(struck):
        for airflow in stage.airflows.values():
            for kind in EFFECTS:
                airflow.faults.next(kind, withheld)
        struck.workload.end_sources()
        until(lambda: bool(made(stage)), "a request has acted", limit=30)
        _restart([stage.airflows[name] for name in {one.environment for one in made(stage)}], struck, released)
        struck.workload.go_on()
    since.assert_none_was_repeated()


def _restart(airflows: list[StandInAirflow], struck: Struck, released: threading.Event) -> None:
    for airflow in airflows:
        airflow.down()
    released.set()
    pause(struck.workload.dice.uniform(0.0, 2 * REQUEST_TIMEOUT))
    for airflow in airflows:
        airflow.up()
    for airflow in struck.stage.airflows.values():
        airflow.faults.clear()


for _first in (False, True):
    _what = "create" if _first else "clear"
    fault(
        f"Airflow: restarted between {_what} and answer",
        group="environments",
        asserts=f"{SAME}; {ONCE}",
        first=_first,
        in_every_test_run=not _first,
    )(_restart_after)
    fault(
        f"Airflow: restarted before a {_what} that had arrived has acted",
        group="environments",
        asserts=SAME,
        first=_first,
    )(_restart_before)
