"""The port over the package etcd3 (docs/architecture.md#interfaces).

Only etcd3's channel and stubs are used. Its convenience layer drops what is needed here: limits and revisions
of a range, the header of a transaction, most error codes, cancelled watches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from coordinator.config.etcd import EtcdSettings
from coordinator.store.etcd_pages import key_value, pages
from coordinator.store.etcd_watch import EtcdWatch
from coordinator.store.large_values import kept
from coordinator.store.members import Member, Members
from coordinator.store.port import (
    MAX_OPERATIONS,
    AccessDenied,
    Census,
    Committed,
    Compacted,
    CreateRevisionIs,
    KeyValue,
    LeaseNotFound,
    Listing,
    ModRevisionIs,
    NothingPutSince,
    Page,
    Put,
    StoreError,
    StoreUnavailable,
    Transaction,
    TransactionTooLarge,
    end_of,
    key_bytes,
)
from coordinator.store.protobuf import import_etcd3

_LIST_TRIES = 3


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """The status of one endpoint, for ``doctor``.

    :ivar problem: why it did not answer, or not completely. Without a ``version`` it did not answer at all.
    :ivar db_size: bytes on disk; ``db_quota``: their limit, 0: it is not reported (etcd before 3.6).
    :ivar is_leader: whether it leads its cluster; ``has_leader``: whether anybody does.
    :ivar alarms: raised in the cluster: ``NOSPACE``, ``CORRUPT``.
    """

    endpoint: str
    problem: str | None = None
    version: str = ""
    db_size: int = 0
    db_quota: int = 0
    cluster_id: int = 0
    is_leader: bool = False
    has_leader: bool = False
    alarms: tuple[str, ...] = ()


def connect(settings: EtcdSettings) -> EtcdStore:
    """A client of etcd. Connects with the first request, so etcd need not be there yet.

    :raises ConfigurationError: certificates or the password cannot be read.
    """
    return EtcdStore(settings)


class EtcdStore:
    """A :class:`coordinator.store.port.Store` over gRPC. Safe from several threads; not to be used after fork().

    :ivar requests: what was asked, and how long that took.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self._members = Members(settings)
        self.requests = self._members.requests
        self._rpc = import_etcd3().etcdrpc
        self._process = os.getpid()

    def list(
        self, prefix: str, *, through: str = "", revision: int = 0, largest: Callable[[str], int] | None = None
    ) -> Listing:
        for _ in range(_LIST_TRIES - 1):
            try:
                return self._list_once(prefix, through, revision, largest)
            except Compacted:  # the pinned revision was compacted between two pages: begin again
                if revision:
                    raise
        return self._list_once(prefix, through, revision, largest)

    def pages(self, prefix: str, *, pinned: bool = False) -> Iterator[Page]:
        return self._pages(prefix, pinned=pinned)

    def names(self, prefix: str, *, revision: int = 0) -> Iterator[str]:
        return (item.key for page in self._pages(prefix, revision=revision, keys_only=True) for item in page.items)

    def census(self, prefix: str, *, newer_than: int) -> Census:
        request = self._rpc.RangeRequest(
            key=key_bytes(prefix), range_end=end_of(prefix), min_mod_revision=newer_than + 1, keys_only=True, limit=1
        )
        answer = self._call(lambda member: member.kv.Range, request, doing=f"counting {prefix}", repeatable=True)
        return Census(int(answer.count), int(answer.header.revision), has_newer=bool(answer.kvs))

    def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        request = self._rpc.RangeRequest(key=key_bytes(key), revision=revision)
        answer = self._call(lambda member: member.kv.Range, request, doing=f"reading {key}", repeatable=True)
        return key_value(answer.kvs[0]) if answer.kvs else None

    def commit(self, transaction: Transaction) -> Committed:
        largest = max(len(transaction.compares), len(transaction.then), len(transaction.otherwise))
        if largest > MAX_OPERATIONS:
            raise TransactionTooLarge(
                f"a transaction with {largest} compares or operations; etcd takes at most {MAX_OPERATIONS} "
                "of each, nothing was written, split it up"
            )
        doing = f"a transaction on {transaction.then[0].key if transaction.then else 'nothing'}"
        answer = self._call(lambda member: member.kv.Txn, self._txn(transaction), doing=doing, repeatable=False)
        if answer.succeeded:
            return Committed(True, int(answer.header.revision))
        ranges = (response.response_range.kvs for response in answer.responses)
        found = tuple(key_value(kvs[0]) if kvs else None for kvs in ranges)
        return Committed(False, int(answer.header.revision), found)

    def watch(self, prefix: str, *, from_revision: int) -> EtcdWatch:
        try:
            return self._open_watch(prefix, from_revision)
        except AccessDenied:
            # For a watch, etcd 3.5 answers "permission denied" when the token has expired.
            if not self._members.has_user:
                raise
            return self._open_watch(prefix, from_revision)

    def grant_lease(self, ttl: int) -> int:
        request = self._rpc.LeaseGrantRequest(TTL=ttl)
        # A lease whose answer is lost does no harm: no key is on it, and it expires.
        answer = self._call(lambda member: member.leases.LeaseGrant, request, doing="granting a lease", repeatable=True)
        return int(answer.ID)

    def refresh_lease(self, lease: int, *, quorum_key: str) -> int:
        request = self._rpc.LeaseKeepAliveRequest(ID=lease)
        doing = f"keeping lease {lease:x} alive"
        kept = self._call(lambda member: _once(member.leases.LeaseKeepAlive), request, doing=doing, repeatable=True)
        if kept.TTL <= 0:
            return 0
        # The header of the answer is made before the lease is prolonged, that of a linearizable read after a quorum
        # has confirmed the leader: with the same term in both, no other leader was there in between.
        request = self._rpc.RangeRequest(key=key_bytes(quorum_key), count_only=True)
        seen = self._call(lambda member: member.kv.Range, request, doing=doing, repeatable=True)
        if seen.header.raft_term != kept.header.raft_term:
            raise StoreUnavailable(
                f"{doing}: etcd elected another leader meanwhile (term {kept.header.raft_term}, then "
                f"{seen.header.raft_term}); it may not know of it, ask again"
            )
        return int(kept.TTL)

    def revoke_lease(self, lease: int) -> None:
        request = self._rpc.LeaseRevokeRequest(ID=lease)
        doing = f"revoking lease {lease:x}"
        try:
            self._call(lambda member: member.leases.LeaseRevoke, request, doing=doing, repeatable=True)
        except LeaseNotFound:  # it has expired already, or an earlier try has revoked it
            return

    def status(self) -> tuple[MemberStatus, ...]:
        """Ask every endpoint for its state. Raises nothing: what went wrong is in ``problem``."""
        return tuple(map(self._status_of, self._members.all))

    def close(self) -> None:
        self._members.close()

    def _call(self, method: Callable[[Member], Any], request: object, *, doing: str, repeatable: bool) -> Any:
        self._check_process()
        return self._members.call(method, request, doing=doing, repeatable=repeatable)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise StoreError(
                f"this etcd client belongs to process {self._process}, and this is its fork {os.getpid()}: gRPC "
                "does not survive fork(); connect again in the child"
            )

    def _list_once(self, prefix: str, through: str, revision: int, largest: Callable[[str], int] | None) -> Listing:
        items: list[KeyValue] = []
        cluster_id = 0
        for page in self._pages(prefix, through=through, revision=revision, pinned=True):
            items.extend(page.items if largest is None else (kept(kv, largest) for kv in page.items))
            revision, cluster_id = page.revision, page.cluster_id
        return Listing(items, revision, cluster_id)

    def _pages(
        self, prefix: str, *, through: str = "", revision: int = 0, pinned: bool = False, keys_only: bool = False
    ) -> Iterator[Page]:
        def ask(request: Any) -> Any:
            return self._call(lambda member: member.kv.Range, request, doing=f"listing {prefix}", repeatable=True)

        return pages(ask, prefix, through=through, revision=revision, pinned=pinned, keys_only=keys_only)

    def _txn(self, transaction: Transaction) -> Any:
        rpc = self._rpc
        request = rpc.TxnRequest()
        for compare in transaction.compares:
            entry = request.compare.add()
            match compare:
                case ModRevisionIs(key, revision):
                    entry.key, entry.result = key_bytes(key), rpc.Compare.EQUAL
                    entry.target, entry.mod_revision = rpc.Compare.MOD, revision
                case CreateRevisionIs(key, revision):
                    entry.key, entry.result = key_bytes(key), rpc.Compare.EQUAL
                    entry.target, entry.create_revision = rpc.Compare.CREATE, revision
                case NothingPutSince(prefix, revision):
                    # etcd holds this against every key of the range, and takes an empty range for revision 0.
                    entry.key, entry.range_end, entry.result = key_bytes(prefix), end_of(prefix), rpc.Compare.LESS
                    entry.target, entry.mod_revision = rpc.Compare.MOD, revision + 1
        for operation in transaction.then:
            if isinstance(operation, Put):
                put = request.success.add().request_put
                put.key, put.value, put.lease = key_bytes(operation.key), operation.value, operation.lease
            else:
                request.success.add().request_delete_range.key = key_bytes(operation.key)
        for key in transaction.otherwise:
            request.failure.add().request_range.key = key_bytes(key)
        return request

    def _open_watch(self, prefix: str, from_revision: int) -> EtcdWatch:
        self._check_process()
        member = self._members.in_use
        try:
            metadata = self._members.metadata(member)
            stream = EtcdWatch(
                member,
                metadata,
                key=key_bytes(prefix),
                range_end=end_of(prefix),
                from_revision=from_revision,
                on_loss=lambda: self._members.leave(member),
            )
        except ValueError as error:  # what gRPC raises on a closed channel
            raise StoreUnavailable(f"etcd {member.endpoint}, watching {prefix}: this client is closed") from error
        except RuntimeError as error:  # a stream takes threads, of ours and of gRPC's
            raise StoreUnavailable(f"etcd {member.endpoint}, watching {prefix}: {error}") from error
        try:
            stream.open(self._members.timeout)
            if 0 < from_revision <= stream.revision:
                self._refuse_compacted(prefix, from_revision)
            stream.trust_requested_progress(self._version_of(member))
        except StoreError as error:
            stream.close()
            if isinstance(error, AccessDenied):
                self._members.renew_token(metadata)
            raise
        return stream

    def _refuse_compacted(self, prefix: str, revision: int) -> None:
        """Find out at once whether a revision is still kept.

        etcd creates a watch from a compacted revision nevertheless, and cancels it some time later. The key whose name
        equals the prefix is inside the range that we may read, and costs etcd nothing to find.
        """
        self.get(prefix, revision=revision)

    def _version_of(self, member: Member) -> tuple[int, ...]:
        try:
            answer = self._members.call_one(
                member, lambda one: one.maintenance.Status, self._rpc.StatusRequest(), doing="asking for the version"
            )
        except AccessDenied:  # not every user may ask; an unknown version is trusted less
            return ()
        return tuple(map(int, re.findall(r"\d+", str(answer.version))[:3]))

    def _status_of(self, member: Member) -> MemberStatus:
        call = self._members.call_one
        try:
            self._check_process()
            state = call(
                member, lambda one: one.maintenance.Status, self._rpc.StatusRequest(), doing="asking for the status"
            )
        except StoreError as error:
            return MemberStatus(member.endpoint, problem=str(error))
        status = MemberStatus(
            endpoint=member.endpoint,
            version=str(state.version),
            db_size=int(state.dbSize),
            db_quota=int(state.dbSizeQuota),
            cluster_id=int(state.header.cluster_id),
            is_leader=bool(state.leader) and state.leader == state.header.member_id,
            has_leader=bool(state.leader),
        )
        request = self._rpc.AlarmRequest(action=self._rpc.AlarmRequest.GET)
        try:
            found = call(member, lambda one: one.maintenance.Alarm, request, doing="asking for alarms").alarms
        except StoreError as error:  # this needs a quorum; a member's own status does not
            return replace(status, problem=str(error))
        return replace(status, alarms=tuple(str(self._rpc.AlarmType.Name(alarm.alarm)) for alarm in found))


def _once(keep_alive: Callable[..., Any]) -> Callable[..., Any]:
    """One request on the keep-alive stream, and its answer."""

    def ask(request: object, **options: object) -> Any:
        answers = keep_alive(iter((request,)), **options)
        try:
            return next(answers)
        except StopIteration:
            raise StoreUnavailable("etcd ended a keep-alive stream without an answer") from None
        finally:
            answers.cancel()

    return ask
