"""Reporting a run state: idempotent, and an older report never replaces a newer one
(docs/architecture.md#which-of-two-reports-counts).

:func:`write_report` is for code that has a store already (the sender, the command line). :func:`report` is for all
other programs: it reads the settings and connects by itself.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import tenacity
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.model import bounds
from coordinator.model.assets.names import is_of_assets
from coordinator.model.printable import printable
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import (
    InvalidReport,
    RunStateDocument,
    State,
    Unreadable,
    Verdict,
    earlier_attempts,
    evaluate_report,
    read_run_state,
)
from coordinator.store.keys import Keys
from coordinator.store.of_process import store_of_this_process
from coordinator.store.port import KeyValue, ModRevisionIs, Put, Store, StoreUnavailable, Transaction

log = logging.getLogger(__name__)
"""A logger of the standard library, never above ``info``: the reporting program decides what is printed, and where."""

WITHIN = 10.0
"""Seconds for which a report is retried while etcd cannot be reached."""

_LOST_RACES = 50
"""Attempts that another report may overtake; so many in a row mean that something else is wrong."""


def write_report(
    store: Store, keys: Keys, target: Target, document: RunStateDocument, *, within: float = WITHIN
) -> Verdict:
    """Write a run state, if it is news.

    If the answer to a write is lost, the write is recognised in etcd, and not repeated.

    :param within: seconds to retry while etcd cannot be reached; a request that is under way then may take
        ``etcd.timeout`` longer.
    :returns: ``NEW``: written. ``REPEAT``, ``OUTDATED``: there was nothing to write, which is no error.
    :raises InvalidReport: readers could not read it.
    :raises StoreUnavailable: etcd could not be reached in time; reporting it again later is safe.
    """
    writing = _Writing(store, keys.state(target), _checked_value(target, document), document)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(StoreUnavailable),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
        stop=tenacity.stop_before_delay(within),
        before_sleep=lambda attempt: log.log(
            logging.INFO if attempt.attempt_number == 1 else logging.DEBUG,
            "report.not_written_yet: %s: %s",
            target,
            attempt.outcome and attempt.outcome.exception(),
        ),
        reraise=True,
    )
    verdict: Verdict = retrying(writing.attempt)
    return verdict


def _checked_value(target: Target, document: RunStateDocument) -> bytes:
    names = {
        "environment": target.pipeline.environment,
        "pipeline": target.pipeline.dag_id,
        "partition": target.partition,
    }
    for what, name in names.items():
        if not 0 < len(name) <= bounds.NAME:
            found = f"one of {len(name)} characters" if name else "none"
            raise InvalidReport(f"a report names its {what} in 1 to {bounds.NAME} characters; found {found}")
    if is_of_assets(target.pipeline):
        raise InvalidReport(f"{target.pipeline} has no runs to report: the coordinator calls asset events so")
    try:
        str(target).encode()
        value = document.to_value()
    except ValueError as error:  # half of a surrogate pair, which no UTF-8 can hold
        raise InvalidReport(f"the report on {target} cannot be written down: {error}") from error
    read_back = read_run_state(value)
    if isinstance(read_back, Unreadable):
        raise InvalidReport(f"the report on {target} could not be read back: {read_back.reason}")
    return value


class _Writing:
    """One report: the state between one attempt to write it and the next."""

    def __init__(self, store: Store, key: str, value: bytes, document: RunStateDocument) -> None:
        self._store = store
        self._key = key
        self._value = value
        self._document = document
        self._report = document.to_run_state()
        self._sent_over: int | None = None
        """The revision that we have tried to replace, if the outcome of that is unknown."""

    def attempt(self) -> Verdict:
        present = self._store.get(self._key)
        for _ in range(_LOST_RACES):
            if self._is_ours(present):
                return Verdict.NEW
            known = None if present is None else read_run_state(present.value)
            verdict = evaluate_report(known, self._report)
            if verdict is not Verdict.NEW:
                return verdict
            if earlier_attempts(known, self._report.attempt):
                self._value = self._document.after(known).to_value()
            base = 0 if present is None else present.mod_revision
            self._sent_over = base
            answer = self._store.commit(
                Transaction((ModRevisionIs(self._key, base),), (Put(self._key, self._value),), otherwise=(self._key,))
            )
            if answer.succeeded:
                return Verdict.NEW
            present = answer.found[0]
        raise StoreUnavailable(
            f"{self._key}: {_LOST_RACES} other writers in a row came first; expected one or two, find out who writes"
        )

    def _is_ours(self, present: KeyValue | None) -> bool:
        """Whether the present value was written by an attempt of ours whose answer was lost.

        A bare word has no attempt to recognise it by: put again it would be another completion.
        """
        return (
            present is not None
            and self._sent_over is not None
            and present.mod_revision > self._sent_over
            and present.value == self._value
        )


def report(
    pipeline: str | PipelineRef,
    state: str | State,
    *,
    partition: str,
    run_id: str | None = None,
    queued_at: datetime | str | None = None,
    attempt: int | None = None,
    settings: Settings | str | Path | None = None,
    within: float = WITHIN,
    **details: Any,
) -> Verdict:
    """Report the state of a run to the coordinator.

    :param pipeline: ``environment/dag_id``, or ``dag_id`` in the environment ``default``.
    :param state: ``queued``, ``running``, ``success`` or ``failed``.
    :param partition: the piece of data that the run is about.
    :param run_id: with ``queued_at`` or ``attempt`` it identifies the attempt. Without, every report is a completion.
    :param queued_at: when this attempt was queued; it changes with every clear.
    :param attempt: a number that grows with every attempt, for runs without a queued_at.
    :param settings: the settings, or their file; by default as ``load_settings()`` finds them.
    :param within: seconds to retry while etcd cannot be reached.
    :param details: other fields of a run state (``end_date``, ``note``, ...); unknown ones are kept.
    :raises InvalidReport: a value in it is invalid.
    :raises ConfigurationError: the settings are wrong.
    :raises StoreUnavailable: etcd could not be reached in time.
    """
    document = make_document(state, run_id=run_id, queued_at=queued_at, attempt=attempt, **details)
    if not partition:
        raise InvalidReport("the partition is empty; expected the piece of data that the run is about")
    try:
        target = Target(pipeline if isinstance(pipeline, PipelineRef) else PipelineRef.parse(pipeline), partition)
    except ValueError as error:
        raise InvalidReport(str(error)) from error
    loaded = settings if isinstance(settings, Settings) else load_settings(settings)
    return write_report(store_of_this_process(loaded.etcd), Keys(loaded.etcd.prefix), target, document, within=within)


def make_document(state: str | State, **fields: Any) -> RunStateDocument:
    """Check the fields of a report. :raises InvalidReport: names the field and what was expected."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return RunStateDocument.model_validate({"state": state, **given})
    except ValidationError as error:
        problems = "; ".join(map(_in_words, error.errors(include_url=False)))
        raise InvalidReport(f"not a run state: {problems}") from error


def _in_words(problem: ErrorDetails) -> str:
    place, reason = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}; found {printable(repr(problem['input']), limit=bounds.PATTERN)}"
