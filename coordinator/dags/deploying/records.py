"""What stands in the target about what was deployed: one manifest, and while a deploy is under way a claim and what it
writes.

The claim is read before each file, and so it is small however many files there are.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

PREFIX: Final = ".coordinator-dags."
"""How the names of all files begin that are ours and no DAG folder's."""
MANIFEST: Final = f"{PREFIX}manifest.json"
CLAIM: Final = f"{PREFIX}claim.json"


def writes_name(token: str) -> str:
    """The name of the record of what the deploy with this token writes."""
    return f"{PREFIX}{token}.writes.json"


def digest_of(content: bytes) -> str:
    """As the records have it."""
    return hashlib.sha256(content).hexdigest()


def checked_path(path: str) -> str:
    """A path below the target. Others can write into it: a path that leads out of it is not followed.

    :raises ValueError: it is none.
    """
    if not path or path.startswith("/") or "\\" in path or ".." in PurePosixPath(path).parts or "\0" in path:
        raise ValueError("expected a path below the target")
    return path


FilePath = Annotated[str, AfterValidator(checked_path)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    @classmethod
    def of(cls, value: bytes) -> Self | None:
        """Read back; ``None``: it cannot be."""
        try:
            return cls.model_validate_json(value)
        except ValidationError:
            return None

    def to_value(self) -> bytes:
        return self.model_dump_json(indent=2).encode() + b"\n"


class Origin(_Record):
    """Of which configurations, and for which deployment environments, the generated files of a folder were made.

    Both are sorted, and empty where no file was generated.
    """

    names: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.names:
            return "no generated files"
        return f"files of {', '.join(self.names)} for {', '.join(self.environments)}"


class Manifest(_Record):
    """What the last deploy that came to its end has left.

    :ivar files: the digest of each file. What has another one was changed since, by somebody else.
    :ivar origin: of the folder that was deployed.
    """

    files: dict[FilePath, Digest]
    origin: Origin = Origin()
    by: str
    at: str


class Claim(_Record):
    """A deploy is under way, or was interrupted.

    :ivar token: no other deploy has it.
    :ivar process: whose claim it is, as ``coordinator.store.process_id`` has it.
    :ivar origin: of the folder that is deployed.
    """

    token: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]
    by: str
    at: str
    process: dict[str, str | int] | None
    origin: Origin = Origin()


class Writes(_Record):
    """What a deploy writes. It is there before the claim that has its token.

    :ivar files: the digests that a file may have because this deploy, or one that it has taken over, wrote it.
    """

    files: dict[FilePath, list[Digest]]
