"""What worlds on an etcd share: the keys that people write, late reports, and what stands under a key."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.commands.acts import Signature
from coordinator.commands.emit import write_event
from coordinator.commands.mark import mark
from coordinator.commands.order import cancel_order, put_order
from coordinator.commands.report import write_report
from coordinator.model.assets.events import OURS, AssetEventDocument, new_event_id
from coordinator.model.conditions import On
from coordinator.model.hold import Hold, dump_hold
from coordinator.model.order import GivenOrder, Order
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.retention.sweep import Sweep, read_sweep
from coordinator.model.runstate import RunState, RunStateDocument, State, Unreadable, read_run_state
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.model.waits import SensorRerun, Wait, WaitStatus, dump_wait, read_wait
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, Store, Transaction
from tests.airflow_model.runs import Run
from tests.worlds.world import PARTITION, World, target


class EtcdWorld(World):
    """A world whose facts stand in an etcd, real or in memory.

    :ivar watermark: etcd revision of the newest write of the test itself.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self.store = store
        self.keys = keys
        self.watermark = 0
        self._delayed: dict[str, list[Callable[[], None]]] = {}

    def hold(self, name: str) -> None:
        self.write(Put(self.keys.hold(PipelineRef.parse(name)), dump_hold(Hold(why="a test", who="it"))))
        self.settle()

    def release(self, name: str) -> None:
        self.write(Delete(self.keys.hold(PipelineRef.parse(name))))

    def order(self, name: str, order: str, *, partition: str = PARTITION) -> None:
        given = GivenOrder(Order(order), who="it", when=datetime.now(UTC), why="a test")
        self.watermark = max(self.watermark, put_order(self.store, self.keys, target(name, partition), given).revision)

    def cancel(self, name: str, *, partition: str = PARTITION) -> None:
        signature = Signature("it", datetime.now(UTC), "a test")
        self.watermark = max(
            self.watermark, cancel_order(self.store, self.keys, target(name, partition), signature).revision
        )

    def mark(self, name: str, state: str, *, partition: str = PARTITION) -> None:
        where = target(name, partition)
        present = self.store.get(self.keys.state(where))
        signature = Signature("it", datetime.now(UTC), "a test")
        looked_at = present.mod_revision if present is not None else 0
        marked = mark(self.store, self.keys, where, State(state), signature, looked_at=looked_at, confirm=True)
        self.watermark = max(self.watermark, marked.revision)

    def delete_state(self, name: str, *, partition: str = PARTITION) -> None:
        self.write(Delete(self.keys.state(target(name, partition))))

    def delete_record(self, name: str, *, partition: str = PARTITION) -> None:
        self.write(Delete(self.keys.trigger(target(name, partition))))

    def delay_reports(self, *names: str) -> None:
        for name in names:
            self._delayed.setdefault(name, [])

    def deliver_reports(self, *names: str) -> None:
        for name in names:
            for report in self._delayed.pop(name, []):
                report()

    def take_delayed(self, name: str) -> Callable[[], None]:
        taken, self._delayed[name] = self._delayed[name], []

        def deliver() -> None:
            for report in taken:
                report()

        return deliver

    def report_end_early(self, name: str, *, partition: str = PARTITION) -> None:
        run = max(self.all_runs(name, partition=partition), key=lambda run: str(run.queued_at))
        document = RunStateDocument(state=State.SUCCESS, run_id=run.run_id, queued_at=run.queued_at)
        self.report(target(name, partition), document)

    def state(self, name: str, *, partition: str = PARTITION) -> RunState | Unreadable | None:
        found = self.store.get(self.keys.state(target(name, partition)))
        return read_run_state(found.value) if found is not None else None

    def record(self, name: str, *, partition: str = PARTITION) -> TriggerRecord | None:
        found = self.store.get(self.keys.trigger(target(name, partition)))
        record = read_record(found.value) if found is not None else None
        assert not isinstance(record, Unreadable)
        return record

    def swept(self) -> Sweep | None:
        found = self.store.get(self.keys.retention)
        sweep = read_sweep(found.value) if found is not None else None
        assert not isinstance(sweep, Unreadable)
        return sweep

    def wait(
        self,
        name: str,
        sensor: str,
        upstream: str,
        *,
        task: str = "",
        on: str = "success",
        rerun: str = "ignore",
        index: int = -1,
        partition: str = PARTITION,
    ) -> None:
        above, _, another = upstream.partition("@")
        pipeline = PipelineRef.parse(above)._replace(task=task)
        run = self.newest_run(name, partition)
        ref = WaitRef(target(name, partition), run.run_id, sensor, index)
        (instance,) = (one for one in run.tasks[sensor] if one.map_index == index)
        waits = Wait(
            WaitStatus.WAITING,
            Target(pipeline, another or partition),
            On(on),
            str(instance.id),
            since=datetime.now(UTC),
            rerun=SensorRerun(rerun),
            below=tuple(sorted(self.all_below(name, sensor))) if rerun == "clear" else None,
        )
        self.write(Put(self.keys.wait(ref), dump_wait(waits)))

    def answer(self, name: str, sensor: str, *, index: int = -1, partition: str = PARTITION) -> str | None:
        run = self.newest_run(name, partition)
        found = self.store.get(self.keys.wait(WaitRef(target(name, partition), run.run_id, sensor, index)))
        wait = read_wait(found.value) if found is not None else None
        assert not isinstance(wait, Unreadable)
        return str(wait.status) if wait is not None else None

    def instances(self, name: str, task: str, *, partition: str = PARTITION) -> list[str | None]:
        return [one.id for one in self.newest_run(name, partition).tasks[task]]

    def emit(
        self,
        name: str,
        uri: str,
        *,
        partition: str = PARTITION,
        key: str | None = None,
        handed_on_to: str = "",
        by_hand: bool = False,
        run_id: str | None = None,
        told: bool = True,
    ) -> Callable[[], None]:
        pipeline = PipelineRef.parse(name)
        run = None if by_hand else self.newest_run(name, partition)
        said: dict[str, Any] = (
            {"dag_id": pipeline.dag_id, "run_id": run_id or run.run_id, "task_id": "publish"} if run is not None else {}
        )
        moment = self.now()
        document = AssetEventDocument(uri=uri, partition_key=key, timestamp=moment, **({} if handed_on_to else said))
        if handed_on_to:
            first = {"event": "of-another", "path": [pipeline.environment], "timestamp": moment.isoformat()}
            document.extra[OURS] = {**first, **said}
            document = document.model_copy(update={"timestamp": moment + timedelta(hours=2)})
        event_id = new_event_id(document)
        environment = handed_on_to or pipeline.environment

        def tell() -> None:
            write_event(self.store, self.keys, environment, event_id, document)
            self.watermark = max(self.watermark, self.store.list(self.keys.leader).revision)

        if told:
            tell()
        return tell

    @abstractmethod
    def now(self) -> datetime:
        """The present time in every environment."""

    @abstractmethod
    def all_below(self, name: str, task: str) -> set[str]:
        """The ids of all tasks below a task of a DAG."""

    @abstractmethod
    def newest_run(self, name: str, partition: str) -> Run:
        """The newest run of a pipeline in a partition, in its environment."""

    def write(self, operation: Put | Delete) -> None:
        self.watermark = max(self.watermark, self.store.commit(Transaction((), (operation,))).revision)

    def report(self, where: Target, document: RunStateDocument) -> None:
        """A pipeline's report: it arrives at once, or waits where reports are delayed."""

        def deliver() -> None:
            write_report(self.store, self.keys, where, document)

        delayed = self._delayed.get(str(where.pipeline))
        if delayed is None:
            deliver()
        else:
            delayed.append(deliver)

    def is_intended(self, name: str | None) -> bool:
        """Whether the newest word about a pipeline is an intent."""
        record = self.record(name) if name is not None else None
        return record is not None and record.status is Status.INTENT
