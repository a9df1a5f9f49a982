"""Keys as a watcher and Airflow's plugin write them, for a chronicle to take in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.demo.chronicle import Chronicle, Happening
from coordinator.demo.judging import Shown, ShownRun
from coordinator.demo.plot import Act, Plot, plot_of
from coordinator.model.consumption import NOTHING, Consumed, Consumption
from coordinator.model.documents import parse_document
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue

PARTITION = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

DIAMOND = """{
    "02_pipeline": "01_pipeline",
    "03_pipeline": "01_pipeline",
    "06_pipeline": ["02_pipeline", "03_pipeline"]
}"""


def ref(number: str) -> PipelineRef:
    return PipelineRef("default", f"{number}_pipeline")


def diamond() -> Plot:
    return plot_of(parse_document(DIAMOND, source="diamond"), source="diamond")


class Tale:
    """Tells a chronicle what happens, one second after the other."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.plot = diamond()
        self.chronicle = Chronicle(self.keys, PARTITION)
        self.revision = 0
        self._completed: dict[PipelineRef, Consumed] = {}
        self._seconds = 0

    @property
    def act(self) -> Act:
        return self.plot.wave if self.chronicle.act == 1 else self.plot.cascade

    def put(self, key: str, value: bytes) -> Happening | None:
        self.revision += 1
        return self.chronicle.take(KeyValue(key, value, self.revision, self.revision))

    def now(self) -> datetime:
        self._seconds += 1
        return NOON + timedelta(seconds=self._seconds)

    def run(
        self, number: str, *, run_id: str = "r1", ends: State = State.SUCCESS, began: datetime | None = None
    ) -> int:
        """A run from start to end; the revision of its completion."""
        queued = self.now()
        self.state(number, State.RUNNING, run_id=run_id, queued=queued, began=began or queued)
        self.state(number, ends, run_id=run_id, queued=queued, began=began or queued, ended=self.now())
        self._completed[ref(number)] = Consumed(self.revision, Attempt(run_id, queued), ends)
        return self.revision

    def state(
        self,
        number: str,
        state: State,
        *,
        run_id: str = "r1",
        queued: datetime,
        began: datetime | None = None,
        ended: datetime | None = None,
        partition: str = PARTITION,
    ) -> Happening | None:
        document = RunStateDocument(state=state, run_id=run_id, queued_at=queued, start_date=began, end_date=ended)
        return self.put(self.keys.state(Target(ref(number), partition)), document.to_value())

    def triggered(
        self,
        number: str,
        *inputs: str,
        wave: int,
        sequence: int = 1,
        action: Action = Action.CREATE,
        run_id: str = "r1",
        ends: State = State.SUCCESS,
        began: datetime | None = None,
    ) -> list[Happening | None]:
        """What the watcher and Airflow write when a pipeline is triggered and runs: intent, sent, its run, done."""
        used = {Target(ref(each), PARTITION): self._completed[ref(each)] for each in inputs}
        key = self.keys.trigger(Target(ref(number), PARTITION))

        def record(status: Status, attempt: datetime | None) -> bytes:
            known = attempt is not None
            return dump_record(
                TriggerRecord(
                    status=status,
                    sequence=sequence,
                    action=action,
                    run_id=run_id,
                    token="t",
                    wave=wave,
                    attempt=attempt,
                    inputs=NOTHING if known else Consumption.of(used),
                    consumed=Consumption.of(used) if known else NOTHING,
                )
            )

        intent = self.put(key, record(Status.INTENT, None))
        queued = NOON + timedelta(seconds=self._seconds + 1)  # what run() takes next
        sent = self.put(key, record(Status.SENT, queued))
        self.run(number, run_id=run_id, ends=ends, began=began)
        return [intent, sent, self.put(key, record(Status.DONE, queued))]

    def wave(self) -> None:
        """The first act, as it should be."""
        top = self.run("01")
        self.triggered("02", "01", wave=top)
        self.triggered("03", "01", wave=top)
        self.triggered("06", "02", "03", wave=top)

    def shown(self, **more: list[ShownRun]) -> Shown:
        """What Airflow shows: a successful run of each."""
        runs = {pipeline: [ShownRun("r1", "success")] for pipeline in self.plot.wave.expected}
        return runs | {PipelineRef("default", name): found for name, found in more.items()}
