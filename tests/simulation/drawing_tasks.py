"""Drawing tasks, sensors and assets into a plan that is drawn already.

They have dice of their own: plans without them stay as they were.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from tests.simulation.plan import Plan, Step

MAPPINGS = ("rollup", "fan_out", "offset")
"""Besides the same partition, those with which tasks are drawn."""


def with_tasks(plan: Plan) -> Plan:
    """Some of its pipelines get tasks, some of its dependencies name one, and people clear some alone."""
    dice = random.Random(f"tasks {plan.seed}")
    tasks = {name: _shape(dice) for name in plan.pipelines if dice.random() < 0.6}
    document = {
        name: {**entry, "upstream": _condition(entry["upstream"], tasks, dice)} for name, entry in plan.document.items()
    }
    episodes = tuple(
        replace(episode, acts=tuple(_act(act, tasks, dice) for act in episode.acts)) for episode in plan.episodes
    )
    return replace(plan, tasks=tasks, document=document, episodes=episodes)


def with_sensors(plan: Plan, dice: random.Random) -> Plan:
    """Some sensors begin to wait in each episode, for any pipeline or task, in any partition."""
    sensors: list[dict[str, Any]] = []
    episodes = []
    for episode in plan.episodes:
        acts = list(episode.acts)
        for _ in range(dice.randint(1, 3)):
            name = dice.choice(plan.pipelines)
            task = dice.choice(plan.tasks[name]["tasks"]) if name in plan.tasks and dice.random() < 0.6 else ""
            on = dice.choice(("success", "success", "success", "failure", "done", *(("skipped",) if task else ())))
            wait = {"pipeline": name, "task": task, "partition": dice.choice(plan.partitions), "on": on}
            if dice.random() < 0.6:
                wait["rerun"] = "clear"
            acts.append(Step(round(dice.uniform(0, 8), 3), "wait", value=len(sensors)))
            sensors.append(wait)
        episodes.append(replace(episode, acts=tuple(acts)))
    return _with_clears_of_sensors(replace(plan, sensors=tuple(sensors), episodes=tuple(episodes)))


def with_assets(plan: Plan, dice: random.Random) -> Plan:
    """Some pipelines emit assets; pipelines that the oracle does not know wait for them, and bridges hand them on."""
    heard = [name for name in plan.pipelines if _environment(name) not in (*plan.silent, *plan.observed)]
    emits, waits = {}, {}
    for number, name in enumerate(dice.sample(heard, min(len(heard), dice.choice((1, 2, 2, 3))))):
        uri = f"s3://lake/{dice.choice((number, 0))}"
        late = round(dice.uniform(0.2, 8.0), 2)
        emits[name] = {"uris": [uri], "times": dice.choice((1, 1, 2)), "late": late, "failing": dice.random() < 0.3}
        if dice.random() < 0.8:
            waiter = f"{dice.choice(('default', 'team_b'))}/w{number}"
            waits[waiter] = {"upstream": {"asset": uri, "environment": _environment(name)}}
    bridges = []
    for source, consumer in (("default", "team_b"), ("team_b", "default"))[: dice.choice((0, 1, 1))]:
        bridges.append({"from": source, "to": [consumer], "rerun": dice.choice(("forward", "forward", "once"))})
    return replace(plan, assets={"emits": emits, "waits": waits, "bridges": bridges})


def _environment(name: str) -> str:
    environment, slash, _ = name.partition("/")
    return environment if slash else "default"


def _with_clears_of_sensors(plan: Plan) -> Plan:
    """People clear some of them."""
    dice = random.Random(f"clears of sensors {plan.seed}")
    episodes, begun = [], 0
    for episode in plan.episodes:
        begun += sum(act.do == "wait" for act in episode.acts)
        clears = [number for number in range(begun) if dice.random() < 0.25]
        acts = (Step(round(dice.uniform(0, 8), 3), "clear_sensor", value=number) for number in clears)
        episodes.append(replace(episode, acts=(*episode.acts, *acts)))
    return replace(plan, episodes=tuple(episodes))


def _shape(dice: random.Random) -> dict[str, Any]:
    names = ["extract", "load", "check"][: dice.choice((1, 2, 3, 3))]
    return {
        "tasks": names,
        "mapped": {name: dice.choice((2, 3)) for name in names if dice.random() < 0.25},
        "skipped": [name for name in names if dice.random() < 0.1],
        "fails_at": dice.choice((None, *range(len(names)))),
    }


def _condition(upstream: Any, tasks: dict[str, Any], dice: random.Random) -> Any:
    match upstream:
        case str():
            return _leaf({"pipeline": upstream}, tasks, dice) or upstream
        case {"pipeline": _}:
            return _leaf(upstream, tasks, dice) or upstream
        case {"at_least": n, "of": of}:
            return {"at_least": n, "of": [_condition(one, tasks, dice) for one in of]}
        case {"all": of}:
            return {"all": [_condition(one, tasks, dice) for one in of]}
        case {"any": of}:
            return {"any": [_condition(one, tasks, dice) for one in of]}
    return [_condition(one, tasks, dice) for one in upstream]


def _leaf(leaf: dict[str, Any], tasks: dict[str, Any], dice: random.Random) -> dict[str, Any] | None:
    mapping = leaf.get("partition", "identity")
    if isinstance(mapping, dict):
        mapping = mapping["mapper"] if mapping["mapper"] in MAPPINGS else "latest"
    if leaf["pipeline"] not in tasks or dice.random() < 0.35 or mapping in ("latest", "start_of_quarter"):
        return None
    shape = tasks[leaf["pipeline"]]
    name = dice.choice(shape["tasks"])
    if name in shape["skipped"] and dice.random() < 0.7:
        leaf = {**leaf, "on": dice.choice(("skipped", "done"))}
    return {**leaf, "task": name}


def _act(act: Step, tasks: dict[str, Any], dice: random.Random) -> Step:
    if act.do == "depend":
        return replace(act, value=_condition(act.value, tasks, dice))
    if act.do == "clear" and act.on in tasks and dice.random() < 0.4:
        return Step(act.at, "clear_tasks", act.on, act.partition, dice.choice(tasks[act.on]["tasks"]))
    return act
