"""The steps of a deploy. Each may be the last: the next deploy goes on from there.

1. Look: source, target, manifest and claim give the plan.
2. Claim: a file that only one can create. It says what is about to be written, so that a file of a deploy that was
   interrupted is known as ours.
3. Look again: the plan has to be the one that was shown.
4. Write and remove file after file, as long as the claim is ours.
5. Write the manifest, and remove the claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from coordinator.dags.deploying.left_over import left_over
from coordinator.dags.deploying.planning import Action, Change, Digests, Plan, make_plan
from coordinator.dags.deploying.records import CLAIM, MANIFEST, Claim, Manifest, digest_of
from coordinator.dags.deploying.source import MOST_BYTES, read_file, read_source
from coordinator.dags.deploying.target import Target
from coordinator.dags.errors import DeployError
from coordinator.errors import ConfigurationError
from coordinator.store.process_id import ProcessId, is_gone, read_process_id

_NOTHING: Final = "nothing more was changed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a look has shown.

    :ivar claim: of a deploy that is under way, or was interrupted.
    :ivar left_over: half-written files of a deploy that was ended; they are removed.
    """

    source: Digests
    plan: Plan
    manifest: Manifest | None
    claim: Claim | None
    left_over: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Whether source and target are the same, and the records say so."""
        recorded = self.manifest is not None and self.manifest.files == self.source
        return recorded and not (self.plan.changes or self.plan.refused or self.claim or self.left_over)


def look(directory: Path, target: Target) -> Deployment:
    """Compare a directory with the target.

    :raises ConfigurationError: the directory cannot be deployed.
    :raises DeployError: a record in the target cannot be read.
    :raises TargetUnavailable, TargetRefused: see :class:`Target`. Both: also from :func:`carry_out`.
    """
    source = read_source(directory)
    _require_apart(directory, target)
    there = target.sizes()
    records = target.read({MANIFEST, CLAIM} & there.keys())
    manifest = Manifest.of(records[MANIFEST]) if MANIFEST in records else None
    claim = Claim.of(records[CLAIM]) if CLAIM in records else None
    for name, record in ((MANIFEST, manifest), (CLAIM, claim)):
        if name in records and record is None:
            raise DeployError(
                f"{target.name}: {name} cannot be read: expected what 'coordinator dags deploy' writes; bring an older "
                "version of it back, or remove it: then every file counts as somebody else's, unless it is the same"
            )
    named = {*(manifest.files if manifest else ()), *(claim.writes if claim else ())}
    parts = left_over(there, named)
    files = {path: size for path, size in there.items() if path not in {MANIFEST, CLAIM, *parts}}
    digests = _digests(target, {*source, *named}, files)
    return Deployment(source, make_plan(source, digests, manifest, claim), manifest, claim, tuple(sorted(parts)))


def _require_apart(directory: Path, target: Target) -> None:
    """:raises ConfigurationError: each deploy would deploy the one before as well."""
    if target.directory is not None and target.directory.resolve().is_relative_to(directory.resolve()):
        raise ConfigurationError(f"{target.name}: expected a target outside of {directory}, found one in it")


def _digests(target: Target, named: set[str], sizes: Mapping[str, int]) -> dict[str, str | None]:
    """The digest of each file that is named. What is none of ours, whatever is in it, has an empty one."""
    digests = {path: "" if path in named else None for path in sizes}
    for part in _parts({path: size for path, size in sizes.items() if path in named and size <= MOST_BYTES}):
        digests |= {path: digest_of(content) for path, content in target.read(part).items()}
    return digests


def _parts(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The files in parts that fit into memory."""
    part: list[str] = []
    whole = 0
    for path, size in sorted(sizes.items()):
        if part and whole + size > MOST_BYTES:
            yield part
            part, whole = [], 0
        part.append(path)
        whole += size
    yield part


def carry_out(shown: Deployment, directory: Path, target: Target, *, by: str, resume: bool) -> None:
    """Carry out what a look has shown.

    :param by: who deploys.
    :param resume: take over from a deploy that has not ended, whoever and wherever it is.
    :raises DeployError: another deploy is under way, or something has changed since the look.
    """
    token = _claim(shown, target, by=by, resume=resume)
    now = look(directory, target)
    _require(token, target)
    if (now.source, now.plan) != (shown.source, shown.plan):
        if shown.claim is None:
            target.remove(CLAIM)
        raise DeployError(
            f"{target.name}: source or target changed since the plan was made; nothing was changed: look again"
        )
    for change in shown.plan.changes:
        _require(token, target)
        if change.action == Action.REMOVE:
            target.remove(change.path)
        else:
            target.write(change.path, _content(directory, change))
    _require(token, target)
    for path in shown.left_over:
        if path in now.left_over:
            target.remove(path)
    target.write(MANIFEST, Manifest(files=dict(shown.source), by=by, at=_now()).to_value())
    target.remove(CLAIM)


def _claim(shown: Deployment, target: Target, *, by: str, resume: bool) -> str:
    """The token of our claim. :raises DeployError: another deploy has one."""
    before, process = shown.claim, ProcessId.of_this_process()
    writes = {path: list(digests) for path, digests in (before.writes if before is not None else {}).items()}
    for change in shown.plan.changes:
        known = writes.setdefault(change.path, [])
        known += [one for one in (change.before, change.after) if one is not None and one not in known]
    claim = Claim(
        token=uuid4().hex, by=by, at=_now(), process=asdict(process) if process is not None else None, writes=writes
    )
    if before is None:
        if not target.create(CLAIM, claim.to_value()):
            raise DeployError(f"{target.name}: another deploy has begun meanwhile; {_NOTHING}: look again")
        return claim.token
    if not (resume or is_gone(read_process_id(before.process))):
        raise DeployError(
            f"{target.name}: {before.by} began a deploy at {before.at}, and it has not ended; wait for it, or, where "
            "it was interrupted, go on from there with --resume"
        )
    _require(before.token, target)
    target.write(CLAIM, claim.to_value())
    return claim.token


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
