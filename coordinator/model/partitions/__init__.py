"""Partition mappings: which upstream partitions a downstream partition needs (docs/architecture.md#inputs).

They have the names of Airflow 3's partition mappers, if it has them (``airflow/partition_mappers``).

============  ===============================================  ====================================================
mapping       downstream partition k needs                     an upstream partition feeds
============  ===============================================  ====================================================
``Identity``  the upstream's partition k                       the partition of the same name
``StartOf``   all that come in the period that k starts        the period that it lies in
``Rollup``    every hour, day, ... that begins in the period   the period that it begins in
``FanOut``    the period that k lies in                        every hour, day, ... that begins in it
``Offset``    the upstream's partition k + offset              each k with k + offset = it: none, one, or several
``FixedKey``  the upstream's newest completion, for one k      that one k
``Latest``    the upstream's newest completion                 every k
``Assets``    the asset event k, or all of one origin          itself, or its origin
============  ===============================================  ====================================================

The *exact* mappings (``ExactMapping``) have both directions, each the inverse of the other::

    u in mapping.upstreams(d)   if and only if   d in mapping.downstreams(u)

No upstreams means that the mapping has no input for that partition: it is no date-time, or not the start of a period.
The open ones (``OpenMapping``) cannot list their inputs, but only check whether a partition is one: ``feeds(u, d)``.
``Latest`` does not need that. Those that gather (``GatheringMapping``) have all the inputs that have come.

All mappings are immutable and hashable. They are used with every completion, so results of the calendar are cached.
"""

from coordinator.model.partitions.assets import Assets
from coordinator.model.partitions.calendar import Period, starts_between, time_zone
from coordinator.model.partitions.offsets import OFFSET, Offset, Unit, parse_offset
from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.spelling import spelling
from coordinator.model.partitions.untimed import FixedKey, Identity, Latest
from coordinator.model.partitions.windows import ALL, MOST_MEMBERS, FanOut, Rollup, StartOf, Wait, usual_every

ExactMapping = Identity | Rollup | FanOut | Offset
GatheringMapping = StartOf | Assets
OpenMapping = GatheringMapping | FixedKey
Mapping = ExactMapping | OpenMapping | Latest

__all__ = [
    "ALL",
    "MOST_MEMBERS",
    "OFFSET",
    "Assets",
    "ExactMapping",
    "FanOut",
    "FixedKey",
    "GatheringMapping",
    "Identity",
    "Latest",
    "Mapping",
    "MappingError",
    "Offset",
    "OpenMapping",
    "Period",
    "Rollup",
    "StartOf",
    "Unit",
    "Wait",
    "parse_offset",
    "spelling",
    "starts_between",
    "time_zone",
    "usual_every",
]
