"""The steps of a deploy. Each may be the last: the next deploy goes on from there.

1. Look: source, target, manifest and claim give the plan.
2. Claim: a file that only one can create. A record beside it says what is about to be written, so that a file of a
   deploy that was interrupted is known as ours. Who takes over writes that record first, and then replaces the claim.
3. Look again: the plan has to be the one that was shown.
4. Write and remove file after file, as long as the claim is ours.
5. Write the manifest, and remove the record and the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from coordinator.dags.deploying.left_over import left_over
from coordinator.dags.deploying.planning import Action, Change, Digests, Plan, make_plan
from coordinator.dags.deploying.records import CLAIM, MANIFEST, Claim, Manifest, Origin, Writes, digest_of, writes_name
from coordinator.dags.deploying.source import MOST_BYTES, read_file, read_source
from coordinator.dags.deploying.target import Target
from coordinator.dags.errors import DeployError
from coordinator.errors import ConfigurationError
from coordinator.store.process_id import ProcessId, is_gone, lives_here, read_process_id

_NOTHING: Final = "nothing more was changed"
_MOST_IN_A_PART: Final = 200
"""Files that are read before it is said how far it is."""

Progress = Callable[[str, int, int], None]
"""Is told the name of a step, and how many of its files are done, of how many."""


def _silent(*_: object) -> None:
    """Says nothing of the progress."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a look has shown.

    :ivar claim: of a deploy that is under way, or was interrupted.
    :ivar begun: what that deploy writes; ``None``: nothing yet.
    :ivar overwrite: files that are written or removed, whoever wrote or changed them.
    :ivar left_over: half-written files and records of deploys that were ended; they are removed.
    """

    source: Digests
    origin: Origin
    overwrite: frozenset[str]
    plan: Plan
    manifest: Manifest | None
    claim: Claim | None
    begun: Writes | None
    left_over: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Whether source and target are the same, and the records say so."""
        recorded = self.manifest is not None and (self.manifest.files, self.manifest.origin) == (
            self.source,
            self.origin,
        )
        return recorded and not (self.plan.changes or self.plan.refused or self.claim or self.left_over)

    @property
    def was_interrupted(self) -> bool:
        """Whether the process of the claim has ended, on this machine."""
        return self.claim is not None and is_gone(read_process_id(self.claim.process))

    @property
    def is_running(self) -> bool:
        """Whether the process of the claim runs on this machine."""
        return self.claim is not None and lives_here(read_process_id(self.claim.process))


def look(
    directory: Path, target: Target, *, overwrite: Collection[str] = (), progress: Progress = _silent
) -> Deployment:
    """Compare a directory with the target.

    :param overwrite: files that are to be written or removed although somebody else wrote or changed them.
    :raises ConfigurationError: the directory cannot be deployed; no file has such a name as one of ``overwrite``.
    :raises DeployError: a record in the target cannot be read.
    :raises TargetUnavailable, TargetRefused: see :class:`Target`. Both: also from :func:`carry_out`.
    """
    source = read_source(directory)
    _require_apart(directory, target)
    there = target.sizes()
    records = target.read({MANIFEST, CLAIM} & there.keys())
    manifest = Manifest.of(records[MANIFEST]) if MANIFEST in records else None
    claim = Claim.of(records[CLAIM]) if CLAIM in records else None
    of_claim = writes_name(claim.token) if claim is not None else ""
    records |= target.read({of_claim} & there.keys())
    begun = Writes.of(records[of_claim]) if of_claim in records else None
    for name, record in ((MANIFEST, manifest), (CLAIM, claim), (of_claim, begun)):
        if name in records and record is None:
            raise DeployError(
                f"{target.name}: {name} cannot be read: expected what 'coordinator dags deploy' writes; bring an older "
                "version of it back, or remove it: then every file counts as somebody else's, unless it is the same"
            )
    ours = {*(manifest.files if manifest else ()), *(begun.files if begun else ())}
    named = {*source.files, *ours}
    for path in sorted(set(overwrite) - named - there.keys()):
        raise ConfigurationError(
            f"--overwrite {path}: neither {directory} nor {target.name} has such a file; write it as the plan shows it"
        )
    records_there = {MANIFEST, CLAIM, of_claim}
    parts = left_over(there.keys() - records_there, ours)
    files = {path: size for path, size in there.items() if path not in records_there | parts}
    digests = _digests(target, named, files, progress)
    plan = make_plan(source.files, digests, manifest, begun, overwrite=overwrite, generated=source.generated)
    plan = replace(plan, refused=(*plan.refused, *source.refused))
    left = tuple(sorted(parts))
    return Deployment(source.files, source.origin, frozenset(overwrite), plan, manifest, claim, begun, left)


def _require_apart(directory: Path, target: Target) -> None:
    """:raises ConfigurationError: each deploy would deploy the one before as well."""
    if target.directory is not None and target.directory.resolve().is_relative_to(directory.resolve()):
        raise ConfigurationError(f"{target.name}: expected a target outside of {directory}, found one in it")


def _digests(target: Target, named: set[str], sizes: Mapping[str, int], progress: Progress) -> dict[str, str | None]:
    """The digest of each file that is named. What is none of ours, whatever is in it, has an empty one."""
    digests = {path: "" if path in named else None for path in sizes}
    read, done = {path: size for path, size in sizes.items() if path in named and size <= MOST_BYTES}, 0
    for part in _parts(read):
        digests |= {path: digest_of(content) for path, content in target.read(part).items()}
        done += len(part)
        progress("reading the target", done, len(read))
    return digests


def _parts(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The files in parts that fit into memory."""
    part: list[str] = []
    whole = 0
    for path, size in sorted(sizes.items()):
        if part and (whole + size > MOST_BYTES or len(part) == _MOST_IN_A_PART):
            yield part
            part, whole = [], 0
        part.append(path)
        whole += size
    if part:
        yield part


def require_same_origin(shown: Deployment, directory: Path, target: Target) -> None:
    """:raises DeployError: the target was deployed from another configuration, or for another environment."""
    record = shown.manifest or shown.claim
    before, now = record.origin if record is not None else Origin(), shown.origin
    meant = "or say with --other-source that this one is meant"
    if before.names and (before.environments != now.environments or not {*before.names} & {*now.names}):
        raise DeployError(
            f"{target.name}: expected {before}, as was deployed there before, found {now} in {directory}; deploy the "
            f"folder of {', '.join(before.environments)}, {meant}"
        )
    if not before.names and len(now.environments) > 1:
        raise DeployError(
            f"{directory}: expected the files of one environment, found those of {', '.join(now.environments)}; "
            f"deploy the folder of one of them, {meant}"
        )


def require_nobody(shown: Deployment, target: Target, *, resume: bool) -> None:
    """:raises DeployError: another deploy is under way, or may be.

    :param resume: take over from it, whoever and wherever it is.
    """
    claim = shown.claim
    if claim is None or resume or shown.was_interrupted:
        return
    process = claim.process or {}
    began = f"{target.name}: {claim.by} began a deploy at {claim.at}"
    if shown.is_running:
        raise DeployError(
            f"{began}, and it still runs (process {process.get('pid')} of this machine); wait for it, or end it, then "
            "deploy again"
        )
    where = f" on {process['host']}" if "host" in process else ""
    raise DeployError(
        f"{began}{where}, and it has not ended; wait for it, or, where it was interrupted, go on from there with "
        "--resume"
    )


def carry_out(
    shown: Deployment, directory: Path, target: Target, *, by: str, resume: bool, progress: Progress = _silent
) -> None:
    """Carry out what a look has shown.

    :param by: who deploys.
    :param resume: take over from a deploy that has not ended, whoever and wherever it is.
    :raises DeployError: another deploy is under way, or something has changed since the look.
    """
    token = _claim(shown, target, by=by, resume=resume)
    now = look(directory, target, overwrite=shown.overwrite, progress=progress)
    _require(token, target)
    if (now.source, now.plan) != (shown.source, shown.plan):
        if shown.claim is None:
            target.remove(writes_name(token))
            target.remove(CLAIM)
        raise DeployError(
            f"{target.name}: source or target changed since the plan was made; nothing was changed: look again"
        )
    for done, change in enumerate(shown.plan.changes):
        progress("deploying", done, len(shown.plan.changes))
        _require(token, target)
        if change.action == Action.REMOVE:
            target.remove(change.path)
        else:
            target.write(change.path, _content(directory, change))
    _require(token, target)
    taken_over = (writes_name(shown.claim.token),) if shown.claim is not None else ()
    for path in (*(one for one in shown.left_over if one in now.left_over), *taken_over):
        target.remove(path)
    target.write(MANIFEST, Manifest(files=dict(shown.source), origin=shown.origin, by=by, at=_now()).to_value())
    _require(token, target)
    target.remove(writes_name(token))
    target.remove(CLAIM)


def _claim(shown: Deployment, target: Target, *, by: str, resume: bool) -> str:
    """The token of our claim. :raises DeployError: another deploy has one."""
    require_nobody(shown, target, resume=resume)
    before, process = shown.claim, ProcessId.of_this_process()
    claim = Claim(
        token=uuid4().hex,
        by=by,
        at=_now(),
        process=asdict(process) if process is not None else None,
        origin=shown.origin,
    )
    writes = _writes(shown).to_value()
    if before is None:
        if not target.create(CLAIM, claim.to_value()):
            raise DeployError(f"{target.name}: another deploy has begun meanwhile; {_NOTHING}: look again")
        target.write(writes_name(claim.token), writes)  # until then nothing is written that would have to be known
        return claim.token
    _require(before.token, target)
    target.write(writes_name(claim.token), writes)
    _require(before.token, target)
    target.write(CLAIM, claim.to_value())
    return claim.token


def _writes(shown: Deployment) -> Writes:
    """What is about to be written, and what a deploy that is taken over from may have written."""
    files = {path: list(digests) for path, digests in (shown.begun.files if shown.begun is not None else {}).items()}
    for change in shown.plan.changes:
        known = files.setdefault(change.path, [])
        known += [one for one in (change.before, change.after) if one is not None and one not in known]
    return Writes(files=files)


def _require(token: str, target: Target) -> None:
    """:raises DeployError: the claim is not this one any more."""
    found = target.read([CLAIM]).get(CLAIM)
    claim = Claim.of(found) if found is not None else None
    if claim is None or claim.token != token:
        whose = f"{claim.by} has taken over" if claim is not None else "somebody removed its claim"
        raise DeployError(f"{target.name}: this deploy stops, as {whose}; {_NOTHING}: look again")


def _content(directory: Path, change: Change) -> bytes:
    """:raises ConfigurationError: it is not what is to be deployed."""
    with suppress(OSError):  # it is gone, or cannot be read any more
        content = read_file(directory, change.path)
        if digest_of(content) == change.after:
            return content
    raise ConfigurationError(f"{directory / change.path}: changed while it was deployed; deploy again")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
