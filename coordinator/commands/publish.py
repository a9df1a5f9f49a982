"""Publishing a dependency document: checked together with all others, and written in one transaction.

The command ``apply`` and a watcher with a file both use this. The checks (owners, no cycle across owners, activations)
are valid only as long as nobody publishes anything in between, so the transaction compares all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coordinator.commands.proposal import Proposal, Publications, Signature, Waiting
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model.documents import DependenciesError, Problem, places_of_entries
from coordinator.model.publishing.edition import (
    PublishedBefore,
    read_published_before,
)
from coordinator.model.publishing.owners import CENTRAL_OWNER, Objection
from coordinator.model.publishing.publication import (
    PublicationTooLarge,
    Published,
    read_publication,
)
from coordinator.model.runstate import Unreadable
from coordinator.store.keys import DependenciesKey, Keys, PublishedBeforeKey
from coordinator.store.port import (
    Committed,
    Compare,
    Put,
    Store,
    StoreUnavailable,
    TransactionTooLarge,
)


class PublishedInBetween(CoordinatorError):
    """Somebody published since the proposal was checked: nothing was written."""


def read_publications(store: Store, keys: Keys) -> Publications:
    """All published documents, at one revision."""
    listing = store.list(_prefix(keys), largest=keys.largest_value)
    published: dict[str, Published] = {}
    for item in listing.items:
        match keys.parse(item.key):
            case DependenciesKey(owner):
                published[owner] = Published(read_publication(item.value, source=item.key), item.mod_revision)
    before: dict[str, PublishedBefore] = {}
    for item in store.list(keys.every("published"), revision=listing.revision, largest=keys.largest_value).items:
        match keys.parse(item.key), read_published_before(item.value):
            case PublishedBeforeKey(owner), PublishedBefore() as found:
                before[owner] = found
    return Publications(published, listing.revision, before)


def apply(store: Store, keys: Keys, proposal: Proposal, signature: Signature, *, waiting: Waiting | None = None) -> int:
    """Publish a document without objections.

    :param waiting: partitions that are due, waiting or in flight for dependencies that it takes out.

    :returns: the etcd revision from which on it is published.
    :raises PublishedInBetween: nothing was written.
    :raises StoreUnavailable: it is not known whether it was written.
    """
    answer = commit(store, keys, proposal, signature, waiting=waiting)
    if answer.succeeded:
        return answer.revision
    raise PublishedInBetween(
        f"nothing was published: since revision {proposal.base.revision}, on which the plan was based, "
        f"{_who_was_faster(proposal.base, read_publications(store, keys))}; check the plan again"
    )


def commit(
    store: Store,
    keys: Keys,
    proposal: Proposal,
    signature: Signature,
    *,
    waiting: Waiting | None = None,
    fence: Iterable[Compare] = (),
) -> Committed:
    """Run a proposal's transaction. If its answer is lost, find out by reading.

    :raises StoreUnavailable: it is not known whether it was written.
    :raises TransactionTooLarge: etcd refuses a document of this size; nothing was written.
    """
    try:
        transaction = proposal.transaction(keys, signature, waiting=waiting, fence=fence)
    except PublicationTooLarge as error:
        raise TransactionTooLarge(f"{keys.dependencies(proposal.owner)}: nothing was published: {error}") from error
    put, _ = transaction.then
    assert isinstance(put, Put)
    try:
        return store.commit(transaction)
    except TransactionTooLarge as error:
        raise TransactionTooLarge(
            f"the document of {proposal.owner} makes {len(put.value)} bytes, and etcd takes about 1.5 million in a "
            f"request (--max-request-bytes); split it by owner ({error})"
        ) from error
    except StoreUnavailable:
        written = store.get(put.key)
        if written is None or written.value != put.value:
            raise
        return Committed(True, written.mod_revision)


def refusal(source: str, text: bytes, objections: Sequence[Objection]) -> DependenciesError:
    """Objections as an error about a file, with the places of the entries.

    :param text: the content of the file, a readable document.
    """
    places = places_of_entries(text, {objection.pipeline for objection in objections})
    problems = [
        Problem(*places.get(objection.pipeline, (1, 1, "")), objection.reason, objection.remedy)
        for objection in objections
    ]
    return DependenciesError(source, sorted(problems, key=lambda problem: (problem.line, problem.column)))


def check_owner(owner: str, environments: Iterable[str]) -> None:
    """An owner is an environment, or ``default``.

    :param environments: the configured ones.
    :raises ConfigurationError: it is neither.
    """
    known = sorted({CENTRAL_OWNER, *environments})
    if owner not in known:
        raise ConfigurationError(
            f"owner {owner!r}: expected the name of an environment; configured are {', '.join(known)}"
        )


def _prefix(keys: Keys) -> str:
    return keys.dependencies("")


def _who_was_faster(before: Publications, after: Publications) -> str:
    changed = []
    for owner in sorted({*before.by_owner, *after.by_owner}):
        old, new = before.by_owner.get(owner), after.by_owner.get(owner)
        if new is None:
            changed.append(f"the document of {owner} was deleted")
        elif old is None or old.revision != new.revision:
            changed.append(f"the document of {owner} was published {_signed(new)}")
    return "; ".join(changed) or "something was published and deleted again"


def _signed(published: Published) -> str:
    words = f"at revision {published.revision}"
    if isinstance(published.value, Unreadable):
        return f"{words} (it cannot be read)"
    if published.value.published_by:
        words += f" by {published.value.published_by}"
    return words + (f" ({published.value.why})" if published.value.why else "")
