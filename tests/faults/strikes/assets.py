"""What strikes everything else, where asset events are handed on and waited for."""

from __future__ import annotations

import pytest

from tests.faults.line import Way
from tests.faults.registry import Struck, fault
from tests.faults.stage import COMES_TO_REST, pause, set_all
from tests.faults.stage_of_assets import CONSUMER, PRODUCER, AssetStage, AssetWorkload
from tests.faults.strikes.watchers import freeze_leader, kill_all, kill_leader
from tests.integration.controller.waiting import until
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("assets", "asset-upstreams", "once", "not-early", "downtime")

GROUP = "assets"
ONCE = "each event arrives once, and each pipeline runs once"

for _name, _strike, _more in (
    ("leader: kill -9", kill_leader, {"in_every_test_run": True}),
    ("every watcher: kill -9", kill_all, {}),
    ("leader: SIGSTOP, longer than its lease", freeze_leader, {"behind": 6.0}),
):
    fault(f"{_name}, with assets", group=GROUP, asserts=ONCE, kind=AssetStage, workload=AssetWorkload, **_more)(_strike)


@fault("etcd: kill -9, with assets", group=GROUP, asserts=ONCE, kind=AssetStage, workload=AssetWorkload)
def kill_etcd(struck: Struck) -> None:
    (member,) = struck.stage.cluster.members
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 1.5))
    member.kill()
    pause(struck.workload.dice.uniform(0.5, 4.0))
    struck.stage.cluster.start(member)


@fault(
    "sender: kill -9, with assets",
    group=GROUP,
    asserts="what its outbox holds arrives once",
    kind=AssetStage,
    workload=AssetWorkload,
    in_every_test_run=True,
)
def kill_sender(struck: Struck) -> None:
    set_all(struck.stage.reporters_to_etcd, Way.SILENT)
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 1.5))
    sender = struck.stage.sender_process(PRODUCER)
    sender.kill()
    sender.wait(10)
    set_all(struck.stage.reporters_to_etcd, Way.OPEN)
    struck.stage.senders[PRODUCER].wake()


@fault("consumer: away, with assets", group=GROUP, asserts=ONCE, kind=AssetStage, workload=AssetWorkload)
def consumer_away(struck: Struck) -> None:
    lines = [replica.to_airflow[CONSUMER] for replica in struck.stage.replicas]
    set_all(lines, Way.CUT)
    struck.workload.end_sources()
    until(struck.workload.sources_are_known_to_have_ended, "its end is reported", limit=COMES_TO_REST)
    pause(struck.workload.dice.uniform(1.0, 4.0))
    set_all(lines, Way.OPEN)


@fault(
    "answers to events and runs are lost, with assets",
    group=GROUP,
    asserts=ONCE,
    kind=AssetStage,
    workload=AssetWorkload,
)
def answers_lost(struck: Struck) -> None:
    for airflow in struck.stage.airflows.values():
        airflow.faults.next("emit", Fault.cut_after())
        airflow.faults.next("clear", Fault.cut_after())
        airflow.faults.next("trigger", Fault.cut_after())
    struck.workload.end_sources()
    struck.workload.go_on()
    for airflow in struck.stage.airflows.values():
        airflow.faults.clear()
