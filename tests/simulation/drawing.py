"""Drawing plans: random graphs, people and faults, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.drawing_tasks import with_assets, with_sensors, with_tasks
from tests.simulation.faults import ANSWERS
from tests.simulation.months import MONTHS, ONCE, QUARTER
from tests.simulation.plan import Episode, Plan, Step
from tests.simulation.process import Point
from tests.simulation.wiring import PREVIOUS

PARTITIONS = ("2026-11-20T00:00:00Z", "2026-11-19T00:00:00Z", "region-eu")

KILL_POINTS = (Point.BEFORE_COMMIT, Point.AFTER_COMMIT, Point.BEFORE_REQUEST, Point.AFTER_REQUEST)
FREEZE_POINTS = (Point.BEFORE_COMMIT, Point.AFTER_COMMIT, Point.BEFORE_REQUEST, Point.BEFORE_KEEPALIVE)


ENVIRONMENTS = ("default", "team_b")


@dataclass(frozen=True)
class Profile:
    """What a plan is drawn from. Mutations are caught sooner by a profile that looks at what they break.

    :ivar mixed: how often a graph has conditions other than ``all`` of successes.
    :ivar calm: how often an episode has no faults.
    :ivar exact: how often an episode is one change that the oracle counts.
    :ivar calendar: how often pipelines have partitions of different periods.
    :ivar retention: how often old partitions are removed.
    :ivar early: how often there are faults when everything runs for the first time; and half as often people too.
    :ivar long_waits: how often a run waits so long in the queue that it must be looked for.
    :ivar limited: how often a pipeline of a mixed graph has ``max_in_flight``, and environments have limits.
    :ivar edits: how often entries are taken out, put back and moved, beside all other acts.
    :ivar marks: how often people say how something ended, or set it.
    :ivar catchup: how often a pipeline of a mixed graph passes over what was missed.
    :ivar wide: how often a graph has a pipeline with more inputs than are decided about one by one.
    :ivar files: how often watchers publish the dependencies from files.
    :ivar meddling: how often, beside other faults, somebody changes a key by hand that only the coordinator should.
    :ivar tasks: how often dependencies name tasks.
    :ivar observed: how often nothing reports in some environments, and the leader observes them.
    :ivar sensors: how often sensors wait inside of runs.
    :ivar assets: how often runs emit asset events, which are handed on and waited for.
    :ivar retries: how often failed runs are started again, and runs are stopped that take too long.
    :ivar only: the faults there are; all, if none is named.
    """

    mixed: float = 0.6
    calm: float = 0.25
    exact: float = 0.5
    faults: int = 4
    acts: int = 5
    episodes: int = 4
    calendar: float = 0.3
    retention: float = 0.15
    early: float = 0.3
    long_waits: float = 0.25
    limited: float = 0.15
    edits: int = 1
    marks: int = 1
    catchup: float = 0.05
    wide: float = 0.03
    files: float = 0.25
    meddling: float = 0.06
    tasks: float = 0.3
    observed: float = 0.15
    sensors: float = 0.25
    assets: float = 0.2
    retries: float = 0.3
    only: tuple[str, ...] = ()


EVERYTHING = Profile()


def draw(seed: int, profile: Profile = EVERYTHING) -> Plan:
    """The plan of a seed."""
    plan = _Draw(seed, profile).plan()
    # A task that was left alone by a clear of others is new again where retention has removed the record that it had
    # been used by: no plan has both.
    if plan.retention is None and random.Random(f"has tasks {seed}").random() < profile.tasks:
        plan = with_tasks(plan)
    dice = random.Random(f"observed {seed}")  # as with tasks: all other plans stay as they were
    if dice.random() < profile.observed:
        plan = replace(plan, observed=tuple(dice.sample(ENVIRONMENTS, dice.choice((1, 1, 2)))))
    dice = random.Random(f"sensors {seed}")
    if dice.random() < profile.sensors:
        plan = with_sensors(plan, dice)
    dice = random.Random(f"assets {seed}")
    if plan.retention is None and dice.random() < profile.assets:
        plan = with_assets(plan, dice)
    dice = random.Random(f"retries {seed}")
    if dice.random() < profile.retries:
        plan = with_retries(plan, dice)
    return plan


def with_retries(plan: Plan, dice: random.Random) -> Plan:
    """The plan with entries whose failed runs are started again, or whose runs are stopped; and more that fail."""
    document = {}
    for name, entry in plan.document.items():
        more: dict[str, Any] = {}
        if dice.random() < 0.6:
            more["retries"] = dice.choice((1, 1, 2, 3))
            if dice.random() < 0.6:
                more["retry_delay"] = f"{dice.choice((1, 3, 8))} seconds"
        if dice.random() < 0.25:
            more["timeout"] = f"{dice.choice((1, 2, 6))} seconds"
        document[name] = {**entry, **more}
    episodes = tuple(
        replace(episode, fails=tuple({*episode.fails, dice.choice(plan.pipelines)})) if dice.random() < 0.5 else episode
        for episode in plan.episodes
    )
    return replace(plan, document=document, episodes=episodes)


class _Draw:
    def __init__(self, seed: int, profile: Profile) -> None:
        self._seed = seed
        self._dice = random.Random(f"plan {seed}")
        self._profile = profile
        self._sources: list[str] = []
        self._document: dict[str, dict[str, Any]] = {}
        self._mixed = self._dice.random() < profile.mixed
        self._partitions = tuple(self._dice.sample(PARTITIONS, self._dice.choice((1, 1, 1, 2, 2, 3))))
        self._grains: dict[str, str] = {}
        self._is_calendar = self._dice.random() < profile.calendar
        if self._is_calendar:
            self._partitions = tuple(self._dice.sample(MONTHS, self._dice.choice((1, 2, 3, 3))))

    def plan(self) -> Plan:
        dice = self._dice
        self._draw_graph()
        first = Episode(
            acts=tuple(
                Step(round(dice.uniform(0, 1), 3), "trigger", source, partition)
                for source in self._sources
                for partition in self._partitions_of(source)
                if dice.random() < 0.9
            ),
            faults=self._faults() if dice.random() < self._profile.early else (),
            fails=self._fails() if dice.random() < 0.3 else (),
        )
        if dice.random() < self._profile.early / 2:
            more = (self._act(round(dice.uniform(2, 10), 3)) for _ in range(dice.randint(1, self._profile.acts)))
            first = replace(first, acts=(*first.acts, *more))
        episodes = [first, *(self._episode() for _ in range(dice.randint(1, self._profile.episodes)))]
        retention = round(dice.uniform(40, 120)) if dice.random() < self._profile.retention else None
        if retention is not None:  # what has been removed meanwhile runs for nothing: nobody can count beforehand
            episodes = [self._kept(episode) for episode in episodes]
        owners = dice.choice((("default",), ("default",), ("default", "team_b")))
        late_files = None
        if dice.random() < self._profile.files:
            owners, late_files = ("default",), dice.choice((1.0, 10.0, 60.0, 60.0))
        return Plan(
            seed=self._seed,
            retention=retention,
            document=self._document,
            sources=tuple(self._sources),
            partitions=self._partitions,
            episodes=tuple(episodes),
            watchers=dice.choice((1, 1, 2)) if late_files is None else dice.choice((1, 2, 2)),
            limit=dice.choice((1, 4, 4)),
            runs_in_flight=dice.choice((1, 2, 3)) if dice.random() < self._profile.limited else None,
            starts_per_minute=dice.choice((20, 40, 60)) if dice.random() < self._profile.limited else None,
            grains=self._grains,
            resume_within=dice.choice((None, None, 3, 60)),
            owners=owners,
            late_files=late_files,
            serials=late_files is not None and dice.random() < 0.5,
        )

    def _kept(self, episode: Episode) -> Episode:
        """Without what nobody can say much of afterwards: a watermark stands for records, and knows no partitions."""
        acts = tuple(act for act in episode.acts if act.do != "delete_record")
        return replace(episode, acts=acts, exact=False)

    def _partitions_of(self, name: str) -> tuple[str, ...]:
        match self._grains.get(name):
            case "quarter":
                return (QUARTER,)
            case "once":
                return (ONCE,)
        return self._partitions

    # -- the graph ---------------------------------------------------------------------------------------------------

    def _draw_graph(self) -> None:
        dice = self._dice
        names: list[str] = []
        for number in range(dice.randint(3, 8)):
            name = f"{'team_b/' if dice.random() < 0.4 else ''}p{number}"
            count = min(number, dice.choice((0, 1, 1, 2, 2, 3)))
            if self._is_calendar:
                self._grains[name] = dice.choice(("month", "month", "quarter", *(("once",) if count else ())))
            if count == 0:
                self._sources.append(name)
            else:
                # Near ones more often than far ones: arms of unequal lengths.
                nearest = names[-3:]
                chosen = list(dict.fromkeys([dice.choice(nearest), *dice.sample(names, count)]))[:count]
                self._document[name] = self._entry(name, chosen)
            names.append(name)
        if dice.random() < self._profile.wide:
            self._draw_wide(names)
        if not self._document:
            self._document["p9"] = {"upstream": list(self._sources)}
            if self._is_calendar:
                self._grains = dict.fromkeys([*self._sources, "p9"], "month")

    def _draw_wide(self, names: list[str]) -> None:
        """Many side by side, below one root or by themselves, and one below all of them."""
        dice = self._dice
        self._partitions, self._is_calendar, self._grains = PARTITIONS[:1], False, {}
        for entry in self._document.values():
            entry["upstream"] = _without_mappings(entry["upstream"])
        root, many = dice.choice(names), [f"p{number}" for number in range(100, 100 + dice.randint(33, 40))]
        for name in many:
            if dice.random() < 0.6:
                self._document[name] = self._entry(name, [root])
            else:
                self._sources.append(name)
        form = dice.choice(("all", "any", "at_least"))
        inputs = [*many, dice.choice(names)]
        of = {"at_least": dice.choice((2, 20, len(inputs) - 1)), "of": inputs} if form == "at_least" else {form: inputs}
        self._document["p200"] = {"upstream": of}

    def _entry(self, name: str, upstreams: list[str]) -> dict[str, Any]:
        entry: dict[str, Any] = {"upstream": self._condition(name, upstreams)}
        if self._mixed:
            chance = self._dice.random()
            if chance < 0.1:
                entry["rerun"] = "ignore"
            elif chance < 0.2:
                entry["rerun"] = "new_run"
            elif chance < 0.3:
                entry["rerun"] = "hold"
            if self._dice.random() < 0.08:
                entry["settle"] = "direct"
            if self._dice.random() < self._profile.limited:
                entry["max_in_flight"] = self._dice.choice((1, 1, 2))
            if self._dice.random() < self._profile.catchup:
                entry["catchup"] = self._dice.choice(("latest", "none"))
            if self._dice.random() < 0.12:
                entry["deadline"] = {"after": f"{self._dice.randint(1, 15)} seconds"}
                entry["on_late"] = self._dice.choice(("show", "fire", "skip"))
        return entry

    def _condition(self, name: str, upstreams: list[str]) -> Any:
        dice = self._dice
        leaves = [self._leaf(name, upstream) for upstream in upstreams]
        if all(isinstance(leaf, dict) and not leaf.get("trigger", True) for leaf in leaves):
            del leaves[0]["trigger"]  # gates alone start nothing, and are refused
        if not self._mixed:
            return leaves if len(leaves) > 1 else leaves[0]
        if len(leaves) == 1:
            return leaves[0]
        form = dice.choice(("all", "all", "any", "at_least", "nested"))
        if form == "any":
            return {"any": leaves}
        if form == "at_least":
            return {"at_least": dice.randint(1, len(leaves)), "of": leaves}
        if form == "nested" and len(leaves) > 2:
            inner = dice.choice(({"any": leaves[1:]}, {"all": leaves[1:]}))
            return dice.choice(({"all": [leaves[0], inner]}, {"any": [leaves[0], inner]}))
        return {"all": leaves}

    def _leaf(self, downstream: str, upstream: str) -> Any:
        dice = self._dice
        leaf: dict[str, Any] = {"pipeline": upstream}
        chance = dice.random() if self._mixed else 1.0
        if chance < 0.08:
            leaf["on"] = "failure"
        elif chance < 0.18:
            leaf["on"] = "done"
        if self._is_calendar and (mapping := self._mapping(downstream, upstream)) != "identity":
            leaf["partition"] = mapping
            if mapping == "latest" and dice.random() < 0.6:
                leaf["trigger"] = False
        if self._mixed and not self._is_calendar and dice.random() < 0.04:
            leaf["partition"] = "latest"
        if self._mixed and dice.random() < 0.06:
            leaf["trigger"] = False
        if self._mixed and dice.random() < 0.04:
            leaf["max_age"] = f"{dice.randint(2, 15)} seconds"
        return leaf if len(leaf) > 1 else upstream

    def _mapping(self, downstream: str, upstream: str) -> Any:
        """One that brings partitions of the upstream's period to such of the downstream's."""
        dice = self._dice
        of, to = self._grains[upstream], self._grains[downstream]
        if dice.random() < 0.12 or (of == "once" and to != "once"):
            return "latest"
        match of, to:
            case "month", "month":
                return dice.choice(("identity", "identity", PREVIOUS))
            case "month", "quarter":
                rollup = {"mapper": "rollup", "window": "quarter", "every": "month"}
                return dice.choice((rollup, {**rollup, "wait": 2}, {**rollup, "wait": -1}, "start_of_quarter"))
            case "quarter", "month":
                return {"mapper": "fan_out", "window": "quarter", "every": "month"}
            case "month" | "quarter", "once":
                return {"mapper": "fixed_key", "downstream_key": ONCE}
        return "identity"

    # -- episodes ----------------------------------------------------------------------------------------------------

    def _episode(self) -> Episode:
        dice = self._dice
        fails = self._fails() if dice.random() < 0.35 else ()
        faults = () if dice.random() < self._profile.calm else self._faults()
        if dice.random() < self._profile.exact:
            return Episode(acts=(self._one_change(),), faults=faults, fails=fails, exact=True)
        acts = tuple(self._act(round(dice.uniform(0, 8), 3)) for _ in range(dice.randint(1, self._profile.acts)))
        if dice.random() < 0.4:
            acts += self._cleared_together()
        return Episode(acts=acts, faults=faults, fails=fails)

    @property
    def _names(self) -> list[str]:
        return [*self._sources, *self._document]

    def _fails(self) -> tuple[str, ...]:
        return tuple(self._dice.sample(self._names, min(len(self._names), self._dice.choice((1, 1, 2)))))

    def _one_change(self) -> Step:
        dice = self._dice
        name, partition = self._somewhere()
        do = dice.choice(
            (
                *("clear", "clear", "clear", "set_state", "hold", "release", "depend", "republish"),
                *("take_out", "put_back", "put_back", "mark"),
            )
        )
        return self._step(0.0, do, name, partition)

    def _act(self, at: float) -> Step:
        dice = self._dice
        name, partition = self._somewhere()
        edits, marks = self._profile.edits, self._profile.marks
        do = dice.choices(
            (
                "clear",
                "trigger",
                "set_state",
                "hold",
                "release",
                "depend",
                "policy",
                "republish",
                "delete_run",
                "delete_state",
                "delete_record",
                "order",
                "mark",
                "take_out",
                "put_back",
                "move",
            ),
            (10, 4, 3 * marks, 2, 2, 2, 1, 1, 1, 1, 1, 2, 2 * marks, *(edits * weight for weight in (2, 2, 1))),
        )[0]
        return self._step(at, do, name, partition)

    def _somewhere(self) -> tuple[str, str]:
        name = self._dice.choice(self._names)
        return name, self._dice.choice(self._partitions_of(name))

    def _step(self, at: float, do: str, name: str, partition: str) -> Step:
        dice = self._dice
        match do:
            case "clear" | "trigger":
                # Short waits, and such as nobody hears of for long.
                if dice.random() < self._profile.long_waits:
                    return Step(at, do, name, partition, round(dice.uniform(5, 20), 2))
                return Step(at, do, name, partition, dice.choice((None, None, round(dice.uniform(0, 3), 2))))
            case "set_state" | "mark":
                return Step(at, do, name, partition, dice.choice(("success", "failed")))
            case "order":
                return Step(at, do, name, partition, dice.choice(("rerun", "release")))
            case "hold" | "release":
                return Step(at, do, dice.choice(list(self._document)))
            case "depend":
                downstream = dice.choice(list(self._document))
                above = self._names_above(downstream)
                count = min(len(above), dice.choice((1, 2, 2, 3)))
                return Step(at, do, downstream, value=self._condition(downstream, dice.sample(above, count)))
            case "policy":
                return Step(
                    at, do, dice.choice(list(self._document)), value=dice.choice(("clear", "ignore", "new_run"))
                )
            case "republish" | "put_back":
                return Step(at, do)
            case "take_out":
                return Step(at, do, dice.choice(list(self._document)))
            case "move":
                return Step(at, do, "team_b")
        return Step(at, do, name, partition)

    def _names_above(self, downstream: str) -> list[str]:
        """What it may wait for without closing a cycle: numbers grow downwards."""
        number = int(downstream.rpartition("p")[2])
        return [name for name in self._names if int(name.rpartition("p")[2]) < number]

    def _cleared_together(self) -> tuple[Step, ...]:
        dice = self._dice
        at = round(dice.uniform(0, 5), 3)
        names = dice.sample(self._names, min(len(self._names), dice.choice((2, 2, 3))))
        return tuple(self._step(at, "clear", name, dice.choice(self._partitions_of(name))) for name in names)

    # -- faults ------------------------------------------------------------------------------------------------------

    def _faults(self) -> tuple[Step, ...]:
        wanted, only = self._dice.randint(1, self._profile.faults), self._profile.only
        drawn = (self._fault() for _ in range(wanted if not only else 20 * wanted))
        faults = tuple(fault for fault in drawn if not only or {fault.do, f"{fault.do} {fault.on}"} & set(only))[
            :wanted
        ]
        return *faults, *(step for step in self._meddling(faults) if not only or step.do in only)

    def _meddling(self, beside: tuple[Step, ...]) -> Iterator[Step]:
        """Somebody changes in etcd what only the coordinator should. Not drawn from the same dice as everything else:
        the other plans stay as they were."""
        dice = random.Random(f"{self._seed} {beside}")
        for do, on in (("delete_leader", ""), ("overwrite", dice.choice(ENVIRONMENTS))):
            if dice.random() < self._profile.meddling:
                yield Step(round(dice.uniform(0, 8), 3), do, on)

    def _fault(self) -> Step:
        dice = self._dice
        at = round(dice.uniform(0, 6), 3)
        seconds = round(dice.choice((dice.uniform(0.1, 3), dice.uniform(3, 9), dice.uniform(9, 25))), 2)
        environment = dice.choice(ENVIRONMENTS)
        match dice.randrange(17):
            case 0 | 1:
                return Step(at, "kill", dice.choice(("", *KILL_POINTS)), value=round(dice.uniform(0, 15), 2))
            case 2 | 3:
                return Step(at, "freeze", dice.choice(("", *FREEZE_POINTS)), value=seconds)
            case 4:
                return Step(at, "lag", value=seconds)
            case 5:
                return Step(at, "cut", dice.choice(("", "compacted")), value=seconds)
            case 6:
                return Step(at, "etcd_away", value=seconds)
            case 7:
                return Step(at, "commit", dice.choice(("written", "not written")))
            case 8 | 9:
                return Step(at, "answer", environment, value=dice.choice(ANSWERS))
            case 10:
                return Step(at, dice.choice(("away", "dead")), environment, value=seconds)
            case 11:
                return Step(at, "missing", dice.choice(self._names), value=seconds)
            case 12:
                return Step(at, "outbox", environment, value=round(dice.uniform(5, 40), 2))
            case 13:
                return Step(at, "slow_lists", environment, value=seconds)
            case 14:
                return Step(at, "slow_looks", environment, value=seconds)
            case 15:
                return Step(at, "wrong_clock", value=dice.choice((-1, 1)) * dice.choice((2, 10, 60, 7200)))
        kind = dice.choice(("late_reports", "late_reports", "lost_reports", "repeated_reports"))
        value = seconds if kind == "late_reports" else dice.randint(1, 3)
        return Step(at, kind, dice.choice(self._names), value=value)


def _without_mappings(upstream: Any) -> Any:
    """A condition that asks for the same partition everywhere."""
    match upstream:
        case {"pipeline": _}:
            return {key: value for key, value in upstream.items() if key != "partition"}
        case dict():
            return {key: _without_mappings(value) for key, value in upstream.items()}
        case list():
            return [_without_mappings(one) for one in upstream]
    return upstream
