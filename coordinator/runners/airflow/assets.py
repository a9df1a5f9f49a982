"""Handing on asset events: finding the asset by its URI, emitting the event, and looking for it when an answer is lost.

By Airflow 3.3 (``api_fastapi/core_api/routes/public/assets.py``) and 2.11 (``api_connexion/endpoints``). Airflow gives
an event no unique name: two equal requests make two events. So an event is recognised by what we have written into its
``extra``, which Airflow keeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from urllib3.exceptions import NewConnectionError

from coordinator.model import bounds
from coordinator.model.assets.events import OURS
from coordinator.model.printable import printable
from coordinator.runners.airflow.answers import AssetEventAnswer, AssetEventsAnswer, AssetsAnswer
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import PAGE
from coordinator.runners.airflow.runs import refusal
from coordinator.runners.port import (
    AssetDelivery,
    Delivered,
    EnvironmentUnavailable,
    NotHappened,
    NotSent,
    Outcome,
    Permit,
    Refused,
    RequestRefused,
)

KNOWN_FOR = 300.0
"""Seconds for which the id of an asset is remembered."""

CLOCKS_APART = timedelta(hours=1)
"""By how much the clock of an environment may be behind the watcher's."""

MOST_UNREADABLE = 3
"""Events that cannot be shown, after which no more are read."""

_UNKNOWN = 404
_WILDCARD = "_"


class KnownAssets:
    """The ids of the assets of one environment. Used from several threads at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: dict[str, tuple[int, float]] = {}

    def get(self, uri: str) -> int | None:
        with self._lock:
            asset_id, until = self._ids.get(uri, (0, 0.0))
        return asset_id if self._clock() < until else None

    def put(self, uri: str, asset_id: int) -> None:
        with self._lock:
            self._ids[uri] = asset_id, self._clock() + KNOWN_FOR

    def forget(self, uri: str) -> None:
        with self._lock:
            self._ids.pop(uri, None)


def send(
    client: AirflowClient, delivery: AssetDelivery, deadline: Deadline, permit: Permit | None, known: KnownAssets
) -> Outcome:
    """Emit the event, once. Arguments and exceptions as of ``starting.start``; nothing resolves a lost answer here."""
    if not delivery.uri:
        return Refused(_UNKNOWN, "the event is not in etcd any more; nothing was sent")
    try:
        asset_id = _id_of(client, delivery.uri, deadline, known)
    except RequestRefused as refused:
        return Refused(refused.status, str(refused))
    except EnvironmentUnavailable as error:  # only a question has left
        raise NotSent(str(error), retry_after=error.retry_after) from error
    if asset_id is None:
        return _unknown(client, delivery)
    path, body = client.dialect.asset_event(asset_id, delivery)
    try:
        answer = client.post(path, body, deadline=deadline, permit=permit)
    except RequestRefused as refused:
        return Refused(refused.status, str(refused))
    except EnvironmentUnavailable as error:
        if _never_connected(error):
            raise NotSent(str(error), retry_after=error.retry_after) from error
        raise
    if answer.status == 200:
        answer.read(AssetEventAnswer)  # it may be the page of a proxy
        return Delivered()
    answer.raise_if_unsettled()
    known.forget(delivery.uri)
    return _unknown(client, delivery) if answer.status == _UNKNOWN else Refused(answer.status, answer.detail())


def ask(client: AirflowClient, delivery: AssetDelivery, deadline: Deadline, known: KnownAssets) -> Outcome:
    """Whether the environment has the event. ``NotHappened``: not yet; it may still be carried out.

    :raises EnvironmentUnavailable: no answer that settles it.
    :raises RequestRefused: the environment refuses the question, so it may have happened.
    """
    if not delivery.uri:
        return NotHappened("the event is not in etcd any more")
    asset_id = _id_of(client, delivery.uri, deadline, known)
    if asset_id is None:
        return NotHappened(f"{client.name} knows no asset {printable(delivery.uri)}")
    for event in _events(client, asset_id, delivery, deadline):
        ours = event.extra.get(OURS) if event.extra else None
        if isinstance(ours, dict) and ours.get("event") == delivery.event:
            return Delivered()
    return NotHappened(f"{client.name} has no event {delivery.event} of {printable(delivery.uri)}")


def _unknown(client: AirflowClient, delivery: AssetDelivery) -> Refused:
    uri = printable(delivery.uri, limit=bounds.DETAIL // 2)
    remedy = "a DAG there must have it in its schedule or as an outlet"
    return Refused(_UNKNOWN, f"{client.name} knows no asset {uri}; {remedy}")


def _never_connected(error: BaseException) -> bool:
    """Whether nothing can have been sent, for want of a connection."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, NewConnectionError):
            return True
        found = found.__cause__ or found.__context__
    return False


def _id_of(client: AirflowClient, uri: str, deadline: Deadline, known: KnownAssets) -> int | None:
    """The id of an active asset, which is the only one of its URI; ``None``: there is none."""
    if (asset_id := known.get(uri)) is not None:
        return asset_id
    # The filter is ``ILIKE '%...%'``, and divides at "|": it finds more than was asked for, and never less.
    pattern = uri.replace("\\", _WILDCARD)
    offset = 0
    while True:
        query: dict[str, str | int] = {"uri_pattern": pattern, "order_by": "id", "limit": PAGE, "offset": offset}
        answer = client.get(client.dialect.assets, query=query, deadline=deadline)
        if answer.status != 200:
            raise refusal(answer)
        page = answer.read(AssetsAnswer)
        for asset in page.assets:
            if asset.uri == uri:
                known.put(uri, asset.id)
                return asset.id
        offset += len(page.assets)
        if not page.assets or offset >= page.total_entries:
            return None


def _events(
    client: AirflowClient, asset_id: int, delivery: AssetDelivery, deadline: Deadline
) -> Iterator[AssetEventAnswer]:
    """The events of an asset, newest first, that may be ours.

    Airflow 3.3 fails to show an event that has created a run which is still queued (``DagRunAssetReference`` needs a
    ``start_date``), and with it the whole page. So a page that fails is read event by event.

    :raises RequestRefused: one that may be ours cannot be read now.
    """
    not_before = delivery.since - CLOCKS_APART
    limit, offset, unreadable = PAGE, 0, 0
    while True:
        query: dict[str, str | int] = {client.dialect.asset_id: asset_id, "order_by": "-timestamp"}
        try:
            answer = client.get(
                f"{client.dialect.assets}/events", query={**query, "limit": limit, "offset": offset}, deadline=deadline
            )
            if answer.status != 200:
                raise refusal(answer)
        except EnvironmentUnavailable:
            if limit > 1:
                limit = limit // 4 if limit >= 4 else 1
                continue
            client.get(client.dialect.assets, query={"limit": 1}, deadline=deadline)  # is it there at all?
            unreadable, offset = unreadable + 1, offset + 1
            if unreadable < MOST_UNREADABLE:
                continue
            break
        page = answer.read(AssetEventsAnswer)
        for event in page.asset_events:
            if event.timestamp < not_before:
                break
            yield event
        else:
            offset += len(page.asset_events)
            if page.asset_events and offset < page.total_entries:
                continue
        break
    if unreadable:
        raise RequestRefused(
            f"{client.name} does not show an event of {printable(delivery.uri)} that may be this one; Airflow shows it "
            "once the run that it has created is no longer queued",
            status=500,
        )
