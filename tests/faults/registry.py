"""The faults that there are: each a function that strikes a stage in the middle of a wave, and heals it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.stage import Stage
from tests.faults.workload import Workload

Strike = Callable[["Struck"], None]


@dataclass
class Struck:
    """What a fault finds: sources that run, and that it lets end (:meth:`Workload.end_sources`) when it likes.

    :ivar notes: what it has measured, for people.
    """

    stage: Stage
    workload: Workload
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """:ivar asserts: what holds besides that nothing is lost, doubled or early.

    :ivar stage: what the stage is to be like: arguments of its ``kind``.
    :ivar in_every_test_run: it is among those that ``make test`` plays.
    :ivar first: it strikes waves in which everything runs for the first time: every request creates a run.
    :ivar in_soak: it can strike at any time, on a plain stage of three members, whatever else goes on.
    :ivar kind: of stage.
    :ivar at_most: so many times it strikes at most: it takes long.
    :ivar workload: the waves that it strikes.
    """

    name: str
    group: str
    strike: Strike
    asserts: str
    stage: Mapping[str, Any]
    in_every_test_run: bool = False
    first: bool = False
    kind: type[Stage] = Stage
    at_most: int | None = None
    in_soak: bool = False
    workload: type[Workload] = Workload


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    *,
    group: str,
    asserts: str,
    in_every_test_run: bool = False,
    first: bool = False,
    kind: type[Stage] = Stage,
    at_most: int | None = None,
    in_soak: bool = False,
    workload: type[Workload] = Workload,
    **stage: Any,
) -> Callable[[Strike], Strike]:
    """Put a strike into the registry; for its arguments see :class:`Fault`.

    :raises ValueError: there is one of this name.
    """

    def register(strike: Strike) -> Strike:
        if name in FAULTS:
            raise ValueError(f"two faults are called {name!r}")
        FAULTS[name] = Fault(
            name, group, strike, asserts, stage, in_every_test_run, first, kind, at_most, in_soak, workload
        )
        return strike

    return register


def chosen(names: Iterable[str]) -> list[Fault]:
    """The faults whose names contain one of these; all without any. :raises KeyError: one is in no name."""
    wanted = list(names)
    for name in wanted:
        if not any(name in one for one in FAULTS):
            raise KeyError(f"no fault is called like {name!r}; --list says which there are")
    return [one for one in FAULTS.values() if not wanted or any(name in one.name for name in wanted)]
