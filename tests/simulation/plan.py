"""A plan: plain data that says everything about one play, so that it can be printed, kept, cut down and replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

Upstream = Any
"""A condition as ``dependencies.json`` says it."""


@dataclass(frozen=True)
class Step:
    """Something that people do, or that goes wrong.

    :ivar at: seconds after the beginning of the episode.
    :ivar do: what; a method of ``people.People`` or ``faults.Faults``.
    :ivar on: the pipeline, environment or point that it is done to.
    :ivar partition: where it is done to a pipeline.
    :ivar value: seconds, a state, a count, a condition: what ``do`` asks for.
    """

    at: float
    do: str
    on: str = ""
    partition: str = ""
    value: Any = None

    def __str__(self) -> str:
        where = f" {self.on}" + (f"@{self.partition}" if self.partition else "")
        return (
            f"+{self.at:.2f} {self.do}{where if where.strip() else ''}{'' if self.value is None else f' {self.value}'}"
        )


@dataclass(frozen=True)
class Episode:
    """From rest to rest.

    :ivar fails: the runs of these pipelines fail.
    :ivar exact: the oracle says how often each pipeline runs; else it only says that nothing is left to do.
    """

    acts: tuple[Step, ...] = ()
    faults: tuple[Step, ...] = ()
    fails: tuple[str, ...] = ()
    exact: bool = False


@dataclass(frozen=True)
class Plan:
    """One play.

    :ivar seed: of the latencies.
    :ivar document: ``dependencies.json``.
    :ivar watchers: how many stand by at once.
    :ivar limit: requests at once per environment.
    :ivar runs_in_flight: ... and runs; ``starts_per_minute``: ... and how fast they come.
    :ivar silent: environments that never report.
    :ivar observed: ... and whose runs the leader observes.
    :ivar sensors: what sensors begin to wait for, in runs of their own; see ``sensors.Sensors``.
    :ivar grains: of which period each pipeline's partitions are, where the mappings differ: month, quarter, once.
    :ivar tasks: of pipelines whose tasks matter: ``tasks``, which run one after another; how many instances those have
        that are ``mapped``; those that are ``skipped``; and, where the run fails, with which of them (``fails_at``;
        ``None``: after all of them).
    :ivar assets: which pipelines emit which assets (``emits``), which of them are handed on (``bridges``), and what
        waits for them (``waits``); see ``assets.Assets``.
    :ivar retention: seconds after which old partitions are removed, if they are.
    :ivar resume_within: seconds within which a dependency that was taken out resumes; ``None``: longer than a play.
    :ivar late_files: watchers are given the dependencies as a file; an edit comes to each further one so many seconds
        later. ``None``: people publish.
    :ivar serials: each of these files carries a build number.
    :ivar pace: how much is taken in and decided about in one step; ``None``: by the seed.
    :ivar step_lasts: seconds until the next step at the earliest.
    :ivar owners: whose documents say what pipelines wait for: ``default``, and environments of their own.
    """

    seed: int
    document: Mapping[str, Any]
    sources: tuple[str, ...]
    partitions: tuple[str, ...]
    episodes: tuple[Episode, ...]
    watchers: int = 1
    limit: int = 4
    runs_in_flight: int | None = None
    starts_per_minute: int | None = None
    silent: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()
    sensors: tuple[Mapping[str, Any], ...] = ()
    grains: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, Any] = field(default_factory=dict)
    retention: int | None = None
    resume_within: int | None = None
    owners: tuple[str, ...] = ("default",)
    late_files: float | None = None
    serials: bool = False
    pace: int | None = None
    step_lasts: float = 0.001

    @property
    def pipelines(self) -> list[str]:
        """Every pipeline, upstreams first."""
        return [*self.sources, *self.document]

    def without(self, name: str) -> Plan | None:
        """The plan without a pipeline; ``None`` if nothing would be left to do."""
        document = {}
        for downstream, entry in self.document.items():
            if downstream != name and (upstream := prune(entry["upstream"], name)) is not None:
                document[downstream] = {**entry, "upstream": upstream}
        lost = (set(self.document) - set(document)) | {name}
        if not document:
            return None

        def kept(step: Step) -> Step | None:
            if step.on in lost:
                return None
            if step.do == "depend":
                value = step.value
                for one in lost:
                    value = prune(value, one) if value is not None else None
                return None if value is None else replace(step, value=value)
            return step

        episodes = tuple(
            replace(
                episode,
                acts=tuple(step for act in episode.acts if (step := kept(act)) is not None),
                faults=tuple(step for fault in episode.faults if (step := kept(fault)) is not None),
                fails=tuple(failing for failing in episode.fails if failing not in lost),
            )
            for episode in self.episodes
        )
        sources = tuple(source for source in self.sources if source not in lost)
        return replace(self, document=document, sources=sources, episodes=episodes)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """:raises ValueError, KeyError, TypeError: it is no plan."""
        given = json.loads(text)
        episodes = tuple(
            Episode(
                acts=tuple(Step(**step) for step in episode["acts"]),
                faults=tuple(Step(**step) for step in episode["faults"]),
                fails=tuple(episode["fails"]),
                exact=episode["exact"],
            )
            for episode in given.pop("episodes")
        )
        for name in ("sources", "partitions", "silent", "observed", "owners", "sensors"):
            if name in given:
                given[name] = tuple(given[name])
        return cls(episodes=episodes, **given)


def prune(upstream: Upstream, name: str) -> Upstream | None:
    """A condition without a pipeline; ``None`` if nothing is left of it."""
    match upstream:
        case str():
            return None if upstream == name else upstream
        case {"pipeline": pipeline}:
            return None if pipeline == name else upstream
        case {"at_least": n, "of": of}:
            left = [kept for branch in of if (kept := prune(branch, name)) is not None]
            return {"at_least": min(n, len(left)), "of": left} if left else None
        case {"all": of} | {"any": of}:
            word = "all" if "all" in upstream else "any"
            left = [kept for branch in of if (kept := prune(branch, name)) is not None]
            return {word: left} if left else None
        case list():
            return [kept for branch in upstream if (kept := prune(branch, name)) is not None] or None
    raise ValueError(f"not a condition: {upstream!r}")
