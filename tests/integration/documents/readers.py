"""What the reader of a page has when typing its commands, what is typed elsewhere, and how commands end.

Everybody has a fresh directory; an etcd, unless the page starts one; a stand-in for an Airflow with the plugin, whose
user ``admin`` has the password ``...``; and ``coordinator.toml`` and ``dependencies.json``: those that the page shows,
else those of this repository. What a page presupposes beyond that is in ``READERS``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from coordinator.airflow_plugin.outbox import Event, Outbox
from coordinator.airflow_plugin.parking import Reason
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Status
from tests.integration.documents.commands import REPOSITORY, commands_of
from tests.integration.documents.machine import PASSWORD, Machine

Happens = Callable[[Machine], None]

DAY = "2026-11-20T00:00:00Z"
RUN = f"coordinator__{DAY}__1"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PARKED = "01790…-81-0.json"
ROOT = "four"
WATCH = "coordinator watch --dependencies dependencies.json"

NOT_RUN = {
    "make": "it plays the demo, the tests or the benchmarks: minutes, and these tests among them",
    "pip install": "it needs an index of packages; tests/integration/distribution builds and installs the package",
    "airflow": "it needs a real Airflow; tests/e2e triggers DAGs in one",
    "coordinator dags deploy generated/prod s3://bucket/dags": (
        "it needs a bucket; tests/integration/dags deploys to a real S3-compatible server"
    ),
    "docker": "it needs docker; tests/integration/test_compose.py reads the files with docker's own parser",
    "kubectl": "it needs a cluster; tests/integration/test_kubernetes.py checks the manifests against their schemas",
    "python3 docker/fill_env.py": "it writes into the checkout; tests/integration/test_compose.py runs it in a copy",
}
"""Commands that are not run here, by how they begin, and why. They are read all the same: what they call must exist."""

SERVES = {
    "coordinator etcd": "Ctrl-C ends it",
    "coordinator ui": "Ctrl-C ends it",
    WATCH: "leader.started",
}
"""Commands that run until Ctrl-C, each with what it says when it is ready. They go on to the end of their page."""


def _nothing(_: Machine) -> None:
    """The page presupposes nothing more."""


@dataclass(frozen=True)
class Reader:
    """:ivar shows_files: its coordinator.toml and dependencies.json are those that the page shows.

    :ivar has: done before the first command.
    :ivar before: what happens elsewhere before a command: by the command, for the first time that it is typed, the
        second one, ...
    :ivar answers: what is typed when a command asks.
    :ivar ends: commands that do not end with 0: the code, and the words of the page that say so.
    """

    shows_files: bool = False
    has: Happens = _nothing
    before: Mapping[str, Sequence[Happens]] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def _two_dags_and_one_that_waits(machine: Machine) -> None:
    for dag_id in ("load_orders", "load_customers", "daily_report"):
        machine.airflows["default"].dag(dag_id, auto=0)


def _airflow_restarted(machine: Machine) -> None:
    machine.plugin_reports("default")


def _a_dag_runs(machine: Machine) -> None:
    """As it does by the command of Airflow that stands there."""
    _airflow_restarted(machine)
    machine.runs("load_orders", DAY)


def _both_upstreams_run(machine: Machine) -> None:
    for dag_id in ("load_orders", "load_customers"):
        machine.runs(dag_id, DAY)
    machine.await_that(lambda: machine.has_ended("daily_report", DAY), "daily_report has run")


def _configured(machine: Machine) -> None:
    machine.terminal.export(COORDINATOR_CONFIG="coordinator.toml", AIRFLOW_DEFAULT_PASSWORD=PASSWORD)


def _playground(machine: Machine) -> None:
    """The DAGs of this repository, the plugin at work."""
    _configured(machine)
    machine.plugin_reports("default")
    for number in range(1, 8):
        machine.airflows["default"].dag(f"0{number}_pipeline", auto=0)


def _after_a_wave(machine: Machine) -> None:
    """A watcher runs, and has run a wave through the DAGs of this repository."""
    _playground(machine)
    machine.terminal.serve(WATCH, SERVES[WATCH])
    machine.runs("01_pipeline", DAY)
    machine.await_that(lambda: machine.has_ended("07_pipeline", DAY), "07_pipeline has run")


def _decisions_logged(machine: Machine) -> None:
    machine.terminal.export(COORDINATOR_WATCHER__DECISION_LOG="decisions.jsonl")
    _after_a_wave(machine)
    log = machine.directory / "decisions.jsonl"
    machine.await_that(lambda: "07_pipeline" in log.read_text(encoding="utf-8"), "07_pipeline stands in the log")


def _an_outbox(machine: Machine) -> None:
    """Of two events one waits, and one is parked."""
    outbox = _configured_outbox(machine)
    outbox.put(_event("2026-11-21"))
    _park(outbox, outbox.put(_event("2026-11-20")))


def _another_one_is_parked(machine: Machine) -> None:
    """The one that the command names, as no file is called exactly."""
    outbox = _configured_outbox(machine)
    name = outbox.put(_event("2026-11-19"))
    (outbox.directory / name).rename(outbox.directory / PARKED)
    _park(outbox, PARKED)


def _configured_outbox(machine: Machine) -> Outbox:
    _configured(machine)
    return Outbox(machine.directory / "coordinator-outbox")


def _event(day: str) -> Event:
    document = RunStateDocument(state=State.SUCCESS, run_id="nightly", queued_at=NOON)
    return Event(environment="team_b", dag_id="load", partition=f"{day}T00:00:00Z", document=document)


def _park(outbox: Outbox, name: str) -> None:
    outbox.parked.park(name, Reason(reason="denied by etcd", may_pass=True, since=NOON, environment="team_b"))


def _a_long_history(machine: Machine) -> None:
    """A revision 1234, a wave before it."""
    _after_a_wave(machine)
    while machine.put("/elsewhere", b"") < 1234:
        pass


def _a_team_that_publishes(machine: Machine) -> None:
    """team_b has published a file by revision 57, and has another one now."""
    _configured(machine)
    machine.plugin_reports("default", "team_b")
    for dag_id in ("load", "report", "summary"):
        machine.airflows["team_b"].dag(dag_id, auto=0)
    machine.configure("team_b")
    machine.terminal.write("team_b.json", '{"team_b/report": "team_b/load"}')
    assert machine.terminal.run("coordinator apply team_b.json --owner team_b --yes").code == 0
    while machine.put("/elsewhere", b"") < 57:
        pass
    machine.terminal.write("team_b.json", '{"team_b/report": "team_b/load", "team_b/summary": "team_b/report"}')


def _days_before_a_dependency(machine: Machine) -> None:
    """``load`` has run on three days before ``report`` waits for it; a watcher runs."""
    machine.airflows["default"].dag("load", auto=0)
    machine.airflows["default"].dag("report", auto=0)
    for day in (18, 19, 20):
        machine.runs("load", f"2026-11-{day}T00:00:00Z")
    machine.terminal.write("dependencies.json", '{"report": "load"}')
    machine.terminal.serve(WATCH, SERVES[WATCH])


def _secrets(machine: Machine) -> None:
    """The passwords that are to be given; team_b is configured."""
    _configured(machine)
    machine.configure("team_b")
    machine.secret("etcd-watcher", "one")
    machine.secret("etcd-airflow-b", "two")
    machine.terminal.export(ETCD_CI_B="three", ETCD_ROOT_PASSWORD=ROOT)


def _a_wave_begins(machine: Machine) -> None:
    """Runs of 04 to 06 begin and end when a person says so. The watcher asks about runs soon, not after seconds."""
    _playground(machine)
    for dag_id in ("04_pipeline", "05_pipeline", "06_pipeline"):
        machine.airflows["default"].dag(dag_id)
    machine.terminal.export(COORDINATOR_WATCHER__FOLLOW_AFTER="0.2")
    machine.terminal.serve(f"{WATCH} --watcher-id watcher-1", SERVES[WATCH])
    machine.runs("01_pipeline", DAY)


def _04_runs_and_05_waits(machine: Machine) -> None:
    airflow = machine.airflows["default"]
    for dag_id in ("02_pipeline", "03_pipeline"):
        machine.await_that(lambda dag_id=dag_id: machine.has_ended(dag_id, DAY), f"{dag_id} has run")
    airflow.await_run("04_pipeline", RUN, State.QUEUED)
    airflow.start("04_pipeline", RUN)
    machine.await_that(lambda: machine.state("05_pipeline", DAY) is State.QUEUED, "05_pipeline is known to be queued")


def _06_is_asked_for(machine: Machine) -> None:
    airflow = machine.airflows["default"]
    airflow.finish("04_pipeline", RUN)
    airflow.start("05_pipeline", RUN)
    airflow.finish("05_pipeline", RUN)
    machine.await_trigger("06_pipeline", DAY, Status.SENT, 1)
    machine.await_that(lambda: machine.state("06_pipeline", DAY) is State.QUEUED, "06_pipeline is known to be queued")


def _03_is_cleared(machine: Machine) -> None:
    _06_and_07_end(machine, 1)
    machine.airflows["default"].clear_by_hand("03_pipeline", RUN)
    machine.await_trigger("06_pipeline", DAY, Status.SENT, 2)


def _03_fails(machine: Machine) -> None:
    _06_and_07_end(machine, 2)
    machine.airflows["default"].dag("03_pipeline", auto=0, ends=State.FAILED)
    machine.airflows["default"].clear_by_hand("03_pipeline", RUN)
    machine.await_that(lambda: machine.state("03_pipeline", DAY) is State.FAILED, "03_pipeline has failed")


def _06_and_07_end(machine: Machine, number: int) -> None:
    machine.airflows["default"].start("06_pipeline", RUN)
    machine.airflows["default"].finish("06_pipeline", RUN)
    machine.await_trigger("07_pipeline", DAY, Status.DONE, number)


def _a_bad_file(machine: Machine) -> None:
    _configured(machine)
    (bad,) = [one.shown for one in commands_of(REPOSITORY / "docs/dependencies.md") if one.words() == "cat new.json"]
    machine.terminal.write("new.json", bad or "")


def _the_example_of_dags(machine: Machine) -> None:
    """A copy of it is where the commands are typed."""
    shutil.copytree(REPOSITORY / "examples/dag-builder", machine.directory, dirs_exist_ok=True)


READERS = {
    "README.md": Reader(
        shows_files=True,
        has=_two_dags_and_one_that_waits,
        before={"coordinator doctor": [_airflow_restarted], "coordinator explain daily_report": [_both_upstreams_run]},
    ),
    "docs/airflow-plugin.md": Reader(
        has=_an_outbox,
        before={f"coordinator outbox discard {PARKED} --yes": [_another_one_is_parked]},
        ends={"coordinator outbox list": (1, "it ends with 1 when events are parked")},
    ),
    "docs/airflow.md": Reader(
        shows_files=True,
        has=_two_dags_and_one_that_waits,
        before={"coordinator status --all": [_a_dag_runs]},
        ends={"coordinator status --all": (1, "and ends with 1. The next sections fix both.")},
    ),
    "docs/dags.md": Reader(has=_the_example_of_dags),
    "docs/dependencies.md": Reader(
        has=_a_bad_file,
        ends={
            "coordinator validate new.json --config coordinator.toml": (
                1,
                "Where something is wrong, `coordinator validate` ends with 1.",
            )
        },
    ),
    "docs/log-events.md": Reader(has=_decisions_logged),
    "docs/operating.md": Reader(has=_a_long_history),
    "docs/publishing.md": Reader(
        has=_a_team_that_publishes,
        before={"coordinator gaps": [_days_before_a_dependency]},
        answers={'coordinator apply team_b.json --owner team_b --reason "T-123"': "y\n"},
    ),
    "docs/security.md": Reader(has=_secrets, answers={"etcdctl user add root": f"{ROOT}\n{ROOT}\n"}),
    "docs/walkthrough.md": Reader(
        has=_a_wave_begins,
        before={
            f"coordinator explain 06_pipeline {DAY}": [_04_runs_and_05_waits, _06_is_asked_for, _03_is_cleared],
            f"coordinator explain 07_pipeline {DAY}": [_03_fails],
        },
    ),
}
