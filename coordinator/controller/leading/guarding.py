"""The last check before a request leaves: whether this watcher surely leads for as long as the request may take."""

from __future__ import annotations

from coordinator.errors import LeadershipLost
from coordinator.store.leadership import Leadership


def refuse_unless_leading(leadership: Leadership | None, *, seconds: float, term: int | None) -> None:
    """The lease must last for longer than the request may take (docs/architecture.md#leadership).

    :param leadership: the present leadership of this watcher, if it leads.
    :param seconds: the request's time limit.
    :param term: the term in which the request was decided (the create revision of the leader key). A watcher that was
        suspended, lost the leadership and regained it does not know what another one did in between: it must ask first.
    :raises LeadershipLost: nothing may be sent.
    """
    if leadership is not None and leadership.create_revision != term:
        raise LeadershipLost(
            f"this was decided in term {term}, and the present term is {leadership.create_revision}: nothing is sent "
            "before its outcome in between is known"
        )
    remaining = leadership.remaining() if leadership is not None else 0.0
    if remaining <= seconds:
        raise LeadershipLost(
            f"the lease lasts {remaining:.1f} s more and the request may take {seconds:.1f} s: nothing is sent"
        )
