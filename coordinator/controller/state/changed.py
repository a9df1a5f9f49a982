"""What has changed in the cache: by a batch of changes, and by a listing."""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.model.references import PipelineRef, Target


@dataclass(slots=True)
class Touched:
    """What a batch of changes touched.

    :ivar expired: targets whose state was put again after retention had removed it.
    :ivar recorded: targets of which only the trigger record has changed.
    :ivar watermarks: pipelines whose watermark was unknown, and is known now.
    :ivar waits: the names of waits.
    :ivar producers: an asset is emitted by a pipeline that was not known to.
    """

    targets: set[Target] = field(default_factory=set)
    recorded: set[Target] = field(default_factory=set)
    expired: set[Target] = field(default_factory=set)
    held: set[PipelineRef] = field(default_factory=set)
    watermarks: set[PipelineRef] = field(default_factory=set)
    waits: set[Target] = field(default_factory=set)
    producers: bool = False
    dependencies: bool = False
    leader_gone: bool = False
    states: int = 0


@dataclass(slots=True)
class Replaced:
    """The result of reading a listing.

    :ivar targets: everything that has a state, a record or an order, or had one before; may contain duplicates.
    :ivar expired: as in :class:`Touched`.
    """

    targets: list[Target] = field(default_factory=list)
    expired: set[Target] = field(default_factory=set)
    leader_gone: bool = False
