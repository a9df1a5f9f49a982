"""A conf is sent as it is written: what looks as if it were rendered is refused."""

from __future__ import annotations

import json
import time

import pytest

from coordinator.model import bounds
from coordinator.model.conf import conf_to_send, template_in
from coordinator.model.documents import DependenciesError, parse_document


def problems_of(conf: object, *, in_force: bool = False) -> list[str]:
    text = json.dumps({"D": {"upstream": "A", "conf": conf}})
    try:
        parse_document(text, source="x", in_force=in_force)
    except DependenciesError as error:
        return [f"{problem.path}: {problem.reason}; {problem.remedy}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("conf", "place", "found"),
    [
        ({"day": "{{ ds }}"}, "D.conf.day", "{{ ds }}"),
        ({"day": "from {{ds}} on"}, "D.conf.day", "{{ds}}"),
        ({"deep": [{"x": 1}, {"day": "{% if x %}{{ y }}"}]}, "D.conf.deep[1].day", "{% if x %}"),
        ({"{{ name }}": 1}, "D.conf['{{ name }}']", "{{ name }}"),
        ({"day": "{% raw %}{{ ds }}"}, "D.conf.day", "{% raw %}"),
        ({"day": "{% raw %}a{% endraw %}{{ ds }}"}, "D.conf.day", "{{ ds }}"),
    ],
)
def test_a_template_is_refused_where_it_stands_and_told_what_to_do(conf: object, place: str, found: str) -> None:
    (problem,) = problems_of(conf)
    assert problem.startswith(f"{place}: conf is sent as it is written, without rendering {found!r}; ")
    assert "dag_run.conf['coordinator']['partition']" in problem
    assert "between {% raw %} and {% endraw %}" in problem


def test_each_template_is_named_at_once() -> None:
    assert len(problems_of({"a": "{{ x }}", "b": ["{{ y }}", "{{ z }}"]})) == 3


@pytest.mark.parametrize("text", ["{% raw %}{{ ds }}{% endraw %}", "{{", "}} {{", '{"a": {"b": 1}}', "{ { x } }", "{%"])
def test_what_is_no_template_or_meant_as_it_is_is_taken(text: str) -> None:
    assert problems_of({"x": text}) == []


def test_a_document_in_force_is_not_put_out_of_force() -> None:
    assert problems_of({"day": "{{ ds }}"}, in_force=True) == []


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("plain {x}", "plain {x}"),
        ("{% raw %}{{ ds }}{% endraw %}", "{{ ds }}"),
        ("a {% raw %}{{{% endraw %} b {% raw %}}}{% endraw %} c", "a {{ b }} c"),
        ("{% raw %}never ended", "{% raw %}never ended"),
    ],
)
def test_the_marks_of_raw_blocks_are_not_sent(written: str, sent: str) -> None:
    assert conf_to_send({written: [written, {"x": written}], "n": 7}) == {sent: [sent, {"x": sent}], "n": 7}


@pytest.mark.parametrize("piece", ["{{", "{% raw %}", "{%", "{% raw %}{% endraw %}"])
def test_it_takes_no_longer_for_a_text_that_is_made_for_it(piece: str) -> None:
    begun = time.process_time()
    template_in(piece * (bounds.CONF // len(piece)))
    assert time.process_time() - begun < 1.0
