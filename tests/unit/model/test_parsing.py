"""dependencies.json: every form is read, and every mistake is refused with its place and reason."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from coordinator.model.conditions import AtLeast, Dependency, On, all_of, any_of
from coordinator.model.dependencies import Document, Downstream, Rerun, Settle
from coordinator.model.parsing import MAX_BYTES, DependenciesError, Problem, parse_document
from coordinator.model.references import PipelineRef


def ref(text: str) -> PipelineRef:
    return PipelineRef.parse(text)


def needs(text: str, on: On = On.SUCCESS) -> Dependency:
    return Dependency(ref(text), on)


def parse(text: bytes | str, **options: Any) -> Document:
    return parse_document(text, source="dependencies.json", **options)


def problems(text: bytes | str, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(DependenciesError) as caught:
        parse(text, **options)
    assert caught.value.problems
    return caught.value.problems


def only_problem(text: bytes | str, **options: Any) -> Problem:
    (problem,) = problems(text, **options)
    return problem


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ('"parent"', needs("parent")),
        ('"team_b/parent"', needs("team_b/parent")),
        ('["one", "team_b/two"]', all_of(needs("one"), needs("team_b/two"))),
        ('["one", {"pipeline": "two", "on": "done"}]', all_of(needs("one"), needs("two", On.DONE))),
        ('{"upstream": "one"}', needs("one")),
        ('{"upstream": {"pipeline": "one"}}', needs("one")),
        ('{"upstream": {"pipeline": "one", "on": "failure"}}', needs("one", On.FAILURE)),
        ('{"upstream": {"all": ["one", "two"]}}', all_of(needs("one"), needs("two"))),
        ('{"upstream": {"any": ["one", "two"]}}', any_of(needs("one"), needs("two"))),
        ('{"upstream": {"at_least": 2, "of": ["a", "b", "c"]}}', AtLeast(2, (needs("a"), needs("b"), needs("c")))),
        (
            '{"upstream": {"any": [["a", "b"], {"all": [{"any": ["c", "a"]}, "d"]}]}}',
            any_of(all_of(needs("a"), needs("b")), all_of(any_of(needs("c"), needs("a")), needs("d"))),
        ),
    ],
)
def test_every_form_of_a_condition_is_read(written: str, condition: object) -> None:
    assert parse(f'{{"child": {written}}}') == {ref("child"): Downstream(ref("child"), condition)}  # type: ignore[arg-type]


def test_an_entry_carries_its_policies_and_conf() -> None:
    entry = {"upstream": "a", "rerun": "clear", "settle": "direct", "conf": {"deep": [1, {"x": None}], "f": 1.5}}
    document = parse(json.dumps({"team_b/child": entry}))
    assert document == {
        ref("team_b/child"): Downstream(
            ref("team_b/child"),
            needs("a"),
            rerun=Rerun.CLEAR,
            settle=Settle.DIRECT,
            conf={"deep": [1, {"x": None}], "f": 1.5},
        )
    }


def test_the_playgrounds_file_is_read_unchanged() -> None:
    document = parse('{"02": "01", "03": "01", "06": ["02", "03"], "07": "06"}')
    assert document[ref("06")].condition == all_of(needs("02"), needs("03"))
    assert list(document) == [ref("02"), ref("03"), ref("06"), ref("07")]


def test_a_schema_key_names_no_pipeline() -> None:
    assert parse('{"$schema": "https://example.org/s.json", "a": "b"}') == parse('{"a": "b"}')


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse(b'\xef\xbb\xbf{"a": "b"}') == parse('\ufeff{"a": "b"}') == parse('{"a": "b"}')


def test_no_dependencies_at_all_is_a_document() -> None:
    assert parse("{}") == {}


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "reason"),
    [
        ("", 1, 1, "", "the file is empty"),
        ('{\n  "a": "b",\n}', 2, 11, "", "trailing comma before '}'"),
        ('{"a": ["b", ]}', 1, 11, "", "trailing comma before ']'"),
        ('{"a": "b"\n"c": "d"}', 2, 1, "", "not JSON"),
        ('{"a": "b"', 1, 10, "", "found the end of the file"),
        ('{"a": "b"} // why', 1, 12, "", "a comment"),
        ("{'a': 'b'}", 1, 2, "", "single quotes"),
        ('{"a": "b\n"}', 1, 9, "", "not JSON"),
        ("[" * 100_000, 1, 65, "", "nested deeper than 64 levels"),
        ('{"a":' * 100_000, 1, 64 * 5 + 1, "", "nested deeper than 64 levels"),
        (b'{"a": "b",\n "\xc3\xa4\xff": "b"}', 2, 4, "", "not UTF-8: byte 0xff"),
        (b'\xef\xbb\xbf\n{"\xff', 2, 3, "", "not UTF-8: byte 0xff"),
        ('["a"]', 1, 1, "", "expected an object"),
        ('{"a": "b", "a": "c"}', 1, 12, "a", "the key 'a' is given twice (first on line 1)"),
        ('{"a": "b",\n "default/a": "c"}', 2, 2, "default/a", "'default/a' and 'a' are one pipeline (first on line 1)"),
        ('{"a": {"upstream": "b", "upstream": "c"}}', 1, 25, "a.upstream", "given twice"),
        ('{"a": {"upstream": "b", "conf": {"x": {"y": 1, "y": 2}}}}', 1, 48, "a.conf.x.y", "given twice"),
        ('{"a": ["b", "default/b"]}', 1, 13, "a[1]", "b is listed twice (first on line 1)"),
        ('{"a": {"upstream": {"any": [["b", "c"], ["b", "c"]]}}}', 1, 41, "a.upstream.any[1]", "listed twice"),
        ('{"a": null}', 1, 7, "a", "found null"),
        ('{"a": 7}', 1, 7, "a", "found the number 7"),
        ('{"a": ["b", true]}', 1, 13, "a[1]", "found true"),
        ('{"a": NaN}', 1, 7, "a", "found NaN"),
        ('{"a": {"upstream": "b", "conf": {"x": -Infinity}}}', 1, 39, "a.conf.x", "-Infinity: JSON knows finite"),
        ('{"a": {"upstream": "b", "conf": {"x": 1e999}}}', 1, 39, "a.conf.x", "1e999: JSON knows finite"),
        ('{"a": {"upstream": "b", "conf": {"x": %s}}}' % ("9" * 5000), 1, 39, "a.conf.x", "at most 300 digits"),
        ('{"a": {"upstream": "b", "conf": []}}', 1, 33, "a.conf", "expected an object; found a list"),
        (
            '{"a": {"upstream": "b", "conf": {"coordinator": 1}}}',
            1,
            34,
            "a.conf.coordinator",
            "coordinator's own place",
        ),
        ('{"a": {"upstream": "b", "conf": {"x": "\\ud800"}}}', 1, 39, "a.conf.x", "half a surrogate pair"),
        ('{"a": []}', 1, 7, "a", "empty list"),
        ('{"a": {"upstream": {"any": []}}}', 1, 28, "a.upstream.any", "empty list"),
        ('{"a": {"upstream": {"any": "b"}}}', 1, 28, "a.upstream.any", "expected a list"),
        ('{"a": {"upstream": {"at_least": 0, "of": ["b"]}}}', 1, 33, "a.upstream.at_least", "expected 1 to 1"),
        ('{"a": {"upstream": {"at_least": 3, "of": ["b", "c"]}}}', 1, 33, "a.upstream.at_least", "expected 1 to 2"),
        (
            '{"a": {"upstream": {"at_least": true, "of": ["b"]}}}',
            1,
            33,
            "a.upstream.at_least",
            "expected a whole number",
        ),
        (
            '{"a": {"upstream": {"at_least": 1.0, "of": ["b"]}}}',
            1,
            33,
            "a.upstream.at_least",
            "expected a whole number",
        ),
        ('{"a": {"upstream": {"at_least": 1}}}', 1, 20, "a.upstream", "'of' is missing"),
        ('{"a": {"upstream": {"all": ["b"], "any": ["c"]}}}', 1, 20, "a.upstream", "'all' and 'any' in one object"),
        ('{"a": {"upstream": {}}}', 1, 20, "a.upstream", "found none of them"),
        ('{"a": {"any": ["b"]}}', 1, 8, "a.any", "a condition under 'upstream'"),
        ('{"a": {"conf": {}}}', 1, 7, "a", "'upstream' is missing"),
        ('{"a": {"upstream": "b", "setle": "wave"}}', 1, 25, "a.setle", "did you mean 'settle'?"),
        ('{"a": [{"pipeline": "b", "state": "done"}]}', 1, 26, "a[0].state", "unknown field 'state'"),
        ('{"a": [{"pipeline": "b", "on": "succes"}]}', 1, 32, "a[0].on", "did you mean 'success'?"),
        ('{"a": [{"pipeline": ["b"]}]}', 1, 21, "a[0].pipeline", "expected a pipeline reference; found a list"),
        ('{"a": {"upstream": "b", "settle": 1}}', 1, 35, "a.settle", "expected 'wave' or 'direct'"),
        ('{"a": "team_b/"}', 1, 7, "a", "not a pipeline reference"),
        ('{"": "b"}', 1, 2, "['']", "not a pipeline reference"),
        ('{"a.b": ["c", " d"]}', 1, 15, "['a.b'][1]", "not a pipeline reference"),
        ('{"a": "default/a"}', 1, 7, "a", "a depends on itself"),
        ('{"$schema": 1}', 1, 13, "$schema", "expected the address of a JSON Schema"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_reason(
    text: bytes | str, line: int, column: int, path: str, reason: str
) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.column, problem.path) == (line, column, path)
    assert reason in str(problem)


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ('{"a": {"upstream": "b", "deadline": "1h"}}', "a.deadline", "deadline"),
        ('{"a": {"upstream": "b", "catchup": false}}', "a.catchup", "catchup"),
        ('{"a": [{"pipeline": "b", "partition": {"map": "day"}}]}', "a[0].partition", "partition"),
        ('{"a": [{"pipeline": "b", "trigger": false}]}', "a[0].trigger", "trigger"),
        ('{"a": [{"pipeline": "b", "max_age": "1d"}]}', "a[0].max_age", "max_age"),
    ],
)
def test_what_this_version_does_not_know_yet_is_refused_by_name(text: str, path: str, name: str) -> None:
    problem = only_problem(text)
    assert problem.path == path
    assert f"{name!r} is not supported yet" in problem.reason


def test_a_cycle_is_shown_whole_and_at_the_dependency_that_closes_it() -> None:
    problem = only_problem('{"b": "a",\n "c": ["x", "b"],\n "a": ["y", "c"]}')
    assert "a -> b -> c -> a" in problem.reason
    assert (problem.line, problem.column, problem.path) == (3, 13, "a[1]")


def test_two_cycles_are_two_problems() -> None:
    found = problems('{"a": "b", "b": "a", "team_b/x": "team_b/y", "team_b/y": ["team_b/x", "a"]}')
    assert [problem.reason for problem in found] == [
        "closes a cycle: b -> a -> b",
        "closes a cycle: team_b/y -> team_b/x -> team_b/y",
    ]


def test_a_cycle_is_found_beside_an_entry_that_cannot_be_read() -> None:
    reasons = " ".join(problem.reason for problem in problems('{"a": ["b", 3], "b": "a"}'))
    assert "b -> a -> b" in reasons
    assert "found the number 3" in reasons


def test_a_long_chain_is_no_cycle_and_no_recursion() -> None:
    chain = {f"p{i}": f"p{i - 1}" for i in range(1, 20_000)}
    assert len(parse(json.dumps(chain))) == 19_999
    chain["p0"] = "p19999"
    chain["p19999"] = "p19998"
    assert "closes a cycle: p0 -> p1 -> p2" in only_problem(json.dumps(chain)).reason


def test_an_unknown_environment_is_refused_wherever_it_stands() -> None:
    found = problems('{"team_c/a": "b", "d": [{"pipeline": "tem_b/x"}]}', environments={"default", "team_b"})
    assert [(problem.path, problem.reason) for problem in found] == [
        ("team_c/a", "unknown environment 'team_c' (did you mean 'team_b'?)"),
        ("d[0].pipeline", "unknown environment 'tem_b' (did you mean 'team_b'?)"),
    ]
    assert "configured are default, team_b" in found[0].remedy


def test_any_environment_will_do_when_none_are_given() -> None:
    assert ref("team_c/a") in parse('{"team_c/a": "b"}')


def test_all_problems_are_reported_at_once_in_the_order_of_the_text() -> None:
    text = """{
      "a": ["b", 1],
      "c": {"upstream": "c", "rerun": "held", "nonsense": 1},
      "d": "e", "e": "d"
    }"""
    found = problems(text)
    assert [problem.line for problem in found] == [2, 3, 3, 3, 4]
    assert [problem.path for problem in found] == ["a[1]", "c.upstream", "c.rerun", "c.nonsense", "e"]


def test_the_message_names_file_place_reason_and_remedy_one_problem_a_line() -> None:
    with pytest.raises(DependenciesError) as caught:
        parse('{"a": [],\n "b": "b"}')
    assert str(caught.value).splitlines() == [
        "dependencies.json:1:7: a: empty list: nothing to wait for; name an upstream, or remove the entry",
        "dependencies.json:2:7: b: b depends on itself; remove it",
    ]


def test_a_message_stays_readable_with_very_many_problems() -> None:
    with pytest.raises(DependenciesError) as caught:
        parse(json.dumps({f"p{i}": [] for i in range(1000)}))
    assert len(caught.value.problems) == 1000
    assert str(caught.value).splitlines()[-1] == "dependencies.json: and 950 more problems"


def test_the_error_survives_a_process_border() -> None:
    with pytest.raises(DependenciesError) as caught:
        parse('{"a": []}')
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.problems == caught.value.problems
    assert str(copy) == str(caught.value)


def test_a_file_too_large_is_refused_before_it_is_read() -> None:
    assert f"expected at most {MAX_BYTES}" in only_problem(b" " * (MAX_BYTES + 1)).reason


def test_places_count_characters_and_skip_what_strings_hold() -> None:
    problem = only_problem('{"ä\\"{[,:": "x", "日本": [ "y" , \t"z", {"pipeline": "w", "on": "nie"} ]}')
    assert problem.path == "日本[2].on"
    assert (
        problem.column
        == '{"ä\\"{[,:": "x", "日本": [ "y" , \t"z", {"pipeline": "w", "on": "nie"} ]}'.index('"nie"') + 1
    )
