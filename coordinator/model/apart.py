"""Dependencies that are never met because one upstream has dates as partitions and another has date-times.

``2026-11-20``, ``2026-11-20T00:00:00`` and ``2026-11-20T00:00:00Z`` are three partitions. A run with a logical date has
the last one; Airflow's partitioned timetables give their runs the one before; and a person who reports by hand easily
writes the first. A pipeline that waits for two of them in the same partition waits for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator

from coordinator.model.conditions import Condition, Dependency, leaves
from coordinator.model.dependencies import Downstream
from coordinator.model.named_partitions import is_date, is_local
from coordinator.model.partitions import Identity
from coordinator.model.partitions.instants import parse_instant
from coordinator.model.publishing.never_met import NeverMet
from coordinator.model.publishing.unmet_lately import Seen, newest
from coordinator.model.references import PipelineRef


class Form(enum.StrEnum):
    """How partitions are written."""

    DATE = "dates"
    LOCAL = "date-times without a time zone"
    DATE_TIME = "date-times"


_FORMATS = {Form.DATE: "%Y-%m-%d", Form.LOCAL: "%Y-%m-%dT%H:%M:%S"}


Forms = dict[PipelineRef, Form | None]


def apart(entries: Iterable[Downstream], seen: Seen) -> Iterator[NeverMet]:
    """The entries that wait for dates and for date-times in one partition."""
    forms: Forms = {}
    for entry in entries:
        upstreams = dict.fromkeys(
            leaf.pipeline for leaf in leaves(entry.condition) if isinstance(leaf.mapping, Identity)
        )
        if len(upstreams) < 2:
            continue
        for upstream in upstreams.keys() - forms.keys():
            forms[upstream] = form_of(seen.get(upstream, ()))
        if not any(_can_hold(entry.condition, form, forms) for form in Form):
            yield NeverMet(entry.pipeline, _reason(upstreams, forms, seen), _remedy(upstreams, forms))


def form_of(partitions: Collection[str]) -> Form | None:
    """The form of a pipeline's newest partitions; ``None`` if they have neither form, or both."""
    found = {_form(partition) for partition in newest(partitions)}
    return found.pop() if len(found) == 1 else None


def _form(partition: str) -> Form | None:
    if is_date(partition):
        return Form.DATE
    if is_local(partition):
        return Form.LOCAL
    return Form.DATE_TIME if parse_instant(partition) is not None else None


def _can_hold(condition: Condition, form: Form, forms: Forms) -> bool:
    """Whether a condition can hold in a partition of this form."""
    if isinstance(condition, Dependency):
        return not isinstance(condition.mapping, Identity) or forms[condition.pipeline] in (None, form)
    return sum(_can_hold(branch, form, forms) for branch in condition.of) >= condition.n


def _remedy(upstreams: Iterable[PipelineRef], forms: Forms) -> str:
    found = {forms[upstream] for upstream in upstreams}
    named = [
        f"""the dependency on the {form} have the 'partition' {{"mapper": "identity", "input_format": "{spelled}"}}"""
        for form, spelled in _FORMATS.items()
        if form in found
    ]
    same = "report the same partitions for both, such as 2026-11-20T00:00:00Z"
    return f"{same}; or let {', and '.join(named)}"


def _reason(upstreams: Iterable[PipelineRef], forms: Forms, seen: Seen) -> str:
    one_of_each = {form: upstream for upstream in upstreams if (form := forms[upstream]) is not None}
    named = [
        f"{upstream} has {form}, such as {newest(seen[upstream])[0]}" for form, upstream in sorted(one_of_each.items())
    ]
    return f"it is never started: {', and '.join(named)}, and these are never the same partition"
