"""What the example shows: a fan-out with a failure, one item again, and a table more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State
from coordinator.store.connection import connect
from coordinator.store.port import Store
from examples.demo.news import RUNS_WITHIN, DemoFailed, News
from examples.demo.parts import Parts
from tests.standin.cdap import StandInCdap

PREPARE, CHECK, REPORT = (PipelineRef("default", name) for name in ("prepare_tables", "check_tables", "report"))
LOAD = PipelineRef("fusion", "load_table")
TABLES = ("customers", "orders", "payments", "refunds", "shops")


class Story:
    """:ivar partition: yesterday."""

    def __init__(self, parts: Parts, tables: Path, cdap: StandInCdap, store: Store) -> None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.partition = format_instant(today - timedelta(days=1))
        self._parts = parts
        self._tables = tables
        self._cdap = cdap
        self._news = News(parts, store, may_fail=frozenset({LOAD.with_item("payments")}))
        self._loaded: Counter[str] = Counter()
        self._reports = 0

    @classmethod
    def play_in(cls, parts: Parts, tables: Path, cdap: StandInCdap) -> None:
        """:raises DemoFailed: with what did not hold."""
        with closing(connect(parts.etcd.settings)) as store:
            story = cls(parts, tables, cdap, store)
            try:
                story.play()
            except DemoFailed:
                show(parts)
                raise

    def play(self) -> None:
        """:raises DemoFailed: with what did not hold."""
        self._news.await_leader()
        api = self._parts.airflows["default"].api
        self._want(*TABLES)
        print(f"\nprepare_tables is triggered for {self.partition}; the first load of payments will fail", flush=True)
        run = api.trigger(PREPARE.dag_id, self.partition)
        self._expect(dict.fromkeys(TABLES, 1) | {"payments": 2})
        print("✓ each table was loaded once, payments once more after its failure; then one check, one report")

        item = LOAD.with_item("orders")
        print(f"\nOne item again: coordinator rerun '{item}' {self.partition}", flush=True)
        self._parts.coordinator("rerun", str(item), self.partition, "--reason", "the example", "--downstream", "--yes")
        self._expect({"orders": 1})
        print("✓ orders was loaded once more, and nothing else; then one check, one report")

        self._want(*TABLES, "vouchers")
        print("\nprepare_tables is cleared: it writes a table more", flush=True)
        api.clear(PREPARE.dag_id, run["dag_run_id"])
        self._expect(dict.fromkeys((*TABLES, "vouchers"), 1))
        print("✓ the rows were read anew: each of the 6 tables was loaded once; then one check, one report", flush=True)

    def _want(self, *tables: str) -> None:
        (self._tables / "wanted").write_text("\n".join(tables), encoding="utf-8")

    def _expect(self, loads: Mapping[str, int]) -> None:
        """Wait until so many more loads of each table have run, then one check, one report, and nothing is left."""
        before = self._loaded.copy()
        reported = self._news.states.get(REPORT, (None, 0))[1]

        def ended() -> bool:
            state, revision = self._news.states.get(REPORT, (None, 0))
            return state is State.SUCCESS and revision > reported

        def problems() -> list[str]:
            found = Counter(loads_of(self._cdap)) - before
            wrong = [
                f"{name}: expected {loads.get(name, 0)} loads, found {found.get(name, 0)}"
                for name in sorted({*loads, *found})
                if loads.get(name, 0) != found.get(name, 0)
            ]
            return [*wrong, *self._wrong_runs(self._reports + 1), *self._parts.busy()]

        self._news.wait(lambda: ended() and not problems(), RUNS_WITHIN, problems)
        self._loaded, self._reports = Counter(loads_of(self._cdap)), self._reports + 1

    def _wrong_runs(self, times: int) -> list[str]:
        """What Airflow shows otherwise than one run of the check and one of the report, which ran so many times."""
        wrong = []
        for pipeline in (CHECK, REPORT):
            tries = tries_of(self._parts.airflows["default"].api.call, pipeline.dag_id)
            if tries != [times]:
                wrong.append(f"{pipeline}: expected one run that ran {times} times, found {tries}")
        return wrong


def loads_of(cdap: StandInCdap) -> list[str]:
    """The table of each run that CDAP has made."""
    return [run.arguments["item.name"] for run in cdap.runs_of("load-table")]


def tries_of(call: Callable[..., dict[str, object]], dag_id: str) -> list[int]:
    """How often each run of a DAG ran."""
    runs = call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"]
    assert isinstance(runs, list)
    found = []
    for run in runs:
        tasks = call("GET", f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        assert isinstance(tasks, list)
        found.append(max((task["try_number"] for task in tasks), default=0))
    return found


def show(parts: Parts) -> None:
    """What the coordinator says of it."""
    for arguments in (("status", "--all"), ("explain", str(LOAD))):
        print(f"\n$ coordinator {' '.join(arguments)}", flush=True)
        parts.coordinator(*arguments)
