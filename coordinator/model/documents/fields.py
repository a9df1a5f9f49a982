"""What every object in the document needs: known fields only, each once, each of the right type.

A method that finds something wrong notes it and answers with what lets the reading go on, so that one pass
finds every problem.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from coordinator.model import bounds
from coordinator.model.assets.names import is_asset, is_of_assets, uri_of
from coordinator.model.documents.findings import Cursor, Findings, described, nearest
from coordinator.model.documents.forms import ELSEWHERE
from coordinator.model.documents.json_text import Members, NotJson
from coordinator.model.documents.problems import UNKNOWN_ENVIRONMENT
from coordinator.model.durations import parse_duration
from coordinator.model.partitions import time_zone
from coordinator.model.references import PipelineRef

LONGEST_REFERENCE = 2 * bounds.AIRFLOW_NAME + 1
"""Characters: an environment, a slash and a dag_id."""

Choice = TypeVar("Choice", bound=enum.StrEnum)
Meaning = TypeVar("Meaning")


class FieldReader:
    """Reads single fields.

    :param environments: the known environments; ``None``: any name will do.
    """

    def __init__(self, findings: Findings, environments: Collection[str] | None) -> None:
        self._findings = findings
        self._environments = environments

    def members(self, cursor: Cursor, expected: str) -> dict[str, Cursor]:
        """The members of an object. A key that is given twice is a problem: ``json`` would keep the last one."""
        if not isinstance(cursor.value, Members):
            self._findings.expected(cursor, expected)
            return {}
        members: dict[str, Cursor] = {}
        for member in cursor.members():
            first = members.setdefault(member.name, member)
            if first is not member:
                reason = f"the key {described(member.name)} is given twice"
                self._findings.add(member.at_key(), reason, "merge the two", first=first.at_key())
            if not member.name.isascii():
                self._is_unicode(member.name, member.at_key())
        return members

    def refuse_unknown(self, fields: Mapping[str, Cursor], *, known: Sequence[str], of: str = "") -> None:
        """Fields that nobody reads are mistakes.

        :param of: what the fields belong to, where that is not plain to see.
        """
        for name, cursor in fields.items():
            if name in known:
                continue
            if name in ELSEWHERE and not of:
                self._findings.add(cursor.at_key(), f"{name!r} {ELSEWHERE[name]}", "move it there")
            else:
                reason = f"unknown field {described(name)}{of and f' of {of}'}{nearest(name, known)}"
                self._findings.add(cursor.at_key(), reason, f"known are {', '.join(known)}")

    def require(self, cursor: Cursor, fields: Mapping[str, Cursor], required: Sequence[str]) -> bool:
        """Whether all required fields of an object are there."""
        missing = [name for name in required if name not in fields]
        for name in missing:
            self._findings.add(cursor, f"{name!r} is missing")
        return not missing

    def text(self, cursor: Cursor, expected: str) -> str | None:
        if isinstance(cursor.value, str):
            return cursor.value
        self._findings.expected(cursor, expected)
        return None

    def choice(self, cursor: Cursor | None, default: Choice) -> Choice:
        """One of a few words; an absent field means the default."""
        if cursor is None:
            return default
        words = {str(word): word for word in type(default)}
        found = self.one_of(cursor, words, shown=words)
        return default if found is None else found

    def one_of(self, cursor: Cursor, words: Mapping[str, Meaning], *, shown: Collection[str]) -> Meaning | None:
        """One of a few words, and what it means. ``shown``: the words to name in a message, without their synonyms."""
        word = cursor.value
        if isinstance(word, str) and word in words:
            return words[word]
        hint = nearest(word, list(words)) if isinstance(word, str) else ""
        self._findings.expected(cursor, " or ".join(map(repr, shown)), hint=hint)
        return None

    def characters(self, cursor: Cursor, expected: str, *, most: int) -> str | None:
        """A text that etcd can keep, of so many characters at most."""
        text = self.text(cursor, expected)
        if text is not None and len(text) > most:
            self._findings.add(cursor, f"expected {expected} of at most {most} characters; found {len(text)}")
            return None
        return text if text is not None and self._is_unicode(text, cursor) else None

    def name(self, cursor: Cursor, expected: str, *, most: int) -> str | None:
        """As :meth:`characters`, not empty, of visible characters and without blanks around."""
        text = self.characters(cursor, expected, most=most)
        if text is not None and not (text and text == text.strip() and text.isprintable()):
            self._findings.expected(cursor, expected)
            return None
        return text

    def whole_number(
        self, cursor: Cursor, expected: str = "a whole number", *, least: int | None = None, most: int | None = None
    ) -> int | None:
        number = cursor.value
        if not isinstance(number, int) or isinstance(number, bool):
            self._findings.expected(cursor, expected)
            return None
        if least is not None and number < least:
            self._findings.add(cursor, f"expected at least {least}; found {number}")
            return None
        if most is not None and number > most:
            self._findings.add(cursor, f"expected at most {most}; found {number}")
            return None
        return number

    def yes_or_no(self, cursor: Cursor | None, default: bool) -> bool:
        """``true`` or ``false``; an absent field means the default."""
        if cursor is None or isinstance(cursor.value, bool):
            return default if cursor is None else cursor.value is True
        self._findings.expected(cursor, "true or false")
        return default

    def duration(self, cursor: Cursor) -> timedelta | None:
        """A duration longer than nothing, such as ``36 hours``."""
        text = self.text(cursor, "a duration such as '36 hours'")
        if text is None:
            return None
        try:
            duration = parse_duration(text)
        except ValueError as error:
            self._findings.add(cursor, f"{error}; found {described(text)}")
            return None
        if not duration:
            self._findings.expected(cursor, "a duration longer than nothing")
            return None
        return duration

    def place(self, cursor: Cursor) -> str | None:
        """A place of the IANA time zone database."""
        name = self.characters(cursor, "a time zone", most=bounds.PATTERN)
        if name is None:
            return None
        try:
            time_zone(name)
        except ValueError as error:
            self._findings.add(cursor, str(error))
            return None
        return name

    def reference(self, text: str, cursor: Cursor) -> PipelineRef | None:
        """A pipeline, in a known environment."""
        if not self._is_unicode(text, cursor):
            return None
        if len(text) > LONGEST_REFERENCE:
            expected = f"expected a reference of at most {LONGEST_REFERENCE} characters"
            self._findings.add(cursor, f"{expected}; found {len(text)}")
            return None
        try:
            pipeline = PipelineRef.parse(text)
        except ValueError as error:
            self._findings.add(cursor, str(error))
            return None
        if pipeline.item or pipeline.is_rows:
            reason = f"{described(text)} names an item of {pipeline.fanned_out}, and no DAG"
            self._findings.add(cursor, reason, f"name {pipeline.fanned_out}")
            return None
        if is_of_assets(pipeline):
            reason = f"{described(text)} is no DAG: the coordinator calls asset events so"
            remedy = "say under 'assets', at the top, which of them are handed on"
            if is_asset(pipeline):
                remedy = f'write {{"asset": "{uri_of(pipeline)}", "environment": "{pipeline.environment}"}}'
            self._findings.add(cursor, reason, remedy)
            return None
        return pipeline if self.is_known(pipeline.environment, cursor) else None

    def environment(self, cursor: Cursor) -> str | None:
        """The name of a known environment."""
        name = self.name(cursor, "the name of an environment", most=bounds.AIRFLOW_NAME // 2)
        if name is None:
            return None
        if "/" in name:
            self._findings.expected(cursor, "the name of an environment, without '/'")
            return None
        return name if self.is_known(name, cursor) else None

    def is_known(self, environment: str, cursor: Cursor) -> bool:
        """Whether an environment is known; it is a problem if it is not."""
        if self._environments is None or environment in self._environments:
            return True
        known = sorted(self._environments)
        self._findings.add(
            cursor,
            f"{UNKNOWN_ENVIRONMENT} {described(environment)}{nearest(environment, known)}",
            f"configured are {', '.join(known)}" if known else "none is configured",
        )
        return False

    def plain(self, cursor: Cursor) -> Any:
        """Any JSON, as Python's plain values (the conf of a run)."""
        match cursor.value:
            case Members():
                return {name: self.plain(member) for name, member in self.members(cursor, "an object").items()}
            case list():
                return [self.plain(item) for item in cursor.items()]
            case str() as text:
                self._is_unicode(text, cursor)
                return text
            case NotJson(reason=reason):
                self._findings.add(cursor, f"{described(cursor.value)}: {reason}")
                return None
            case value:
                return value

    def _is_unicode(self, text: str, cursor: Cursor) -> bool:
        """JSON can spell half of a surrogate pair; UTF-8, and so etcd, cannot."""
        try:
            text.encode()
        except UnicodeEncodeError:
            self._findings.add(cursor, f"{described(text)} holds half a surrogate pair, which is no character")
            return False
        return True
