"""From a file to a checked configuration."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from coordinator.dags.configuration.consistency import misfits
from coordinator.dags.configuration.forms import Configuration, DagEntry, Environment
from coordinator.dags.configuration.sound_part import Sound, sound_part
from coordinator.dags.configuration.yaml_text import MOST_BYTES, Place, Read, TextError, read_json, read_yaml
from coordinator.dags.configuration.yaml_text import Path as ValuePath
from coordinator.dags.finding import Finding
from coordinator.errors import ConfigurationError

_RULE: Final = "configuration"
_SEE: Final = "docs/dags.md#the-configuration lists what there is"
_FIELDS: Final = {*Configuration.model_fields, *DagEntry.model_fields, *Environment.model_fields}
_MOST_FINDINGS: Final = 50
_WORDS: Final = {
    "missing": "it is missing",
    "model_type": "expected a mapping",
    "dict_type": "expected a mapping of names to values",
    "list_type": "expected a list",
    "string_type": "expected a text",
}
"""For what pydantic says in the words of Python."""
_KINDS: Final = {str: "a text", list: "a list", type(None): "nothing"}
"""For a file that is no configuration, such as one that a link leads to: it may be a secret, and is not shown."""


class DagsConfigurationError(ConfigurationError):
    """A dags.yaml cannot be used. :ivar findings: everything that is wrong with it, in the order of the text."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        lines = [str(finding) for finding in self.findings[:_MOST_FINDINGS]]
        if more := len(self.findings) - _MOST_FINDINGS:
            lines += [f"and {more} more problems"] if more > 0 else []
        super().__init__(*lines)


@dataclass(frozen=True, slots=True)
class Examined:
    """What a dags.yaml says, as far as it is sound.

    :ivar sound: ``None``: nothing of it can be used.
    :ivar findings: everything that is wrong with it, in the order of the text.
    :ivar places: of each value, by its path.
    """

    sound: Sound | None
    findings: tuple[Finding, ...]
    places: Mapping[ValuePath, Place] = field(default_factory=dict, repr=False)


def read_configuration(file: Path) -> Configuration:
    """Read a dags.yaml, or the same as JSON where the name ends with ``.json``.

    :raises DagsConfigurationError: it cannot be read, or is wrong.
    """
    examined = examine(file)
    if examined.findings or examined.sound is None:
        raise DagsConfigurationError(examined.findings)
    return examined.sound.configuration


def examine(file: Path) -> Examined:
    """Read a dags.yaml, and go on with what is sound of it where something is wrong."""
    try:
        read = _read(file)
    except DagsConfigurationError as error:
        return Examined(None, error.findings)
    findings = []
    try:
        sound: Sound | None = Sound(Configuration.model_validate(read.value))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        findings = [_explained(file, read, one) for one in errors]
        sound = sound_part(read.value, errors)
    if sound is not None:
        found = list(misfits(sound.configuration))
        findings += [_at(file, read, one.path, one.reason, one.remedy) for one in found]
        sound = sound.without({str(one.path[1]) for one in found if one.path[0] == "dags"})
    return Examined(sound, tuple(sorted(set(findings))), read.places)


def _read(file: Path) -> Read:
    """:raises DagsConfigurationError: it is neither YAML nor JSON."""
    text = _text_of(file)
    try:
        return (read_json if file.suffix.lower() == ".json" else read_yaml)(text)
    except TextError as error:
        line, column = error.place
        reason = f"column {column}: {error.reason}"
        raise DagsConfigurationError([Finding(str(file), line, _RULE, reason, error.remedy)]) from None


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise DagsConfigurationError(
            [Finding(str(file), 0, _RULE, f"cannot be read: {error.strerror}", "expected a dags.yaml: docs/dags.md")]
        ) from None
    if len(content) > MOST_BYTES:
        raise DagsConfigurationError(
            [Finding(str(file), 0, _RULE, f"more than {MOST_BYTES:,} bytes", "split it into several configurations")]
        )
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DagsConfigurationError([Finding(str(file), line, _RULE, "not UTF-8 text", "save it as UTF-8")]) from None


def _explained(file: Path, read: Read, error: Any) -> Finding:
    path = tuple(one for one in error["loc"] if one != "[key]")
    if error["type"] == "extra_forbidden":
        near = get_close_matches(str(path[-1]), _FIELDS, n=1)
        remedy = f"did you mean {near[0]}? " if near else ""
        return _at(file, read, path, "there is no such field", remedy + _SEE)
    said: str = _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    if error["type"] != "missing":
        said += f", found {_shortly(error['input']) if path else _KINDS.get(type(error['input']), 'a value')}"
    return _at(file, read, path, said[:1].lower() + said[1:], _SEE)


def _shortly(found: object) -> str:
    match found:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            return repr(found)[:100]


def _at(file: Path, read: Read, path: tuple[Any, ...], reason: str, remedy: str) -> Finding:
    line, _ = next(_places(read, path))
    entry = str(path[1]) if len(path) > 1 and path[0] == "dags" else ""
    where = ".".join(str(one) for one in (path[2:] if entry else path))
    return Finding(str(file), line, _RULE, f"{where}: {reason}" if where else reason, remedy, entry)


def _places(read: Read, path: tuple[Any, ...]) -> Iterator[Place]:
    """The place of a path, and those of what it is in: pydantic names parts that stand in no text."""
    for length in range(len(path), -1, -1):
        if path[:length] in read.places:
            yield read.places[path[:length]]
