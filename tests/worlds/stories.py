"""The worked examples of ``docs/examples``, as scripts in a simulated world: what happens, and what ``coordinator
explain`` says on the way. The pages show what is printed here (``tests/unit/test_examples.py``)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rich.console import Console

from coordinator.cli.explain import print_explanation
from coordinator.model.explanation import explain
from tests.worlds.simulated import EPOCH, SimulatedWorld
from tests.worlds.world import target

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WIDTH = 118
"""Columns of the terminal in which the pages' commands were given."""


class Story:
    """A world that obeys an example's file, with a calendar.

    :ivar shown: what the terminal shows, a command and its output each.
    """

    def __init__(self, name: str) -> None:
        self.world = SimulatedWorld()
        self.shown: list[str] = []
        self.world.dependencies(json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8")))

    def at(self, moment: str) -> None:
        """It becomes this late."""
        seconds, clock = (datetime.fromisoformat(moment) - EPOCH).total_seconds(), self.world.clock
        before = seconds - 61  # coming to rest takes a minute
        assert before > clock.seconds, f"{moment} is past: it is {clock.now()}"
        clock.seconds = before
        self.world.settle()
        clock.seconds = seconds

    def comes(self, name: str, partition: str, state: str = "success") -> None:
        """A run of a source ends; and what follows from it happens."""
        self.world.comes(name, partition, state)
        self.world.settle()

    def rerun(self, name: str, partition: str, state: str = "success") -> None:
        """A person clears a run, and it ends; and what follows from it happens."""
        self.world.rerun(name, state, partition=partition)
        self.world.settle()

    def runs(self, name: str, partition: str) -> int:
        return self.world.runs(name, partition=partition)

    def explains(self, name: str, partition: str) -> None:
        """Somebody asks."""
        assert self.world.watcher is not None
        terminal = Console(file=io.StringIO(), width=WIDTH, highlight=False)
        print_explanation(terminal, explain(self.world.watcher.reconciler.propagation, target(name, partition)), [])
        assert isinstance(terminal.file, io.StringIO)
        self.shown.append(f"$ coordinator explain {name} {partition}\n{_stripped(terminal.file.getvalue())}")


def _stripped(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def hours_of(day: str) -> list[str]:
    return [f"{day}T{hour:02}:00:00Z" for hour in range(24)]


def daily_after_24_hours(story: Story) -> None:
    """A run of an hour ends four minutes after the hour."""
    day, hours = "2026-11-23T00:00:00Z", hours_of("2026-11-23")
    ends = [hour.replace(":00:00Z", ":04:00Z") for hour in (*hours[1:], "2026-11-24T00:00:00Z")]
    for hour, end in zip(hours, ends, strict=True):
        story.at(end)
        story.comes("hourly_sales", hour, "failed" if hour == hours[20] else "success")
        if hour == hours[19]:
            assert story.runs("daily_sales", day) == 0
            story.explains("daily_sales", day)
    story.at("2026-11-24T07:30:00Z")
    assert story.runs("daily_sales", day) == 0
    story.explains("daily_sales", day)
    story.world.by_hand("daily_sales")
    story.rerun("hourly_sales", hours[20])
    story.world.start("daily_sales", partition=day)
    assert story.runs("daily_sales", day) == 1
    story.explains("daily_sales", day)
    story.world.by_itself("daily_sales")
    story.at("2026-11-25T10:00:00Z")
    story.rerun("hourly_sales", hours[5])
    assert story.runs("daily_sales", day) == 2
    story.explains("daily_sales", day)


def weekly_with_one_day_missing(story: Story) -> None:
    """Midnight in Berlin is 23:00Z of the day before. Clocks are turned on Sunday, 2027-03-28."""
    week = "2027-03-21T23:00:00Z"
    for day in range(22, 29):
        story.at(f"2027-03-{day}T23:{30 if day < 28 else 10}:00Z")
        if day == 28:
            assert story.runs("weekly_stock", week) == 0
            story.explains("weekly_stock", week)
        story.comes("daily_stock", f"2027-03-{day - 1}T23:00:00Z", "failed" if day == 24 else "success")
    assert story.runs("weekly_stock", week) == 1
    story.explains("weekly_stock", week)
    story.at("2027-03-29T09:00:00Z")
    story.rerun("daily_stock", "2027-03-23T23:00:00Z")
    assert story.runs("weekly_stock", week) == 2
    story.explains("weekly_stock", week)


def failure_handler(story: Story) -> None:
    day = "2026-11-23T00:00:00Z"

    def runs() -> list[int]:
        return [story.runs(name, day) for name in ("report", "alert", "drop_staging")]

    story.at("2026-11-24T01:00:00Z")
    story.comes("load", day, "failed")
    assert runs() == [0, 1, 1]
    story.explains("alert", day)
    story.explains("report", day)
    story.at("2026-11-24T08:00:00Z")
    story.world.by_hand("report")
    story.rerun("load", day)
    story.world.run("report", "failed", partition=day)
    story.world.settle()
    assert runs() == [1, 2, 2]
    story.explains("alert", day)
    story.at("2026-11-24T09:00:00Z")
    story.rerun("report", day)
    assert runs() == [2, 2, 2]
    story.explains("alert", day)


def two_environments(story: Story) -> None:
    """From 22:30 to 01:05 no report of team_b arrives."""
    monday, tuesday = "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"

    def runs() -> list[int]:
        return [story.runs("finance_report", day) for day in (monday, tuesday)]

    for day, next_day in (("2026-11-23", "2026-11-24"), ("2026-11-24", "2026-11-25")):
        hours = hours_of(day)
        for hour, end in zip(hours, (*hours[1:], f"{next_day}T00:00:00Z"), strict=True):
            story.at(end.replace(":00:00Z", ":10:00Z"))
            if hour == "2026-11-23T22:00:00Z":
                story.world.delay_reports("team_b/orders")
            story.comes("team_b/orders", hour)
            if hour == "2026-11-23T05:00:00Z":
                story.comes("team_b/price_list", monday)
        story.at(f"{next_day}T00:30:00Z")
        story.comes("ledger", f"{day}T00:00:00Z")
        if next_day == "2026-11-24":
            assert runs() == [0, 0]
            story.explains("finance_report", monday)
            story.at("2026-11-24T01:05:00Z")
            story.world.deliver_reports("team_b/orders")
            story.world.settle()
            assert runs() == [1, 0]
            story.explains("finance_report", monday)
    assert runs() == [1, 1]
    story.at("2026-11-25T11:00:00Z")
    story.rerun("team_b/price_list", monday)
    assert runs() == [2, 2]
    assert story.runs("finance_report", "2026-11-25T00:00:00Z") == 0
    story.explains("finance_report", tuesday)


def gate_on_a_dimension(story: Story) -> None:
    one, two = "2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z"
    story.at("2026-11-23T03:00:00Z")
    story.comes("dim_customers", "2026-11-22T00:00:00Z")
    story.at("2026-11-24T03:00:00Z")
    story.comes("dim_customers", "2026-11-23T00:00:00Z", "failed")
    story.at("2026-11-24T09:05:00Z")
    story.comes("stage_orders", one)
    assert story.runs("fact_orders", one) == 0
    story.explains("fact_orders", one)
    story.at("2026-11-24T09:40:00Z")
    story.rerun("dim_customers", "2026-11-23T00:00:00Z")
    assert story.runs("fact_orders", one) == 1
    story.explains("fact_orders", one)
    story.at("2026-11-24T10:05:00Z")
    story.comes("stage_orders", two)
    assert [story.runs("fact_orders", hour) for hour in (one, two)] == [1, 1]
    story.at("2026-11-25T22:05:00Z")
    late = "2026-11-25T21:00:00Z"
    story.comes("stage_orders", late)
    assert story.runs("fact_orders", late) == 0
    story.explains("fact_orders", late)
    story.at("2026-11-25T22:30:00Z")
    story.comes("dim_customers", "2026-11-24T00:00:00Z")
    assert [story.runs("fact_orders", hour) for hour in (one, two, late)] == [1, 1, 1]
    story.explains("fact_orders", two)


STORIES: dict[str, Callable[[Story], None]] = {
    script.__name__.replace("_", "-"): script
    for script in (
        daily_after_24_hours,
        weekly_with_one_day_missing,
        failure_handler,
        two_environments,
        gate_on_a_dimension,
    )
}
"""By the name of the example's page."""


def told(name: str) -> list[str]:
    """Play an example, and return what the terminal has shown."""
    story = Story(name)
    STORIES[name](story)
    return story.shown
