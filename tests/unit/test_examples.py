"""The worked examples of ``docs/examples``: their files are good, and their pages show what ``explain`` says.

``make examples`` (``python -m tests.unit.test_examples --write``) puts into the pages what it says now.
"""

from __future__ import annotations

import json
import re
import sys

import pytest
import structlog
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from coordinator.model.documents import json_schema, parse_document
from tests.worlds.stories import EXAMPLES, STORIES, told

_EXPLAINED = re.compile(r"(?<=^```console\n)\$ coordinator explain\b.*?(?=^```$)", re.MULTILINE | re.DOTALL)
_JSON = re.compile(r"(?<=^```json\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (EXAMPLES / f"{name}.md").read_text(encoding="utf-8")


def file(name: str) -> str:
    return (EXAMPLES / f"{name}.json").read_text(encoding="utf-8")


def written(name: str) -> str:
    """The page with the example's file, and what the terminal shows when its story is played."""
    text, shown = page(name), iter(told(name))
    text = _EXPLAINED.sub(lambda _: next(shown, ""), text)
    left = list(shown)
    assert not left, f"{name}.md has no place for {left[0].splitlines()[0]}: put a console block with this command"
    return _JSON.sub(lambda _: file(name), text, count=1)


def test_every_example_has_a_file_a_page_and_a_story() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} == set(STORIES)
    assert {path.stem for path in EXAMPLES.glob("*.md")} == {*STORIES, "README"}


@pytest.mark.parametrize("name", STORIES)
def test_the_file_is_good_and_names_its_schema(name: str) -> None:
    assert parse_document(file(name), source=f"{name}.json", environments=["default", "team_b"])
    value = json.loads(file(name))
    Draft202012Validator(json_schema()).validate(value)
    assert json.loads((EXAMPLES / value["$schema"]).read_text(encoding="utf-8")) == json_schema()


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_the_page_shows_what_explain_says(name: str) -> None:
    assert page(name) == written(name), f"docs/examples/{name}.md is stale: make examples"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit("usage: python -m tests.unit.test_examples --write")
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for each in STORIES:
        (EXAMPLES / f"{each}.md").write_text(written(each), encoding="utf-8")
