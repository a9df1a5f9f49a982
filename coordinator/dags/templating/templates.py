"""The environment of Jinja2 in which templates become text.

A template sees the values and nothing else: neither the clock nor the system, and nothing random. So the same
configuration gives the same bytes, anywhere.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.loaders import split_template_path
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_CHARACTERS: Final = 1_000_000
"""Of an output."""
MOST_POWER: Final = 1_000
"""The greatest exponent: Python computes ``10 ** 10 ** 10`` for hours, and no signal interrupts it."""

_UNDEFINED: Final = re.compile(r"'(\w+)' is undefined")
_NO_FILTER: Final = re.compile(r"No (filter|test) named '(\w+)'")
_BY_CHANCE: Final = ("random", "lipsum")
_ADDRESS: Final = re.compile(r"<[^<>\n]* at 0x[0-9a-f]+>")
"""How Python writes an object that has no form of its own: by its address in memory, each time another one."""


class TooLong(Exception):
    """The time limit of an entry has been reached. Its handler raises it."""


class BadTemplate(Exception):
    """A template cannot be rendered.

    :ivar line: of ``file``; 0: none in particular.
    :ivar missing: the template that does not exist; empty: it is something else.
    :ivar undefined: the value that does not exist; empty: it is something else.
    """

    def __init__(
        self, file: Path, line: int, reason: str, remedy: str, *, missing: str = "", undefined: str = ""
    ) -> None:
        super().__init__(reason)
        self.file, self.line, self.reason, self.remedy = file, line, reason, remedy
        self.missing, self.undefined = missing, undefined


class _Loader(FileSystemLoader):
    """Reads no file out of its directory, also where a link of the directory leads there."""

    def get_source(self, environment: Any, template: str) -> Any:
        """As Jinja2's own. :raises BadTemplate: a link leads out of the directory."""
        directory = Path(os.path.realpath(self.searchpath[0]))
        place = Path(os.path.realpath(directory.joinpath(*split_template_path(template))))
        if not place.is_relative_to(directory):
            file = Path(self.searchpath[0]) / template
            raise BadTemplate(file, 0, f"expected a template, found a link to {place}", "copy the file itself")
        return super().get_source(environment, template)


class _Sandbox(ImmutableSandboxedEnvironment):
    """As Jinja2's own, with a bound on powers."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if not isinstance(right, int | float) or abs(right) > MOST_POWER:
            raise SecurityError(f"expected an exponent of at most {MOST_POWER}")
        return super().call_binop(context, operator, left, right)


class Templates:
    """The templates of a directory.

    :param written: what an expression writes.
    :param filters: besides Jinja2's own.
    """

    def __init__(self, directory: Path, *, written: Any, filters: Mapping[str, Any]) -> None:
        self._directory = directory
        self._jinja = _Sandbox(
            loader=_Loader(directory, encoding="utf-8-sig"),
            undefined=StrictUndefined,
            finalize=written,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # the output is Python
        )
        for name in _BY_CHANCE:
            self._jinja.filters.pop(name, None)
            self._jinja.globals.pop(name, None)
        self._jinja.filters.update(filters)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """The text of a template, with one line end at its end. :raises BadTemplate: it cannot be rendered."""
        try:
            text = self._rendered(template, values)
            text.encode()
        except BadTemplate:
            raise
        except Exception as error:  # noqa: BLE001 - an expression can raise anything
            raise self._explained(template, error, values) from None
        if found := _ADDRESS.search(text):
            reason = f"expected a text, found an object: {found[0].partition(' at ')[0]}>"
            raise BadTemplate(
                self._directory / template, 0, reason, "make a list of it with 'list', or a text with 'join'"
            )
        return text.rstrip("\n") + "\n"

    def _rendered(self, template: str, values: Mapping[str, Any]) -> str:
        pieces, length = [], 0
        for piece in self._jinja.get_template(template).generate(dict(values)):
            pieces.append(piece)
            length += len(piece)
            if length > MOST_CHARACTERS:
                reason = f"the output has more than {MOST_CHARACTERS:,} characters"
                raise BadTemplate(self._directory / template, 0, reason, "look for a loop that does not end")
        return "".join(pieces)

    def check(self, template: str) -> None:
        """Read a template without rendering it. :raises BadTemplate: it is not there, or is wrong."""
        try:
            self._jinja.get_template(template)
        except Exception as error:  # noqa: BLE001 - see render
            raise self._explained(template, error, {}) from None

    def unused(self, template: str, names: Iterable[str]) -> list[str]:
        """Those of these values that the template does not use, nor one that it includes, extends or imports.

        Empty where it chooses one by a value: then nobody can tell.

        :raises BadTemplate: one of them is wrong, also where rendering has not come to it.
        """
        used: set[str] = set()
        seen: set[str] = set()
        waiting = [template]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            assert self._jinja.loader is not None
            try:
                source, _, _ = self._jinja.loader.get_source(self._jinja, name)
                tree = self._jinja.parse(source, name)
            except TemplateNotFound:
                continue  # rendering has not missed it
            except TemplateSyntaxError as error:
                error.filename = str(self._directory / name)
                raise self._explained(name, error, {}) from None
            used |= find_undeclared_variables(tree)
            for other in find_referenced_templates(tree):
                if other is None:
                    return []
                waiting.append(other)
        return sorted(set(names) - used)

    def _explained(self, template: str, error: Exception, values: Mapping[str, Any]) -> BadTemplate:
        file, line = self._place(template, error)
        match error:
            case TemplateNotFound():
                there, name = sorted(self._jinja.list_templates()), str(error.name)
                remedy = f"{_did_you_mean(name, there)}there are {', '.join(there[:20]) or 'none'}"
                return BadTemplate(file, line, f"no template {name} in {self._directory}", remedy, missing=name)
            case TemplateSyntaxError():
                return BadTemplate(file, line, f"{error.message}".rstrip("."), self._corrected(f"{error.message}"))
            case UndefinedError():
                found = _UNDEFINED.match(str(error))
                name = found[1] if found is not None else ""
                remedy = (
                    f"{_did_you_mean(name, values, 'else ')}add it to 'values' of the entry, the environment or the "
                    "file, or write default(...)"
                )
                return BadTemplate(file, line, str(error), remedy, undefined=name)
            case TooLong():
                return BadTemplate(file, line, str(error), "look for a loop that does not end")
            case MemoryError() | RecursionError():
                reason = f"{type(error).__name__}: the template takes too much memory, or calls itself without end"
                return BadTemplate(file, line, reason, "look for a text that grows, or for an include in a circle")
            case UnicodeDecodeError() | UnicodeEncodeError():
                return BadTemplate(file, line, f"not UTF-8 text: {error.reason}", "save it as UTF-8")
            case OSError():
                return BadTemplate(file, line, f"cannot be read: {error.strerror}", "make it readable")
            case _:
                return BadTemplate(file, line, f"{type(error).__name__}: {error}".rstrip("."), "correct the expression")

    def _place(self, template: str, error: Exception) -> tuple[Path, int]:
        """Where in the templates an error comes from: the innermost of them."""
        if isinstance(error, TemplateSyntaxError):
            return Path(error.filename or self._directory / template), error.lineno
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if self._is_ours(frame.filename)]
        return (Path(frames[-1].filename), frames[-1].lineno or 0) if frames else (self._directory / template, 0)

    def _is_ours(self, filename: str) -> bool:
        return Path(filename).is_relative_to(self._directory)

    def _corrected(self, message: str) -> str:
        found = _NO_FILTER.match(message)
        near = (
            _did_you_mean(found[2], self._jinja.filters if found[1] == "filter" else self._jinja.tests) if found else ""
        )
        return f"{near}correct the template"


def _did_you_mean(name: str, names: Iterable[str], otherwise: str = "") -> str:
    near = get_close_matches(name, list(names), n=1)
    return f"did you mean {near[0]}? {otherwise}" if near else ""
