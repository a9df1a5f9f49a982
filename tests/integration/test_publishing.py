"""Publishing beside others on a real etcd: nothing that was compared may change before it is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from coordinator.commands.proposal import Proposal, Signature
from coordinator.commands.publication_history import Earlier, NothingPublished, history, readable_version
from coordinator.commands.publish import PublishedInBetween, apply, commit, read_publications
from coordinator.config.etcd import EtcdSettings
from coordinator.model import bounds
from coordinator.model.documents import parse_document
from coordinator.model.publishing.edition import Verdict
from coordinator.model.publishing.owners import Objection
from coordinator.model.publishing.publication import Activation, Publication
from coordinator.model.publishing.resuming import Terms
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import (
    Committed,
    Compacted,
    CreateRevisionIs,
    Delete,
    Put,
    StoreUnavailable,
    Transaction,
    TransactionTooLarge,
)
from tests.integration.store.conftest import compact

ANN = Signature("ann@host", datetime(2026, 11, 20, tzinfo=UTC), "T-1")
BEN = Signature("ben@host", datetime(2026, 11, 21, tzinfo=UTC), "T-2")


def proposal(
    store: EtcdStore, keys: Keys, content: dict[str, Any], *, owner: str = "default", at: datetime = ANN.when
) -> Proposal:
    document = parse_document(json.dumps(content), source="test")
    return Proposal(owner, document, read_publications(store, keys), Terms(at))


def publish(
    store: EtcdStore, keys: Keys, content: dict[str, Any], *, owner: str = "default", signature: Signature = ANN
) -> int:
    """Compare and write at once. The revision."""
    compared = proposal(store, keys, content, owner=owner)
    assert compared.objections() == []
    return apply(store, keys, compared, signature)


def stands(store: EtcdStore, keys: Keys, owner: str = "default") -> Publication:
    return readable_version(store, keys, owner)[1]


def active_since(store: EtcdStore, keys: Keys) -> dict[tuple[str, str], int]:
    published, publication = readable_version(store, keys, "default")
    return {
        (str(node.downstream.pipeline), str(dependency)): revision
        for node in publication.nodes(published.revision)
        for dependency, revision in node.active_since.items()
    }


def test_of_two_who_planned_at_once_the_second_is_refused_and_told_who_was_first(etcd: EtcdStore, keys: Keys) -> None:
    publish(etcd, keys, {"D": "A"})
    mine = proposal(etcd, keys, {"D": ["A", "B"]})
    revision = publish(etcd, keys, {"D": ["A", "C"]}, signature=BEN)
    with pytest.raises(PublishedInBetween) as refused:
        apply(etcd, keys, mine, ANN)
    assert f"the document of default was published at revision {revision} by ben@host (T-2)" in str(refused.value)
    assert stands(etcd, keys).document == parse_document('{"D": ["A", "C"]}', source="test")


def test_a_cycle_that_two_owners_close_together_is_refused_to_whoever_comes_second(etcd: EtcdStore, keys: Keys) -> None:
    a = proposal(etcd, keys, {"team_a/x": "team_b/y"}, owner="team_a")
    b = proposal(etcd, keys, {"team_b/y": "team_a/x"}, owner="team_b")
    assert a.objections() == b.objections() == []
    apply(etcd, keys, a, ANN)
    with pytest.raises(PublishedInBetween, match="the document of team_a was published at revision"):
        apply(etcd, keys, b, BEN)
    (objection,) = proposal(etcd, keys, {"team_b/y": "team_a/x"}, owner="team_b").objections()
    assert objection.reason == "closes a cycle: team_b/y -> team_a/x [team_a] -> team_b/y [team_b]"


def test_an_environment_gets_its_own_document_while_the_central_one_is_planned(etcd: EtcdStore, keys: Keys) -> None:
    """The key of team_b is not there when the plan is made: no compare on a key could name it."""
    central = proposal(etcd, keys, {"team_b/y": "A"})
    assert central.objections() == []
    publish(etcd, keys, {"team_b/y": "B"}, owner="team_b")
    with pytest.raises(PublishedInBetween):
        apply(etcd, keys, central, BEN)
    assert [type(one) for one in proposal(etcd, keys, {"team_b/y": "A"}).objections()] == [Objection]


def test_a_document_that_was_deleted_in_between_refuses_its_owner(etcd: EtcdStore, keys: Keys) -> None:
    publish(etcd, keys, {"D": "A"})
    mine = proposal(etcd, keys, {"D": "B"})
    etcd.commit(Transaction((), (Delete(keys.dependencies("default")),)))
    with pytest.raises(PublishedInBetween, match="the document of default was deleted"):
        apply(etcd, keys, mine, ANN)


def test_what_does_not_concern_dependencies_refuses_nobody(etcd: EtcdStore, keys: Keys) -> None:
    mine = proposal(etcd, keys, {"D": "A"})
    etcd.commit(Transaction((), (Put(f"{keys.root}state/default/A/k", b"success"),)))
    etcd.commit(Transaction((), (Put(f"{keys.prefix}-other/dependencies/default", b"{}"),)))
    assert apply(etcd, keys, mine, ANN)


def test_a_fence_that_does_not_hold_writes_nothing(etcd: EtcdStore, keys: Keys) -> None:
    mine = proposal(etcd, keys, {"D": "A"})
    assert not commit(etcd, keys, mine, ANN, fence=(CreateRevisionIs(keys.leader, 7),)).succeeded
    assert etcd.get(keys.dependencies("default")) is None


def test_published_again_unchanged_there_is_nothing_to_write_and_otherwise_activation_is_kept(
    etcd: EtcdStore, keys: Keys
) -> None:
    first = publish(etcd, keys, {"D": ["A", "B"]})
    assert proposal(etcd, keys, {"D": ["A", "B"]}).is_published
    second = publish(etcd, keys, {"D": ["A", "B"], "E": "D"})
    publish(etcd, keys, {"D": {"upstream": ["A", "B"], "rerun": "ignore"}, "E": "D"})
    assert active_since(etcd, keys) == {("D", "A"): first, ("D", "B"): first, ("E", "D"): second}


def test_taken_out_and_put_back_in_time_a_dependency_resumes_and_later_it_is_new(etcd: EtcdStore, keys: Keys) -> None:
    first = publish(etcd, keys, {"D": ["A", "B"]})
    publish(etcd, keys, {"D": ["B"]})
    publish(etcd, keys, {"D": ["A", "B"]})
    assert active_since(etcd, keys) == {("D", "A"): first, ("D", "B"): first}
    publish(etcd, keys, {"D": ["B"]})
    late = proposal(etcd, keys, {"D": ["A", "B"]}, at=ANN.when + timedelta(days=8))
    assert late.resumed() == {}
    fifth = apply(etcd, keys, late, ANN)
    assert active_since(etcd, keys) == {("D", "A"): fifth, ("D", "B"): first}


def test_an_entry_that_moves_to_another_document_is_no_new_dependency(etcd: EtcdStore, keys: Keys) -> None:
    first = publish(etcd, keys, {"D": "A", "team_b/y": "A"})
    publish(etcd, keys, {"D": "A"})
    publish(etcd, keys, {"team_b/y": "A"}, owner="team_b")
    published, publication = readable_version(etcd, keys, "team_b")
    ((_, activation),) = publication.activations(published.revision).items()
    assert activation == Activation(first, ANN.when)


def test_what_was_published_before_is_remembered_when_etcd_has_forgotten_it(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore
) -> None:
    keys = Keys("/remembered")
    publish(own_store, keys, {"D": "A"})
    publish(own_store, keys, {"D": "B"})
    compact(own_etcd, publish(own_store, keys, {"D": "C"}))
    old, new = proposal(own_store, keys, {"D": "A"}), proposal(own_store, keys, {"D": "X"})
    assert (old.version, old.ruling().verdict, new.ruling().verdict) == (3, Verdict.OLDER, Verdict.PUBLISH)
    own_store.commit(Transaction((), (Delete(keys.dependencies("default")),)))
    assert proposal(own_store, keys, {"D": "A"}).ruling().verdict is Verdict.PUBLISH, "else nothing would be in force"
    publish(own_store, keys, {"D": "A"})
    assert stands(own_store, keys).version == 4, "the version only grows"


class Forgetful:
    """An etcd whose answer to a transaction is lost."""

    def __init__(self, store: EtcdStore, *, written: bool) -> None:
        self._store = store
        self._written = written

    def commit(self, transaction: Transaction) -> Committed:
        if self._written:
            self._store.commit(transaction)
        raise StoreUnavailable("the answer was lost")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_an_answer_that_was_lost_is_looked_for(etcd: EtcdStore, keys: Keys) -> None:
    mine = proposal(etcd, keys, {"D": "A"})
    with pytest.raises(StoreUnavailable):
        apply(Forgetful(etcd, written=False), keys, mine, ANN)  # type: ignore[arg-type]
    revision = apply(Forgetful(etcd, written=True), keys, mine, ANN)  # type: ignore[arg-type]
    assert readable_version(etcd, keys, "default")[0].revision == revision


def test_a_document_that_etcd_cannot_take_says_so(etcd: EtcdStore, keys: Keys) -> None:
    random = Random(1)  # what cannot be compressed
    content = {
        f"pipeline_{number}": {"upstream": "A", "conf": {"x": random.randbytes(5_000).hex()}} for number in range(400)
    }
    with pytest.raises(TransactionTooLarge, match="the document of default makes"):
        publish(etcd, keys, content)


def test_a_document_that_nobody_would_read_is_not_written(
    etcd: EtcdStore, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(etcd, keys, {"D": "A"})
    monkeypatch.setattr(bounds, "PUBLICATION_PARTS", 20)
    key = keys.dependencies("default")
    with pytest.raises(TransactionTooLarge, match=f"{key}: nothing was published: .* values of JSON; expected at most"):
        publish(etcd, keys, {"D": list("ABCEFGHIJKLMNOPQRSTUVW")})
    assert [str(name) for name in stands(etcd, keys).document] == ["D"]
    assert stands(etcd, keys).version == 1


def test_the_history_goes_back_to_the_first_version(etcd: EtcdStore, keys: Keys) -> None:
    revisions = [
        publish(etcd, keys, {"D": "A"}),
        publish(etcd, keys, {"D": ["A", "B"], "E": "D"}, signature=BEN),
        publish(etcd, keys, {"E": "D"}),
    ]
    publish(etcd, keys, {"team_b/y": "D"}, owner="team_b")
    found = history(etcd, keys, "default", limit=10)
    assert [version.published.revision for version in found.versions] == revisions[::-1]
    counts = [
        (one.changed.dependencies_added, one.changed.dependencies_removed) for one in found.versions if one.changed
    ]
    assert counts == [(0, 2), (2, 0), (1, 0)]
    assert found.earlier is Earlier.NOTHING
    (_, second, _) = found.versions
    assert isinstance(second.published.value, Publication)
    assert (second.published.value.published_by, second.published.value.why) == ("ben@host", "T-2")

    shorter = history(etcd, keys, "default", limit=2)
    assert [version.published.revision for version in shorter.versions] == [revisions[2], revisions[1]]
    assert shorter.earlier is Earlier.NOT_SHOWN
    assert shorter.versions[-1].changed is not None
    assert history(etcd, keys, "team_c", limit=2).versions == ()


def test_a_version_of_the_past_can_be_read(etcd: EtcdStore, keys: Keys) -> None:
    before = read_publications(etcd, keys).revision
    first = publish(etcd, keys, {"D": "A"})
    second = publish(etcd, keys, {"D": "B"})
    for revision, upstream in ((first, "A"), (second - 1, "A"), (second, "B"), (0, "B")):
        found = readable_version(etcd, keys, "default", revision)[1]
        assert found.document == parse_document(json.dumps({"D": upstream}), source="test")
    with pytest.raises(NothingPublished, match=f"default has no published document at revision {before}"):
        readable_version(etcd, keys, "default", before)
    with pytest.raises(NothingPublished, match="has not come yet"):
        readable_version(etcd, keys, "default", second + 1_000)


def test_history_ends_at_the_compaction_and_the_oldest_revision_to_be_read_is_named(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore, keys: Keys
) -> None:
    first = publish(own_store, keys, {"D": "A"})
    second = publish(own_store, keys, {"D": "B"})
    for number in range(10):
        own_store.commit(Transaction((), (Put(f"{keys.root}state/default/A/{number}", b"success"),)))
    compact(own_etcd, second + 5)
    third = publish(own_store, keys, {"D": "C"})
    found = history(own_store, keys, "default", limit=10)
    assert [version.published.revision for version in found.versions] == [third, second]
    assert found.earlier is Earlier.COMPACTED
    assert found.versions[-1].changed is None
    assert readable_version(own_store, keys, "default", second + 5)[0].revision == second
    for revision in (1, first, second, second + 4):
        with pytest.raises(Compacted, match=f"{second + 5} is the oldest one that can be read") as refused:
            readable_version(own_store, keys, "default", revision)
        assert refused.value.compact_revision == second + 5


@pytest.fixture
def own_etcd(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real etcd that this test may compact."""
    with EmbeddedEtcd(tmp_path_factory.mktemp("own") / "etcd") as server:
        yield server


@pytest.fixture
def own_store(own_etcd: EmbeddedEtcd) -> Any:
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint]))
    yield store
    store.close()


@pytest.mark.parametrize("revision", [0, 10**18], ids=["since ever", "since a revision that will never be"])
@pytest.mark.parametrize("pipeline", ["team_b/load", "team_a/load"])
def test_an_owner_does_not_say_since_when_dependencies_of_another_count(
    etcd: EtcdStore, keys: Keys, pipeline: str, revision: int
) -> None:
    retired = {pipeline: {"team_a/extract": {"revision": revision, "retired_at": ANN.when.isoformat()}}}
    value = json.dumps({"dependencies": {}, "retired": retired}).encode()
    etcd.commit(Transaction((), (Put(keys.dependencies("team_a"), value),)))
    compared = proposal(etcd, keys, {pipeline: "team_a/extract"}, owner="team_b")
    its_own = pipeline == "team_a/load" and revision == 0
    assert bool(compared.resumed()) is its_own


def test_what_is_said_to_be_retired_far_in_the_future_does_not_resume(etcd: EtcdStore, keys: Keys) -> None:
    retired = {"D": {"A": {"revision": 0, "retired_at": "9999-01-01T00:00:00+00:00"}}}
    value = json.dumps({"dependencies": {}, "retired": retired}).encode()
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), value),)))
    assert proposal(etcd, keys, {"D": "A"}).resumed() == {}
