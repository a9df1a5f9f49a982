"""The runtime arguments of a run: by them it is found again, for CDAP gives each run an id of its own.

Arguments are texts. ``coordinator.conf`` holds the whole conf; what a pipeline may want to use in a macro has an
argument of its own, as ``${coordinator.partition}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from coordinator.model.stored import as_utc
from coordinator.runners.datafusion.settings import OURS
from coordinator.runners.port import StartRequest

RUN_ID = f"{OURS}run_id"
TOKEN = f"{OURS}token"
QUEUED_AT = f"{OURS}queued_at"
LOGICAL_DATE = f"{OURS}logical_date"
CONF = f"{OURS}conf"
ITEM = "item"
"""The row of an item. Each of its members is an argument too, as ``${item.name}``."""
MACRO = "${"
"""How a macro of CDAP begins: it is expanded in what a pipeline uses, also where it came from an argument."""

_AHEAD = timedelta(days=1)
"""By which the clock of another watcher may be ahead."""

_OF_ITS_OWN = ("partition", "wave", "sequence")


class Ours(msgspec.Struct, frozen=True):
    """What the arguments of a run of ours say.

    :ivar token: of the request that started this attempt.
    :ivar queued_at: tells its attempts apart.
    """

    run_id: str
    token: str
    queued_at: datetime
    logical_date: datetime | None
    conf: Mapping[str, Any]


def arguments_of(ours: Ours, fixed: Mapping[str, str]) -> dict[str, str]:
    """The runtime arguments of an attempt. :param fixed: those that the settings give to all runs."""
    mine = ours.conf.get("coordinator", {})
    given = {name: _text(value) for name, value in ours.conf.items() if not f"{name}.".startswith(OURS)}
    said = {f"{OURS}{name}": _text(mine[name]) for name in _OF_ITS_OWN if name in mine}
    row = ours.conf.get(ITEM)
    of_row = {f"{ITEM}.{name}": _text(value) for name, value in row.items()} if isinstance(row, dict) else {}
    found = {
        **fixed,
        **of_row,
        **given,
        **said,
        RUN_ID: ours.run_id,
        TOKEN: ours.token,
        QUEUED_AT: ours.queued_at.isoformat(),
        CONF: json.dumps(dict(ours.conf), separators=(",", ":")),
    }
    if ours.logical_date is not None:
        found[LOGICAL_DATE] = ours.logical_date.isoformat()
    return found


def requested(request: StartRequest, queued_at: datetime) -> Ours:
    """What a request says about the attempt that it is to make."""
    return Ours(request.run_id, request.token, queued_at, request.logical_date, request.conf)


def read_arguments(text: object) -> Ours | None:
    """What ``runtimeArgs`` of a run record says; ``None``: the coordinator did not start that run."""
    try:
        given: Any = json.loads(text) if isinstance(text, str) else {}
        conf = json.loads(given[CONF])
        dated = given.get(LOGICAL_DATE)
        queued_at = as_utc(datetime.fromisoformat(given[QUEUED_AT]))
        if queued_at > datetime.now(UTC) + _AHEAD:
            return None  # somebody else has written that, and nothing could come after it
        return Ours(
            str(given[RUN_ID]),
            str(given[TOKEN]),
            queued_at,
            None if dated is None else as_utc(datetime.fromisoformat(dated)),
            conf if isinstance(conf, dict) else {},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
