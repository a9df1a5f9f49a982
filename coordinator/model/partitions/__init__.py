"""Partition mappings: which upstream partitions a downstream partition needs (docs/architecture.md#inputs).

They have the names of Airflow 3's partition mappers, if it has them (``airflow/partition_mappers``).

===============  ============================================  =============================================
The *exact* mappings (``ExactMapping``) have both directions, each the inverse of the other::

    u in mapping.upstreams(d)   if and only if   d in mapping.downstreams(u)

No upstreams means that the mapping has no input for that partition: it is no date-time, or not the start of a period.
The open ones (``OpenMapping``, and what :func:`gathers`) cannot list their inputs, but only say what a partition feeds.
``Latest`` does not need that.

All mappings are immutable and hashable. They are used with every completion, so results of the calendar are cached.
"""

from coordinator.model.partitions.assets import Assets
from coordinator.model.partitions.calendar import Period, starts_between, time_zone
from coordinator.model.partitions.composed import (
    DELIMITER,
    Chain,
    Member,
    Product,
    gathers,
    most_inputs,
    rolls_up,
)
from coordinator.model.partitions.named_keys import AllowedKey, Segments
from coordinator.model.partitions.offsets import OFFSET, Offset, Unit, parse_offset
from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.same_instant import SameInstant
from coordinator.model.partitions.spelling import spelling
from coordinator.model.partitions.untimed import FixedKey, Identity, Latest
from coordinator.model.partitions.windows import ALL, MOST_MEMBERS, FanOut, Rollup, StartOf, Wait, usual_every

ExactMapping = Identity | SameInstant | Rollup | FanOut | Offset | AllowedKey | Segments | Chain | Product
"""(A chain or a product that gathers is none: it has no ``upstreams``.)"""

OpenMapping = StartOf | Assets | FixedKey
Mapping = ExactMapping | OpenMapping | Latest

__all__ = [
    "ALL",
    "DELIMITER",
    "MOST_MEMBERS",
    "OFFSET",
    "AllowedKey",
    "Assets",
    "Chain",
    "ExactMapping",
    "FanOut",
    "FixedKey",
    "GatheringMapping",
    "Identity",
    "Latest",
    "Mapping",
    "MappingError",
    "Member",
    "Offset",
    "OpenMapping",
    "Period",
    "Product",
    "Rollup",
    "SameInstant",
    "Segments",
    "StartOf",
    "Unit",
    "Wait",
    "gathers",
    "most_inputs",
    "parse_offset",
    "rolls_up",
    "spelling",
    "starts_between",
    "time_zone",
    "usual_every",
]
