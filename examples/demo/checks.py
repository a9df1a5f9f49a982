"""Whether each pipeline ran as often as it should, and in order. Asked of what Airflow itself shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coordinator.model.references import PipelineRef


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a pipeline in the demo's partition, as Airflow shows it.

    :ivar tries: how often its task ran: a cleared run is the same run and one more try.
    """

    run_id: str
    state: str
    tries: int
    started: datetime | None
    ended: datetime | None


def what_does_not_hold(
    expected: Mapping[PipelineRef, int],
    upstreams: Mapping[PipelineRef, Sequence[PipelineRef]],
    runs: Mapping[PipelineRef, Sequence[Run]],
) -> Iterator[str]:
    """A sentence for each pipeline that did not do what it should have.

    :param expected: how often each pipeline should have run.
    :param upstreams: what each pipeline waits for.
    """
    for pipeline, times in expected.items():
        found = runs.get(pipeline, ())
        if [(run.state, run.tries) for run in found] != [("success", times)]:
            shown = ", ".join(f"{run.run_id}: {run.state}, ran {run.tries} times" for run in found) or "no run"
            yield f"{pipeline}: expected one successful run that ran {times} times, found {shown}"
            continue
        for upstream in upstreams.get(pipeline, ()):
            for above in runs.get(upstream, ()):
                if found[0].started is None or above.ended is None or found[0].started < above.ended:
                    yield (
                        f"{pipeline}: expected to start after {upstream} had ended ({above.ended}), "
                        f"found that it started at {found[0].started}"
                    )
