"""What strikes everything else, where tasks, sensors and observed environments are waited for."""

from __future__ import annotations

import pytest

from tests.faults.line import Way
from tests.faults.registry import Struck, fault
from tests.faults.stage import COMES_TO_REST, pause, set_all
from tests.faults.stage_of_tasks import OBSERVED, TaskStage, TaskWorkload
from tests.faults.strikes.watchers import freeze_leader, kill_all, kill_leader
from tests.integration.controller.waiting import until
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("once", "not-early", "downtime")

GROUP = "tasks and sensors"
ONCE = "each runs once, and the sensor is cleared once"

for _name, _strike, _more in (
    ("leader: kill -9", kill_leader, {"in_every_test_run": True}),
    ("every watcher: kill -9", kill_all, {}),
    ("leader: SIGSTOP, longer than its lease", freeze_leader, {"behind": 6.0}),
):
    fault(f"{_name}, with tasks", group=GROUP, asserts=ONCE, kind=TaskStage, workload=TaskWorkload, **_more)(_strike)


@fault("etcd: kill -9, with tasks", group=GROUP, asserts=ONCE, kind=TaskStage, workload=TaskWorkload)
def kill_etcd(struck: Struck) -> None:
    (member,) = struck.stage.cluster.members
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 1.5))
    member.kill()
    pause(struck.workload.dice.uniform(0.5, 4.0))
    struck.stage.cluster.start(member)


@fault(
    "observed environment: away, with tasks",
    group=GROUP,
    asserts="what happened there meanwhile is found",
    kind=TaskStage,
    workload=TaskWorkload,
    in_every_test_run=True,
)
def observed_away(struck: Struck) -> None:
    lines = [replica.to_airflow[OBSERVED] for replica in struck.stage.replicas]
    set_all(lines, Way.CUT)
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(1.0, 4.0))
    set_all(lines, Way.OPEN)
    until(struck.workload.sources_are_known_to_have_ended, "its end is found", limit=COMES_TO_REST)


@fault("answers to clears are lost, with tasks", group=GROUP, asserts=ONCE, kind=TaskStage, workload=TaskWorkload)
def answers_lost(struck: Struck) -> None:
    for airflow in struck.stage.airflows.values():
        airflow.faults.next("clear", Fault.cut_after())
        airflow.faults.next("trigger", Fault.cut_after())
    struck.workload.end_sources()
    struck.workload.go_on()
    for airflow in struck.stage.airflows.values():
        airflow.faults.clear()
