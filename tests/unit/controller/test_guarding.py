"""Nothing leaves this watcher unless it surely leads, and in the term in which that was decided."""

import pytest

from coordinator.controller.leading.guarding import refuse_unless_leading
from coordinator.errors import LeadershipLost
from coordinator.store.leadership import HeldLease, Leadership


def leadership(term: int, *, remaining: float) -> Leadership:
    return Leadership(term, HeldLease(1, asked_at=100.0, ttl=remaining, clock=lambda: 100.0))


@pytest.mark.promise("leader-only")
def test_a_leader_may_send_what_fits_into_its_lease() -> None:
    refuse_unless_leading(leadership(7, remaining=6.0), seconds=5.0, term=7)


@pytest.mark.promise("leader-only")
@pytest.mark.parametrize(
    ("present", "term"),
    [
        pytest.param(None, 7, id="leads no more"),
        pytest.param(leadership(7, remaining=5.0), 7, id="the lease is too short"),
        pytest.param(leadership(9, remaining=9.0), 7, id="leads again, and another one may have led in between"),
        pytest.param(leadership(9, remaining=9.0), None, id="never knew that it leads"),
    ],
)
def test_it_sends_nothing_otherwise(present: Leadership | None, term: int | None) -> None:
    with pytest.raises(LeadershipLost):
        refuse_unless_leading(present, seconds=5.0, term=term)
