"""The gaps of pipelines, and how many of them nobody has chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from coordinator.controller.state.problems import shown
from coordinator.model.gaps import Cause, Gap, find_gaps
from coordinator.model.named_partitions import Span
from coordinator.model.phrases import counted
from coordinator.model.references import PipelineRef
from coordinator.model.shell import command
from coordinator.reading.reading import Reading

IN_WORDS = {
    Cause.PAST: "completed before the dependency counted",
    Cause.SKIPPED: "given up",
    Cause.IGNORED: "ignored (rerun: ignore)",
}


def gaps_of(reading: Reading, pipeline: PipelineRef | None, span: Span) -> list[Gap]:
    """The gaps of a pipeline, or of all, in a span of partitions; the oldest partitions first.

    :raises UnknownPipeline: nothing is known of it.
    """
    graph = reading.propagation.graph
    if pipeline is not None:
        reading.require(pipeline)
    pipelines = {node.downstream.pipeline for node in graph.nodes()} if pipeline is None else {pipeline}
    known = reading.propagation.partitions_of(pipelines, reading.cache.targets())
    broken = reading.propagation.broken
    return find_gaps(graph, reading.propagation, (one for one in known if one.partition in span and one not in broken))


@dataclass(frozen=True, slots=True)
class Missed:
    """How many gaps there are that nobody has chosen: what ``rerun: ignore`` ignores is none of them.

    :ivar pipeline: whose they are; ``None``: of all.
    """

    counts: Mapping[Cause, int]
    pipeline: PipelineRef | None = None

    @classmethod
    def of(cls, gaps: Iterable[Gap], pipeline: PipelineRef | None) -> Missed:
        return cls(Counter(gap.cause for gap in gaps if gap.cause is not Cause.IGNORED), pipeline)

    def as_json(self) -> dict[str, int]:
        return {str(cause): count for cause, count in self.counts.items()}

    def in_words(self) -> Iterator[str]:
        """That there are some, and what to do; nothing where there are none."""
        if self.counts:
            many = counted(sum(self.counts.values()), "partition has", "partitions have")
            causes = ", ".join(f"{count:,} {IN_WORDS[cause]}" for cause, count in self.counts.items())
            of = (self.pipeline,) if self.pipeline is not None else ()
            yield (
                f"{many} not run on what their upstreams have completed ({causes}), and nothing starts them by itself; "
                f"'{command('gaps', *of)}' lists them, '{command('fill', *of)}' orders the runs"
            )


def doubts(reading: Reading) -> list[str]:
    """Why some gaps may not be found: dependencies that cannot be read or used."""
    return list(shown({place: text for place, text in reading.problems.items() if "dependencies" in place}).in_words())
