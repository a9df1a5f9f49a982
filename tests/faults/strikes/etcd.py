"""etcd killed, frozen, without a quorum, compacted, full, restored, replaced."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.etcd_cluster import Member
from tests.faults import administration
from tests.faults.line import Way
from tests.faults.registry import Struck, fault
from tests.faults.stage import COMES_TO_REST, WATCHER, Stage, pause
from tests.faults.strikes.lines import broken
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("downtime")

BEHIND = WATCHER.lease_ttl + 4.0
MINUTE = 60.0
SMALL = 16 * 1024 * 1024
"""Bytes after which an etcd that is to be filled up is full."""

Choose = Callable[[Struck], Member]


def _leader(struck: Struck) -> Member:
    return struck.stage.cluster.leader()


def _follower(struck: Struck) -> Member:
    leader = struck.stage.cluster.leader()
    return struck.workload.dice.choice([one for one in struck.stage.cluster.members if one is not leader])


def _only(struck: Struck) -> Member:
    return struck.stage.cluster.members[0]


def _wave_goes(struck: Struck) -> None:
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.6))


def _kill(choose: Choose) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        member = choose(struck)
        _wave_goes(struck)
        member.kill()
        if len(struck.stage.cluster.members) > 1:
            struck.workload.go_on()
        else:
            pause(struck.workload.dice.uniform(1.0, 4.0))
        struck.stage.cluster.start(member)

    return strike


def _freeze(choose: Choose) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        member = choose(struck)
        _wave_goes(struck)
        member.freeze()
        if len(struck.stage.cluster.members) > 1:
            struck.workload.go_on()
        else:
            pause(struck.workload.dice.uniform(3.0, 7.0))
        member.thaw()

    return strike


for _who, _choose in (("leader", _leader), ("follower", _follower)):
    fault(
        f"etcd {_who} of three: kill -9",
        group="etcd",
        asserts="the wave ends without it",
        members=3,
        behind=BEHIND,
        in_every_test_run=_who == "leader",
        in_soak=True,
    )(_kill(_choose))
    fault(
        f"etcd {_who} of three: SIGSTOP",
        group="etcd",
        asserts="the wave ends without it",
        members=3,
        behind=BEHIND,
        in_soak=True,
    )(_freeze(_choose))

fault("the only etcd: kill -9", group="etcd", asserts="one leads again as soon as it can", behind=BEHIND)(
    _kill(lambda struck: struck.stage.cluster.members[0])
)
fault("the only etcd: SIGSTOP", group="etcd", asserts="one leads again as soon as it can", behind=BEHIND)(
    _freeze(lambda struck: struck.stage.cluster.members[0])
)


@fault(
    "etcd without a quorum for a minute",
    group="etcd",
    asserts="one leads again as soon as it can",
    members=3,
    behind=BEHIND,
)
def lose_quorum(struck: Struck) -> None:
    lost = struck.workload.dice.sample(struck.stage.cluster.members, 2)
    _wave_goes(struck)
    for member in lost:
        member.kill()
    pause(MINUTE)
    struck.stage.cluster.start(*lost)
    struck.stage.await_health()


@fault("etcd compacted and defragmented", group="etcd", asserts="no watcher lists again")
def compact(struck: Struck) -> None:
    stage = struck.stage
    listed = _listed(stage)
    _wave_goes(struck)
    for _ in range(5):
        administration.compact(stage.cluster.members[0], stage.witness.revision)
        administration.defragment(stage.cluster.members[0])
        pause(0.2)
    assert _listed(stage) == listed


@fault(
    "etcd compacted while every watcher was cut off",
    group="etcd",
    asserts="every watcher lists again",
    behind=BEHIND,
    in_every_test_run=True,
)
def compact_unseen(struck: Struck) -> None:
    stage = struck.stage
    listed = _listed(stage)
    with broken([line for replica in stage.replicas for line in replica.to_etcd], Way.CUT):
        struck.workload.end_sources()
        until(struck.workload.sources_are_known_to_have_ended, "etcd knows what the watchers do not")
        until(stage.witness_is_up_to_date, "all has been seen that is to be forgotten")
        # Where a wave had one source, one change was missed; and from the very revision that etcd is compacted to, it
        # can still be watched.
        member = stage.cluster.members[0]
        administration.compact(member, administration.count_on(member))
    _await_lists(stage, listed)


@fault(
    "etcd full (NOSPACE), and cleared",
    group="etcd",
    asserts="one leads again, everything that waited goes on",
    etcd_arguments=[f"--quota-backend-bytes={SMALL}"],
    behind=BEHIND,
)
def fill(struck: Struck) -> None:
    member = struck.stage.cluster.members[0]
    _wave_goes(struck)
    administration.fill(member)
    pause(WATCHER.lease_ttl + 2.0)
    administration.make_room(member)
    struck.stage.await_health()


@fault(
    "etcd restored from a snapshot",
    group="etcd",
    asserts="every watcher lists again; from there on everything once: what came after the snapshot is forgotten",
    behind=BEHIND,
)
def restore(struck: Struck) -> None:
    stage = struck.stage
    file = stage.directory / "snapshot.db"
    file.unlink(missing_ok=True)
    administration.snapshot(stage.cluster.members[0], file)
    struck.workload.end_sources()
    struck.workload.count()
    struck.workload.begin_wave()
    _wave_goes(struck)
    listed = _listed(stage)
    administration.restore(stage.cluster, file)
    _await_lists(stage, listed)
    _everything_once_more(struck)


@fault(
    "etcd replaced by an empty one",
    group="etcd",
    asserts="every watcher lists again, the file is published again, runs that exist are adopted; from there on "
    "everything once",
    behind=BEHIND,
)
def replace(struck: Struck) -> None:
    _wave_goes(struck)
    listed = _listed(struck.stage)
    administration.replace_by_an_empty_one(struck.stage.cluster)
    _await_lists(struck.stage, listed)
    _everything_once_more(struck)


def _listed(stage: Stage) -> dict[str, int]:
    """How often each watcher has listed everything so far."""
    return {replica.name: len(replica.service.events("etcd.listed")) for replica in stage.replicas}


def _await_lists(stage: Stage, before: dict[str, int]) -> None:
    until(
        lambda: all(count > before[name] for name, count in _listed(stage).items()),
        "every watcher has listed again",
        limit=COMES_TO_REST,
    )


def _everything_once_more(struck: Struck) -> None:
    """Come to rest with what etcd holds now; then every source runs, and everything below it once."""
    stage = struck.stage
    stage.await_health()
    until(lambda: stage.is_published(struck.workload.graph.document), "the dependencies are published", limit=30)
    stage.see_anew()
    stage.await_rest()
    struck.workload.begin_anew()
    struck.workload.begin_wave(everything=True)
    struck.workload.end_sources()
