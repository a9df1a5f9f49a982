"""Partitions, and the run ids made of them (docs/architecture.md#words).

A partition is a string. Where it is a date-time it is written in UTC as ``2026-11-20T00:00:00Z``, with
microseconds only if they are not zero, so that one instant has one spelling.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from coordinator.model.references import ITEM_KEY

RUN_ID_LIMIT = 250
"""Airflow refuses a longer run_id."""

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})")
_NOT_ALLOWED_IN_RUN_ID = re.compile(r"[^A-Za-z0-9_.:+-]")


def format_instant(instant: datetime) -> str:
    """Spell an instant as a partition.

    :param instant: an aware date-time, in any time zone.
    :raises ValueError: the date-time is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; an instant needs one")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_instant(partition: str) -> datetime | None:
    """Read a partition as an instant in UTC; ``None`` when it is not a date-time with a time zone."""
    if not _DATE_TIME.fullmatch(partition):
        return None
    try:
        return datetime.fromisoformat(partition).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


A_MOMENT = "a date or a date-time, such as 2026-11-20 or 2026-11-20T05:00Z"
"""The expected form, for messages."""

_SEQUENCE_DIGITS = 18
"""More digits than any sequence has; parsing a longer number would take time."""

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def partition_order(partition: str) -> tuple[bool, datetime, str]:
    """A sort key, oldest first: date-times by time, after all others by name."""
    instant = parse_instant(partition)
    return instant is not None, instant or _BEFORE_ALL, partition


def is_earlier(partition: str, other: str) -> bool:
    """Whether both are date-times, the first one the earlier."""
    one, two = parse_instant(partition), parse_instant(other)
    return one is not None and two is not None and one < two


def partition_of_run(*, run_id: str, logical_date: datetime | None, partition_key: str | None, conf: object) -> str:
    """The partition of an Airflow run: the one that the coordinator started it for, else its own.

    The partition in a conf counts only if the run_id agrees. Anybody who triggers a run chooses its conf, and the conf
    is copied when a run is triggered again; the run_id is made of the partition, is unique in Airflow, and stays the
    same through clears, retention and a restored etcd, unlike the token of the trigger record.

    :param conf: the run's conf; the coordinator writes the partition into that of the runs that it starts.
    """
    claimed = _claimed(conf, "partition")
    if claimed is not None and (is_coordinator_run_id(run_id, claimed) or item_of_run(run_id, conf)):
        return claimed
    if partition_key:
        return partition_key
    if logical_date is not None:
        return format_instant(logical_date)
    return run_id


def is_coordinator_run_id(run_id: str, partition: str) -> bool:
    """Whether this is a run_id that :func:`coordinator_run_id` makes for the partition, with any sequence."""
    sequence = run_id.rpartition("__")[2]
    is_sequence = sequence.isascii() and sequence.isdigit() and len(sequence) <= _SEQUENCE_DIGITS
    return is_sequence and run_id == coordinator_run_id(partition, int(sequence))


_OURS = re.compile(r"coordinator__(.+)__[0-9]{1,18}", re.DOTALL)
_OF_ITEM = re.compile(rf"(.+)\[({ITEM_KEY})-[0-9a-f]{{8}}\]", re.DOTALL)
_ESCAPED = re.compile(r"(?:~[0-9a-f]{2})+")
_DATED = re.compile(r"(?:scheduled|backfill|manual)__([^_]+)")


def partition_in_run_id(run_id: str) -> str | None:
    """The partition for which the coordinator has made a run_id; ``None``: it made none, or may have cut it."""
    found = _OURS.fullmatch(run_id)
    if found is None or len(run_id) == RUN_ID_LIMIT:
        return None
    partition = _ESCAPED.sub(
        lambda escaped: bytes.fromhex(escaped.group().replace("~", "")).decode("utf-8", "replace"), found[1]
    )
    return partition if is_coordinator_run_id(run_id, partition) else None


def item_in_run_id(run_id: str) -> tuple[str, str] | None:
    """The partition and the key of the item for which the coordinator has made a run_id; ``None``: it made none for an
    item, or may have cut it."""
    found = _OF_ITEM.fullmatch(partition_in_run_id(run_id) or "")
    return (found[1], found[2]) if found is not None else None


def date_in_run_id(run_id: str) -> str | None:
    """The date-time in a run_id that Airflow has made, as a partition; ``None``: there is none.

    It is the logical date in Airflow 2. In Airflow 3 it is the moment from which on the run may start
    (``DagRun.generate_run_id``), which is the logical date unless the schedule has data intervals.
    """
    found = _DATED.fullmatch(run_id)
    instant = parse_instant(found[1]) if found is not None else None
    return format_instant(instant) if instant is not None else None


def item_of_run(run_id: str, conf: object) -> str:
    """The key of the item for which the coordinator has created a run; empty: it has not. The conf is believed as that
    of :func:`partition_of_run` is."""
    partition, key, row = (_claimed(conf, name) for name in ("partition", "item", "row"))
    if partition is None or key is None or row is None:
        return ""
    return key if is_coordinator_run_id(run_id, name_of_item_run(partition, key, row)) else ""


def dag_or_item(dag_id: str, run_id: str, conf: object) -> str:
    """The name of the pipeline whose run it is: the DAG, or an item of it, as in ``load[orders]``."""
    key = item_of_run(run_id, conf)
    return f"{dag_id}[{key}]" if key else dag_id


def name_of_item_run(partition: str, key: str, row: str) -> str:
    """What stands in the run_id of an item in the place of the partition. :param row: the fingerprint of its row."""
    return f"{partition}[{key}-{row}]"


def _claimed(conf: object, name: str) -> str | None:
    ours = conf.get("coordinator") if isinstance(conf, dict) else None
    claimed = ours.get(name) if isinstance(ours, dict) else None
    return claimed if isinstance(claimed, str) and claimed else None


def coordinator_run_id(partition: str, sequence: int) -> str:
    """The run_id of a run that the coordinator creates: ``coordinator__<partition>__<n>``.

    Airflow allows ``A-Za-z0-9_.~:+-`` and 250 characters. Other bytes, and ``~`` itself, become ``~`` and two
    hex digits, so that two partitions never meet in one run_id; a long partition is cut and gets a hash.
    """
    escaped = _NOT_ALLOWED_IN_RUN_ID.sub(
        lambda found: "".join(f"~{byte:02x}" for byte in found.group().encode()), partition
    )
    room = RUN_ID_LIMIT - len(f"coordinator____{sequence}")
    if len(escaped) > room:
        digest = hashlib.sha256(partition.encode()).hexdigest()[:16]
        escaped = f"{escaped[: room - 17]}-{digest}"
    return f"coordinator__{escaped}__{sequence}"
