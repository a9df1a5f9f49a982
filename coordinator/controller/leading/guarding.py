"""The last check before a request leaves: whether this watcher surely leads for as long as the request may take."""

from __future__ import annotations

from coordinator.errors import LeadershipLost
from coordinator.store.leadership import Leadership


def refuse_unless_leading(leadership: Leadership | None, *, seconds: float, term: int | None) -> None:
    """Design section 5, point 3: the lease still has more left than the request's time limit.

    :param leadership: the present one, if there is one.
    :param seconds: the request's time limit.
    :param term: in which the request was decided (the create revision of the leader key). A watcher that stood still,
        lost the leadership and has it again does not know what another one did in between: it must ask first.
    :raises LeadershipLost: nothing may be sent.
    """
    if leadership is not None and leadership.create_revision != term:
        raise LeadershipLost(
            f"this was decided in term {term}, and now it is term {leadership.create_revision}: nothing is sent before "
            "it is known what became of it in between"
        )
    remaining = leadership.remaining() if leadership is not None else 0.0
    if remaining <= seconds:
        raise LeadershipLost(
            f"the lease lasts {remaining:.1f} s more and the request may take {seconds:.1f} s: nothing is sent"
        )
