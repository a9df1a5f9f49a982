"""Publishing ``dependencies.json``: the file that people review becomes the document that all watchers use.

The file is read again when it changes. A file that cannot be used changes nothing: the last good version stays in
force, and the problem is shown until it is corrected. So does a file that is older than what is in force
(:mod:`coordinator.model.publishing.edition`), and an edit that is more likely a mistake
(:mod:`coordinator.model.publishing.guard`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from coordinator.commands.impact import NO_EFFECTS, Effects, effects_of
from coordinator.commands.last_readable import last_readable
from coordinator.commands.proposal import Proposal, Publications, Signature
from coordinator.commands.publish import commit, refusal
from coordinator.config.publication import PublicationSettings
from coordinator.controller.clock import Clock
from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.leading.watched_file import GoodFile, WatchedFile
from coordinator.controller.state.cache import Cache
from coordinator.model import bounds
from coordinator.model.durations import format_duration
from coordinator.model.publishing.edition import Edit, Verdict
from coordinator.model.publishing.guard import Known, Replacement, replacements
from coordinator.model.publishing.owners import Objection
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.references import PipelineRef
from coordinator.store.keys import Keys
from coordinator.store.port import Committed, CreateRevisionIs, Store, StoreError, StoreUnavailable, TransactionTooLarge
from coordinator.store.presence import PresentFile

_log = structlog.get_logger(__name__)

FILE_PAUSE = 0.1
"""Seconds between two looks at the file, at least. Each one hands Python's lock to other threads."""

_SHOWN = 10
"""Dependencies that a log line names."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes publications in the name of a watcher, as long as it leads."""

    store: Store
    keys: Keys
    who: str
    clock: Clock

    def write(self, proposal: Proposal, effects: Effects, *, why: str, term: int) -> Committed:
        """:raises StoreError: it was not written, or nobody knows."""
        signature = Signature(self.who, self.clock.now(), why)
        fence = CreateRevisionIs(self.keys.leader, term)
        return commit(self.store, self.keys, proposal, signature, waiting=effects.taken_away, fence=(fence,))


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """A file compared with the documents that are published.

    :ivar revisions: etcd revisions of the published documents, by owner.
    :ivar replaced: pipelines that environments must be asked about before the file is published.
    """

    file: GoodFile
    revisions: Mapping[str, int]
    proposal: Proposal
    objections: tuple[Objection, ...]
    is_published: bool
    replaced: tuple[Replacement, ...]

    def asks_about(self) -> set[PipelineRef]:
        return {pipeline for one in self.replaced for pipeline in (*one.gone, *one.come)}


class Publisher:
    """Keeps ``dependencies/<owner>`` equal to a file while this watcher leads. Used by the deciding thread only.

    :param owner: the owner of the document in the file.
    """

    def __init__(
        self,
        file: WatchedFile,
        *,
        owner: str,
        cache: Cache,
        settings: PublicationSettings,
        checks: DagChecks,
        writer: Writer,
    ) -> None:
        self._file = file
        self._owner = owner
        self._cache = cache
        self._settings = settings
        self._checks = checks
        self._writer = writer
        self._read_at = 0.0
        self._edit: Edit | None = None
        self._compared: _Compared | None = None
        self._settled: tuple[_Compared, Known] | None = None
        self._looked_back_from = 0
        self._refused: str | None = None
        self._mistake: str | None = None

    @property
    def problem(self) -> str | None:
        """What keeps the file from being published."""
        return self._file.problem or self._mistake or self._refused

    @property
    def present_file(self) -> PresentFile | None:
        """The file, as it is shown to other watchers and people."""
        good, problem = self._file.good, self.problem and self.problem[: bounds.REASON]
        if good is None:
            return PresentFile(self._owner, "", None, problem) if problem is not None else None
        return PresentFile(self._owner, good.content, good.read.serial, problem)

    def take_turn(self, *, term: int | None, connected: bool) -> None:
        """Before each step of the reconciler: read the file, and publish it, or find out what that would do.

        :param term: create revision of the leader key, if this watcher leads and has begun its term.
        :param connected: the cache is filled and the watch is alive.
        """
        if (now := self._writer.clock.monotonic()) >= self._read_at:
            self._read_at = now + FILE_PAUSE
            self.read()
        if connected and self._owner not in self._cache.published:
            self._retire_what_was_deleted()
        if term is not None:
            self.publish(term=term)
        elif connected:
            self.compare()

    def may_begin(self, term: int) -> bool:
        """Whether a term may begin. Nothing is decided by what was published before, where the file says otherwise:
        somebody may have changed ``catchup`` in it while no watcher ran."""
        stands_at = self.publish(term=term)
        return stands_at is not None and stands_at <= self._cache.revision

    def read(self) -> None:
        """Read the file if it has changed since the last call. Raises nothing: see :attr:`problem`."""
        before = self._file.good
        if self._file.read() and self._cache.revision:  # else it is not yet known what the edit is based on
            self._looks_back()
            self._edit = self._edit_of(self._base(), before, self._edit)

    def compare(self) -> None:
        """Find out beforehand what :meth:`publish` would do: with ten thousand pipelines this takes half a second, and
        environments need time to answer. Raises nothing: see :attr:`problem`."""
        if self._file.good is None or not self._looks_back():
            return
        with self._contained():
            compared = self._compare(self._file.good)
            if self._rule(compared):
                self._refused = self._settled = None  # what a leader refuses is shown by who leads, and found out anew
                self._checks.known(compared.asks_about())

    def publish(self, *, term: int) -> int | None:
        """Publish what was read, if it is newer than what is in force and nothing is said against it.

        :param term: create revision of the leader key; nothing is written when another watcher leads.
        :returns: the etcd revision from which on it is published; 0: there is nothing to wait for; ``None``: etcd or an
            environment gave no answer yet, and this must be tried again. Raises nothing: see :attr:`problem`.
        """
        stands_at: int | None = 0
        if self._file.good is not None:
            if not self._looks_back():
                return None
            with self._contained():
                stands_at = self._publish(self._file.good, term)
        return stands_at

    @contextmanager
    def _contained(self) -> Iterator[None]:
        """A mistake about one file must not end the watcher: what is in force stays, and it is tried again."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            mistake = (
                f"{self._file.path}: not published by a mistake in the coordinator: {type(error).__name__}: {error}"
            )
            if mistake != self._mistake:
                _log.error("dependencies.broken", reason=mistake, exc_info=True)
            self._mistake = mistake
        else:
            self._mistake = None

    def _publish(self, file: GoodFile, term: int) -> int | None:
        compared = self._compare(file)
        if not self._rule(compared):
            return 0
        known = self._checks.known(compared.asks_about()) if not compared.objections else Known()
        if known is None:
            return None
        if self._settled == (compared, known):
            return 0
        if self._edit is None:  # nobody saw it change; from now on it counts as an edit of what is in force
            self._edit = self._edit_of(compared.proposal.base, compared.file, None)
        if compared.objections:
            found = refusal(str(self._file.path), compared.file.text, compared.objections)
            self._refuse(found.in_short(f"coordinator plan {self._file.path} --owner {self._owner}"))
            self._settled = compared, known
            return 0
        # Based on what is known now, even if the dependencies are the same: etcd compares with this revision.
        proposal = replace(compared.proposal, base=self._base(), terms=self._terms())
        concerns, effects = proposal.concerns(known), NO_EFFECTS
        is_accepted = compared.file.read.accept == proposal.version
        if is_accepted or not concerns:  # a refused file does not need the check of all states
            effects = effects_of(proposal, self._cache, self._cache.targets())
            concerns += effects.concerns(self._settings.resume_limit)
        if concerns and not is_accepted:
            self._refuse(f"{self._file.path}: {'; '.join(concerns)}. {self._how_to_accept(proposal)}")
            self._settled = compared, known
            return 0
        try:
            return self._write(proposal, effects, accepted=concerns, term=term)
        except TransactionTooLarge as error:
            self._refuse(f"{self._file.path}: not published: {error}")
            self._settled = compared, known
            return 0

    def _write(self, proposal: Proposal, effects: Effects, *, accepted: list[str], term: int) -> int | None:
        """:raises TransactionTooLarge: it can never be written."""
        try:
            answer = self._writer.write(proposal, effects, why=f"file {self._file.path}", term=term)
        except TransactionTooLarge:
            raise  # it would fail again
        except StoreError as error:
            _log.warning("dependencies.not_published", reason=str(error))
            return None if isinstance(error, StoreUnavailable) else 0
        if answer.succeeded:
            self._refused = None
            difference = proposal.difference()
            _log.info(
                "dependencies.published",
                owner=self._owner,
                version=proposal.version + 1,
                revision=answer.revision,
                begin=len(difference.begins),
                cease=len(difference.ceases),
                differ=len(difference.differs),
                dependencies_added=difference.dependencies_added,
                dependencies_removed=difference.dependencies_removed,
                dependencies_resumed=len(proposal.resumed()),
                may_start=len(effects.may_start),
                accepted="; ".join(accepted) or None,
            )
            if not_kept := proposal.not_kept:
                _log.warning(
                    "dependencies.forgotten",
                    owner=self._owner,
                    dependencies=not_kept,
                    reason=f"taken out longest ago; {bounds.RETIRED} are kept",
                    consequence="put back they begin again",
                )
            if effects.taken_away:
                _log.warning(
                    "dependencies.taken_away",
                    owner=self._owner,
                    waiting=effects.taken_away_in_words()[:_SHOWN],
                    dependencies=len(effects.taken_away),
                    remedy=f"put back within {format_duration(self._settings.resume_within)} they resume",
                )
        return answer.revision  # where it was not written: the revision of what somebody else published in between

    def _rule(self, compared: _Compared) -> bool:
        """Whether the file is new enough to be published; notes the reason if it is not."""
        if compared.is_published:
            self._edit = None
            self._refused = None
            return False
        ruling = compared.proposal.ruling(self._edit)
        match ruling.verdict:
            case Verdict.PUBLISH:
                return True
            case Verdict.SAME:
                self._edit = None
                self._refused = None
            case Verdict.OLDER | Verdict.CONFLICT:
                words = {Verdict.OLDER: "older than what is in force", Verdict.CONFLICT: "not published"}
                command = self._command() + (" --accept" if compared.proposal.has_serials else "")
                self._refuse(
                    f"{self._file.path}: {words[ruling.verdict]}: {ruling.reason}. Publish it nevertheless with "
                    f"{command}, or bring the file up to date: coordinator dependencies show --owner {self._owner}"
                )
        return False

    def _compare(self, file: GoodFile) -> _Compared:
        base = self._base()
        revisions = {owner: one.revision for owner, one in base.by_owner.items()}
        compared = self._compared
        if compared is None or compared.file is not file or compared.revisions != revisions:
            proposal = Proposal(self._owner, file.read.document, base, self._terms(), file.read.serial)
            objections = tuple(proposal.objections())
            replaced = tuple(replacements(proposal.difference()))
            is_published = not objections and proposal.is_published
            compared = self._compared = _Compared(file, revisions, proposal, objections, is_published, replaced)
        return compared

    def _edit_of(self, base: Publications, before: GoodFile | None, earlier: Edit | None) -> Edit:
        """:param before: what the file said before. :param earlier: the edit that this one goes on with."""
        based_on = earlier.based_on if earlier is not None else frozenset()
        if before is not None:
            based_on |= {before.content}
        in_force = base.content_of(self._owner)
        return Edit(base.version_of(self._owner), based_on | ({in_force} if in_force is not None else frozenset()))

    def _base(self) -> Publications:
        cache = self._cache
        return Publications(cache.published, cache.revision, cache.published_before, cache.last_readable)

    def _looks_back(self) -> bool:
        """Find the last readable version, where what stands there now cannot be read. Returns whether etcd answered."""
        present = self._cache.published.get(self._owner)
        if present is None or isinstance(present.value, Publication) or self._looked_back_from == present.revision:
            return True
        try:
            found = last_readable(self._writer.store, self._writer.keys, self._owner, present)
        except StoreError as error:
            _log.warning("dependencies.not_published", reason=str(error))
            return False
        self._looked_back_from = present.revision
        known = self._cache.last_readable.get(self._owner)
        if found is not None and (known is None or known.revision < found.revision):  # this watcher was away meanwhile
            self._cache.last_readable[self._owner] = found
            self._compared = None
        return True

    def _retire_what_was_deleted(self) -> None:
        """A deletion takes every dependency out of force. Put back in time they resume, as after an empty document."""
        last = self._cache.last_readable.get(self._owner)
        if last is not None and isinstance(last.value, Publication) and last.value.document:
            empty = publish({}, last.value, last.revision, self._terms())
            self._cache.last_readable[self._owner] = Published(empty, last.revision)

    def _terms(self) -> Terms:
        return Terms(self._writer.clock.now(), self._settings.resume_within)

    def _command(self) -> str:
        return f"coordinator apply {self._file.path} --owner {self._owner}"

    def _how_to_accept(self, proposal: Proposal) -> str:
        return (
            f'If it is meant: {self._command()} --accept, or "accept": {proposal.version} in the file; version '
            f"{proposal.version} stays in force"
        )

    def _refuse(self, problem: str) -> None:
        if problem != self._refused:
            self._refused = problem
            _log.error(
                "dependencies.refused", reason=problem, remedy="correct the file; the last good version stays in force"
            )
