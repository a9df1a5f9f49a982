"""The recorded requests, asked again: of the stand-in, or of a real Airflow.

Compared with what was recorded are the status, the shape of the body (the same fields with values of the same type),
the words wherever Airflow says why it refuses, the fields that the runner reads, and which instants of a run have
become others since the answer before about it. ``recorded/airflow-3.3.2.json`` was taken down on SQLite, from DAGs
with the names and properties of :data:`DAGS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from tests.airflow_model.runs import Partitioning

RECORDED = Path(__file__).parent / "recorded" / "airflow-3.3.2.json"
KEYED = {
    "keyed": Partitioning.AT_RUNTIME,
    "keyed_by_asset": Partitioning.BY_ASSETS,
    "keyed_by_cron": Partitioning.BY_CRON,
}
DAGS = ("broken", "choosy", "empty", *KEYED, "quick", "sleeping", "slow")
"""``choosy`` has a param ``n``, an integer; ``empty`` has no tasks; ``sleeping``, ``keyed_by_asset`` and
``keyed_by_cron`` are paused."""

INSTANTS = ("queued_at", "start_date", "end_date", "run_after")
WEB_PAGES = "an address that does not exist, outside the API"

_VALUES = (
    "dag_id",
    "dag_run_id",
    "logical_date",
    "state",
    "partition_key",
    "partition_date",
    "conf",
    "is_paused",
    "is_stale",
    "timetable_partitioned",
    "timetable_summary",
    "asset_id",
    "uri",
    "extra",
)
"""Fields that are compared by value; the runner reads these."""
_WORDS = ("detail", "error", "msg", "type", "loc")
_DIFFERS_BY_VERSION = ("The run_id provided", "1 validation error for LoginBody")
_MAY_BE_MISSING = {"is_backfillable", "file_token"}

BringTo = Callable[[str, str, str], None]
"""Called with dag_id, run_id and state: returns once the run is in this state."""


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RECORDED.read_text())["steps"]
    return found


def differences(base_url: str, passwords: Mapping[str, str], bring_to: BringTo, *, web_pages: bool) -> list[str]:
    """Play all of it against an Airflow that has the DAGs and no runs. Where its answers part from the recorded ones.

    :param passwords: of the users ``admin`` and ``eve``, who may only read.
    :param web_pages: it has Airflow's web pages.
    """
    tokens = {"malformed": "no.such.token"}
    ours, theirs = _Instants(), _Instants()
    problems = []
    for step in steps():
        if "until" in step:
            bring_to(step["until"]["dag_id"], step["until"]["run_id"], step["until"]["state"])
            continue
        name, asked, expected = step["name"], step["request"], step["answer"]
        if name == WEB_PAGES and not web_pages:
            continue
        answer = _ask(base_url, name, asked, passwords, tokens)
        is_json = answer.headers.get("content-type") == "application/json"
        body: Any = answer.json() if is_json and answer.content else None
        if asked["path"] == "/auth/token" and answer.status_code == 201:
            tokens[asked["body"]["username"]] = body["access_token"]
        if answer.status_code != expected["status"]:
            problems.append(f"{name}: {answer.status_code}, Airflow answered {expected['status']}: {body}")
        if name != WEB_PAGES:
            problems += [f"{name}: {problem}" for problem in _compare("body", body, expected["body"])]
        if (changed := ours.changed(body)) != (recorded := theirs.changed(expected["body"])):
            problems.append(f"{name}: {changed} have become others, in Airflow {recorded}")
    return problems


def _ask(
    base_url: str, name: str, asked: dict[str, Any], passwords: Mapping[str, str], tokens: Mapping[str, str]
) -> requests.Response:
    body = asked["body"]
    if body is not None and body.get("password") == body.get("username") and "password" in body:
        body = {**body, "password": passwords[body["username"]]}
    return requests.request(
        asked["method"],
        base_url + asked["path"],
        headers={"Authorization": f"Bearer {tokens[asked['auth']]}"} if asked["auth"] in tokens else {},
        data="{" if "no JSON" in name else None,
        json=body,
        timeout=30,
    )


class _Instants:
    """The instants of each run, as it was answered last."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], dict[str, Any]] = {}

    def changed(self, body: Any) -> list[str]:
        """Which of them a single run's answer shows to have become others, since it was last seen."""
        if not isinstance(body, dict) or "dag_run_id" not in body:
            return []
        key = body["dag_id"], body["dag_run_id"]
        now = {name: body[name] for name in INSTANTS}
        before = self._runs.get(key, now)
        self._runs[key] = now
        return [name for name in INSTANTS if now[name] != before[name]]


def _compare(place: str, found: Any, real: Any) -> Iterator[str]:
    name = re.sub(r"\[\d+\]$", "", place).rsplit(".", 1)[-1]
    if isinstance(real, dict) and "task_instances" in real:
        return  # what a clear would clear: the coordinator never asks
    if name in _WORDS and not isinstance(real, dict) and not (name == "detail" and isinstance(real, list)):
        if found != real and not str(real).startswith(_DIFFERS_BY_VERSION):
            yield f"{place} is {found!r}, not {real!r}"
    elif name in _VALUES:
        if found != real and not str(real).startswith("manual__"):
            yield f"{place} is {found!r}, not {real!r}"
    elif isinstance(real, dict) and isinstance(found, dict):
        for key in found.keys() - real.keys():
            yield f"{place}.{key} is not in Airflow's answer"
        for key in real.keys() - found.keys() - _MAY_BE_MISSING:
            yield f"{place}.{key} is missing"
        for key in found.keys() & real.keys():
            yield from _compare(f"{place}.{key}", found[key], real[key])
    elif isinstance(real, list) and isinstance(found, list):
        if len(real) != len(found):
            yield f"{place} has {len(found)} entries, not {len(real)}"
        for index, (one, other) in enumerate(zip(found, real, strict=False)):
            yield from _compare(f"{place}[{index}]", one, other)
    elif name == "total_entries":
        if found != real:
            yield f"{place} is {found}, not {real}"
    elif (found is None) != (real is None):
        if name != "last_scheduling_decision":
            yield f"{place} is {found!r}, not {real!r}"
    elif type(found) is not type(real) and not {type(found), type(real)} <= {int, float}:
        yield f"{place} is a {type(found).__name__}, not a {type(real).__name__}"
    elif name in INSTANTS and _spelling(found) != _spelling(real):
        yield f"{place} is spelled {found!r}, Airflow spells {real!r}"


def _spelling(instant: str | None) -> str | None:
    return None if instant is None else re.sub(r"\d", "0", instant)
