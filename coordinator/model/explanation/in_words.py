"""The sections of an explanation as people read them: the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.model.explanation.explained import Explanation
from coordinator.model.explanation.items import items_in_lines
from coordinator.model.explanation.record import order_in_words, record_in_words
from coordinator.model.explanation.tree import Line
from coordinator.model.explanation.waits import sensor_in_words
from coordinator.model.explanation.words import hold_in_words, state_in_words


@dataclass(frozen=True, slots=True)
class InWords:
    """The sections, in the order in which they are shown. What there is nothing to say of is empty, or ``None``."""

    sensors: Sequence[str]
    items: Sequence[str]
    condition: Sequence[Line]
    because: Sequence[str]
    outlook: str
    remedies: Sequence[str]
    state: str
    hold: str | None
    order: str | None
    trigger: Sequence[str]


def in_words(explanation: Explanation) -> InWords:
    """An explanation in sentences."""
    hold, order = explanation.hold, explanation.order
    return InWords(
        sensors=[
            *(one.in_words() for one in explanation.waiting),
            *(sensor_in_words(one) for one in explanation.decision.sensors),
        ],
        items=list(items_in_lines(explanation.items)),
        condition=explanation.lines,
        because=list(explanation.because()),
        outlook=explanation.outlook,
        remedies=explanation.remedies_in_short(),
        state=state_in_words(explanation.state),
        hold=hold_in_words(hold) if hold is not None else None,
        order=order_in_words(order, explanation.record) if order is not None else None,
        trigger=list(record_in_words(explanation.record)),
    )
