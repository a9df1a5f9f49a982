"""What a case can do and see, whichever world it plays in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.sweep import Sweep
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.trigger import TriggerRecord
from coordinator.runners.port import ObservedRun

PARTITION = "2026-11-20T00:00:00Z"


class World(ABC):
    """Pipelines are named by reference (``A``, ``team_b/A``). Runs of a pipeline go by themselves, queued to
    success, when the coordinator starts them, unless the pipeline is :meth:`by_hand`."""

    # -- what is there ---------------------------------------------------------------------------------------

    @abstractmethod
    def dependencies(self, document: Mapping[str, Any]) -> None:
        """Publish a dependency document, and wait until the coordinator obeys it."""

    @abstractmethod
    def by_hand(self, *names: str) -> None:
        """From now on runs of these pipelines wait for :meth:`start` and :meth:`finish`."""

    @abstractmethod
    def by_itself(self, *names: str) -> None:
        """Take :meth:`by_hand` back. Runs that wait go on."""

    @abstractmethod
    def partitioned(self, name: str) -> None:
        """The pipeline's DAG is partitioned from now on: its runs take a key."""

    # -- what people and schedulers do -------------------------------------------------------------------------

    @abstractmethod
    def trigger(self, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> str:
        """A scheduler or a person makes a run; it waits in the queue, silently. Returns its run_id."""

    @abstractmethod
    def test_by_hand(self, name: str, *, partition: str = PARTITION) -> None:
        """A person calls ``airflow dags test``, for a date: the run is running at once, and reports it."""

    @abstractmethod
    def clear(self, name: str, *, partition: str = PARTITION) -> None:
        """A person clears the newest run; it waits in the queue, silently."""

    @abstractmethod
    def start(self, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> None:
        """The queued run starts, and reports ``running``."""

    @abstractmethod
    def finish(
        self, name: str, state: str = "success", *, partition: str = PARTITION, run_id: str | None = None
    ) -> None:
        """The running run ends, and reports it."""

    @abstractmethod
    def set_state(self, name: str, state: str, *, partition: str = PARTITION) -> None:
        """A person sets the newest run's state by hand; it is reported."""

    @abstractmethod
    def has_tasks(self, name: str, **below: str) -> None:
        """The DAG has these tasks from now on, each with the names of those directly below it."""

    @abstractmethod
    def task(self, name: str, task_id: str, *states: str | None, partition: str = PARTITION) -> None:
        """The instances of a task of the newest run have these states from now on; nobody reports it."""

    @abstractmethod
    def clear_tasks(self, name: str, *task_ids: str, partition: str = PARTITION) -> None:
        """A person clears tasks of the newest run, with what is below them; it waits in the queue, silently, unless it
        is running."""

    @abstractmethod
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
        """A sensor of the newest run in the partition begins to wait for a pipeline, or a task of it.

        :param upstream: the pipeline; ``name@partition`` in another partition.
        :param index: the map index of a mapped sensor.
        """

    @abstractmethod
    def answer(self, name: str, sensor: str, *, index: int = -1, partition: str = PARTITION) -> str | None:
        """What stands under its wait: ``waiting``, ``passed`` or ``refused``; ``None``: nothing."""

    @abstractmethod
    def instances(self, name: str, task: str, *, partition: str = PARTITION) -> list[str | None]:
        """The ids of the instances of a task of the newest run."""

    @abstractmethod
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
        """A task of the newest run in a partition emits an event of an asset; a listener hears of it at once, and a
        sender tells it. Returns what tells it, once more.

        :param key: the event's own partition_key.
        :param handed_on_to: it is that event as it was handed on to another environment, whose clock is two hours
            ahead.
        :param by_hand: no run emits it, but a person in that environment.
        :param run_id: a run of this name emits it.
        :param told: the sender tells it at once.
        """

    @abstractmethod
    def delete_run(self, name: str, *, partition: str = PARTITION) -> None:
        """A person, or maintenance, deletes the newest run in the environment."""

    @abstractmethod
    def rows(self, content: object, *, partition: str = PARTITION) -> None:
        """The file of a partition in the source ``tables`` has this content from now on: JSON values, or a text as it
        is; ``None``: there is no file."""

    @abstractmethod
    def hold(self, name: str) -> None: ...

    @abstractmethod
    def release(self, name: str) -> None: ...

    @abstractmethod
    def order(self, name: str, order: str, *, partition: str = PARTITION) -> None:
        """A person orders ``rerun``, or ``release`` of this partition."""

    @abstractmethod
    def cancel(self, name: str, *, partition: str = PARTITION) -> None:
        """A person takes the order back."""

    @abstractmethod
    def mark(self, name: str, state: str, *, partition: str = PARTITION) -> None:
        """A person says what became of it. Its environment hears nothing of that."""

    @abstractmethod
    def retain(self, **limits: Any) -> None:
        """From now on old partitions are removed: the watcher starts again with these settings of ``[retention]``."""

    @abstractmethod
    def resume_within(self, duration: str) -> None:
        """From now on a dependency that is put back resumes only so long after it was taken out: the watcher starts
        again with these settings of ``[publication]``."""

    # -- what goes wrong ---------------------------------------------------------------------------------------

    @abstractmethod
    def down(self, environment: str) -> None:
        """The environment answers nothing."""

    @abstractmethod
    def up(self, environment: str) -> None: ...

    @abstractmethod
    def delay_reports(self, *names: str) -> None:
        """What these pipelines report from now on waits."""

    @abstractmethod
    def deliver_reports(self, *names: str) -> None:
        """The delayed reports arrive, in order; later ones are not delayed."""

    @abstractmethod
    def take_delayed(self, name: str) -> Callable[[], None]:
        """Take the delayed reports of a pipeline out of the queue, to deliver them later by calling this."""

    @abstractmethod
    def report_end_early(self, name: str, *, partition: str = PARTITION) -> None:
        """The success of the newest run is reported, though its environment still shows it running."""

    @abstractmethod
    def pass_time(self) -> None:
        """Let so much time pass that nothing is fresh any more."""

    @abstractmethod
    def silence(self, *environments: str) -> None:
        """These environments never report."""

    @abstractmethod
    def delete_state(self, name: str, *, partition: str = PARTITION) -> None: ...

    @abstractmethod
    def delete_record(self, name: str, *, partition: str = PARTITION) -> None: ...

    @abstractmethod
    def stop_watcher(self) -> None:
        """The watcher is killed."""

    @abstractmethod
    def start_watcher(self) -> None: ...

    @abstractmethod
    def kill_before_request(self, name: str) -> None:
        """The watcher is killed after the next intent for this pipeline is written, before its request goes out."""

    @abstractmethod
    def freeze_before_request(self, name: str) -> None:
        """The watcher stands still after the next intent for this pipeline, until :meth:`thaw`."""

    @abstractmethod
    def thaw(self) -> None:
        """The frozen watcher goes on."""

    # -- what is seen ------------------------------------------------------------------------------------------

    @abstractmethod
    def settle(self) -> None:
        """Wait until everything that can happen by itself has happened."""

    @abstractmethod
    def settle_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until this holds, while everything goes on by itself.

        :param what: it is, for the message when it does not happen.
        """

    @abstractmethod
    def swept(self) -> Sweep | None:
        """What the newest sweep of retention has written down."""

    @abstractmethod
    def runs(self, name: str, *, partition: str = PARTITION) -> int:
        """How many attempts have been started in all."""

    @abstractmethod
    def all_runs(self, name: str, *, partition: str = PARTITION) -> list[ObservedRun]:
        """Every run in a partition, oldest first."""

    @abstractmethod
    def requests(self, name: str, *, partition: str = PARTITION) -> int:
        """How many requests of the coordinator had an effect on this pipeline."""

    @abstractmethod
    def state(self, name: str, *, partition: str = PARTITION) -> RunState | Unreadable | None: ...

    @abstractmethod
    def record(self, name: str, *, partition: str = PARTITION) -> TriggerRecord | None: ...

    # -- built on these ----------------------------------------------------------------------------------------

    def run(self, name: str, state: str = "success", *, partition: str = PARTITION) -> None:
        """The queued run starts and ends."""
        self.start(name, partition=partition)
        self.finish(name, state, partition=partition)

    def passes(
        self, name: str, sensor: str, upstream: str, *, task: str = "", partition: str = PARTITION, rerun: str = "clear"
    ) -> None:
        """A sensor of a running run waits, passes, and ends."""
        self.task(name, sensor, "deferred", partition=partition)
        self.wait(name, sensor, upstream, task=task, rerun=rerun, partition=partition)
        self.settle_until(lambda: self.answer(name, sensor, partition=partition) == "passed", f"{sensor} passes")
        self.task(name, sensor, "success", partition=partition)

    def first_run(self, *names: str) -> None:
        """These sources run once, and everything below them follows."""
        self.by_hand(*names)
        for name in names:
            self.trigger(name)
            self.run(name)
        self.settle()

    def rerun(self, name: str, state: str = "success", *, partition: str = PARTITION) -> None:
        """A person clears it, and it runs."""
        self.clear(name, partition=partition)
        self.run(name, state, partition=partition)

    def comes(self, name: str, partition: str, state: str = "success") -> None:
        """A source runs in a partition for the first time."""
        self.by_hand(name)
        self.trigger(name, partition=partition)
        self.run(name, state, partition=partition)


def target(name: str, partition: str = PARTITION) -> Target:
    return Target(PipelineRef.parse(name), partition)
