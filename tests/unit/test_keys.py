"""Keys can be read back, whatever the names are, and no name leaves its own segment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.references import PipelineRef, Target
from coordinator.store.keys import (
    DependenciesKey,
    HoldKey,
    Keys,
    LeaderKey,
    ReporterKey,
    ReporterSeenKey,
    StateKey,
    TriggerKey,
    WatcherKey,
    encode_segment,
)

names = st.text(min_size=1)
KEYS = Keys()


def test_the_keys_are_those_of_the_design() -> None:
    target = Target(PipelineRef("default", "01_pipeline"), "2026-11-20T00:00:00Z")
    assert KEYS.state(target) == "/coordinator/state/default/01_pipeline/2026-11-20T00:00:00Z"
    assert KEYS.trigger(target) == "/coordinator/trigger/default/01_pipeline/2026-11-20T00:00:00Z"
    assert KEYS.dependencies("team_b") == "/coordinator/dependencies/team_b"
    assert KEYS.hold(target.pipeline) == "/coordinator/hold/default/01_pipeline"
    assert KEYS.leader == "/coordinator/leader"
    assert KEYS.watcher("w1") == "/coordinator/watchers/w1"
    assert KEYS.reporter("sales", "r1") == "/coordinator/reporter/sales/r1"
    assert KEYS.reporter_seen("sales") == "/coordinator/reporter_seen/sales"


def test_only_slashes_percents_and_control_characters_are_encoded() -> None:
    assert encode_segment("a/b%c\nd\x7f") == "a%2Fb%25c%0Ad%7F"
    assert encode_segment("2026-11-20T00:00:00+01:00 état") == "2026-11-20T00:00:00+01:00 état"


@given(names, names, names)
def test_a_key_of_a_target_is_read_back_as_the_same_target(environment: str, dag_id: str, partition: str) -> None:
    target = Target(PipelineRef(environment, dag_id), partition)
    assert KEYS.parse(KEYS.state(target)) == StateKey(target)
    assert KEYS.parse(KEYS.trigger(target)) == TriggerKey(target)
    assert KEYS.parse(KEYS.hold(target.pipeline)) == HoldKey(target.pipeline)


@given(names)
def test_a_key_of_one_name_is_read_back_as_the_same_name(name: str) -> None:
    assert KEYS.parse(KEYS.dependencies(name)) == DependenciesKey(name)
    assert KEYS.parse(KEYS.watcher(name)) == WatcherKey(name)
    assert KEYS.parse(KEYS.reporter(name, name)) == ReporterKey(name, name)
    assert KEYS.parse(KEYS.reporter_seen(name)) == ReporterSeenKey(name)


@given(names, names)
def test_two_names_never_share_a_key(one: str, other: str) -> None:
    assert (KEYS.watcher(one) == KEYS.watcher(other)) is (one == other)


def test_the_leader_key_is_read_back() -> None:
    assert KEYS.parse(KEYS.leader) == LeaderKey()


@pytest.mark.parametrize(
    "key",
    [
        "/other/state/default/a/k",
        "/coordinator",
        "/coordinator/",
        "/coordinator/state/default/a",
        "/coordinator/state/default/a/k/more",
        "/coordinator/state/default//k",
        "/coordinator/leader/x",
        "/coordinator/unknown/x",
        "/coordinatorstate/default/a/k",
        "/coordinator/state/default/a/2026%2D11",
        "/coordinator/state/default/a/x%2fy",
        "/coordinator/state/default/a/%FF",
        "/coordinator/state/default/a/%",
        "/coordinator/state/default/a/\n",
        "/coordinator/state/default/a/\udcff",
    ],
)
def test_what_is_no_key_of_ours_is_nothing(key: str) -> None:
    assert KEYS.parse(key) is None


def test_a_trailing_slash_of_the_prefix_does_not_matter() -> None:
    assert Keys("/c/").leader == Keys("/c").leader == "/c/leader"
