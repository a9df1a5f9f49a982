"""No name leaves its own segment of an address: what arrives is the path that was meant, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.config.airflow import AirflowSettings
from coordinator.model.trigger import Action
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.airflow.client import addressable, addressable_dag
from coordinator.runners.port import EnvironmentUnavailable, Refused, RequestRefused, RunRef, StartRequest
from tests.standin.http11 import Request, Response, Server

ODD = [
    *("..", ".", "~", "", "/", "a/../../b", "../..", "%2e%2e", "%2F", "a%2Fb", "\\", "..\\..", "//evil", "@evil"),
    *("a?b=c", "a#b", "a;b", "a b", "a&limit=1", "\0", "a\nb", "a\r\nX: y", "http://evil/"),
    *("é", "\u202e", "\ud800", "x" * 3000),
]
names = st.one_of(st.sampled_from(ODD), st.text(max_size=30), st.text("./\\%~?#;&=@:| \n\x00ab", max_size=12))


class Listener:
    """Says 404 to everything, and keeps what was asked as it came over the line."""

    def __init__(self) -> None:
        self.targets: list[tuple[str, str]] = []
        self._server = Server(self._answer, 0)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.port}"

    def _answer(self, request: Request) -> Response:
        self.targets.append((request.method, request.target))
        return Response(404, b'{"detail": "not here"}')

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def runner(listener: Listener) -> Iterator[AirflowRunner]:
    made = AirflowRunner("default", AirflowSettings(url=f"{listener.url}/prefix"))
    yield made
    made.close()


def check_paths(targets: list[tuple[str, str]], *, dag_ids: set[str], run_ids: set[str]) -> None:
    for _, target in targets:
        assert target.isascii()
        assert target.isprintable()
        path, _, query = target.partition("?")
        root, *segments = path.removeprefix("/prefix/").split("/")
        assert root == "api", target
        match [segments[0], *map(unquote, segments[1:])]:
            case ["v2", "version"] | ["v2", "monitor", "health"] | ["v2", "dags"] | ["v2", "dags", "~", "dagRuns"]:
                pass
            case ["v2", "dags", dag_id] | ["v2", "dags", dag_id, "dagRuns"]:
                assert dag_id in dag_ids
                assert dag_id != "~"
            case ["v2", "dags", dag_id, "dagRuns", run_id] | ["v2", "dags", dag_id, "dagRuns", run_id, "clear"]:
                assert dag_id in dag_ids
                assert run_id in run_ids
                assert dag_id != "~"
            case _:
                raise AssertionError(f"an address that nobody meant: {target}")
        for name, values in parse_qs(query, keep_blank_values=True).items():
            assert len(values) == 1, target
            if name == "run_id_prefix_pattern":
                assert set(values[0].split("|")) <= run_ids
            elif name == "dag_id_prefix_pattern":
                assert set(values[0].split("|")) <= dag_ids
            else:
                assert name in ("limit", "offset", "logical_date_gte", "logical_date_lte")


@pytest.mark.promise("bad-input")
@settings(max_examples=150, deadline=None)
@given(names, names, st.sampled_from(Action))
def test_starting_and_asking_address_that_run_and_nothing_else(
    runner: AirflowRunner, listener: Listener, dag_id: str, run_id: str, action: Action
) -> None:
    listener.targets.clear()
    request = StartRequest(dag_id, action, run_id, "t")
    for talk in (runner.start, runner.ask):
        try:
            outcome = talk(request)
        except (EnvironmentUnavailable, RequestRefused) as error:
            str(error).encode()
        else:
            if talk == runner.start and not (addressable_dag(dag_id) and addressable(run_id)):
                assert isinstance(outcome, Refused)
                assert listener.targets == [], "what has no address is not asked for"
    check_paths(listener.targets, dag_ids={dag_id}, run_ids={run_id})


@pytest.mark.promise("bad-input")
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(names, names), max_size=4))
def test_looking_and_checking_ask_for_these_names_and_no_others(
    runner: AirflowRunner, listener: Listener, runs: list[tuple[str, str]]
) -> None:
    listener.targets.clear()
    dag_ids, run_ids = {dag_id for dag_id, _ in runs}, {run_id for _, run_id in runs}
    str(runner.look([RunRef(*run) for run in runs], timeout=10).error).encode()
    runner.check(sorted(dag_ids))
    check_paths(listener.targets, dag_ids=dag_ids, run_ids=run_ids)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "\ud800"])
def test_what_a_path_cannot_name_is_not_addressable(name: str) -> None:
    assert not addressable(name)
    assert not addressable_dag(name)


def test_all_dags_are_no_dag() -> None:
    assert not addressable_dag("~")
    assert addressable("~"), "a run may be called so"
