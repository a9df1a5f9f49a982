"""dependencies.json: every form is read, and every mistake is refused with its place and reason."""

from __future__ import annotations

import json
import pickle
from datetime import time, timedelta
from typing import Any

import pytest

from coordinator.model import bounds
from coordinator.model.conditions import AtLeast, Dependency, On, all_of, any_of
from coordinator.model.deadline import AfterFirstInput, Deadline, TimeOfDay
from coordinator.model.dependencies import Catchup, Document, Downstream, OnLate, Rerun, Settle
from coordinator.model.documents import DependenciesError, Problem, parse_document
from coordinator.model.partitions import Latest, Offset, Period, Rollup, Unit
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


def test_retries_and_timeouts_are_read() -> None:
    entry = {"upstream": "a", "retries": 2, "retry_delay": "5 minutes", "timeout": "2 hours"}
    (found,) = parse(json.dumps({"d": entry})).values()
    assert (found.retries, found.retry_delay, found.timeout) == (2, timedelta(minutes=5), timedelta(hours=2))
    (found,) = parse('{"d": {"upstream": "a", "retries": 0}}').values()
    assert (found.retries, found.retry_delay, found.timeout) == (0, timedelta(0), None)


@pytest.mark.parametrize(
    ("written", "path", "reason"),
    [
        ({"retries": -1}, "d.retries", "expected at least 0; found -1"),
        ({"retries": 101}, "d.retries", "expected at most 100; found 101"),
        ({"retries": 1.5}, "d.retries", "expected a whole number"),
        ({"retries": True}, "d.retries", "expected a whole number"),
        ({"retries": 1, "retry_delay": 5}, "d.retry_delay", "expected a duration"),
        ({"retries": 1, "retry_delay": "0 seconds"}, "d.retry_delay", "expected a duration longer than nothing"),
        ({"retry_delay": "1 hour"}, "d.retry_delay", "'retry_delay' without 'retries'"),
        ({"timeout": "soon"}, "d.timeout", "expected a duration"),
        ({"timeout": None}, "d.timeout", "expected a duration"),
        ({"retry": 1}, "d.retry", "unknown field 'retry' (did you mean 'retries'?)"),
    ],
)
def test_a_wrong_word_about_retries_is_refused(written: dict[str, Any], path: str, reason: str) -> None:
    problem = only_problem(json.dumps({"d": {"upstream": "a", **written}}))
    assert problem.path == path
    assert problem.reason.startswith(reason)


def test_what_waits_for_nothing_has_no_retries() -> None:
    found = problems('{"d": {"retries": 1, "timeout": "1 hour"}}')
    assert [one.path for one in found] == ["d", "d.retries", "d.timeout"]
    assert all("'upstream'" in one.reason for one in found)


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


@pytest.mark.promise("bad-file")
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
        ('{"a.b": ["c", " d"]}', 1, 15, "['a.b'][1]", "there are blanks around a name"),
        ('{"a ": "b"}', 1, 2, "['a ']", "there are blanks around a name"),
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
    ("text", "path", "reason"),
    [
        ('{"a": {"upstream": "b", "partition": "-1 day"}}', "a.partition", "'partition' belongs beside 'pipeline'"),
        ('{"a": {"upstream": "b", "max_age": "1 day"}}', "a.max_age", "'max_age' belongs beside 'pipeline'"),
        ('{"a": [{"pipeline": "b", "rerun": "hold"}]}', "a[0].rerun", "'rerun' belongs beside 'upstream'"),
        ('{"a": [{"pipeline": "b", "wait": 3}]}', "a[0].wait", "'wait' belongs beside 'mapper', under 'partition'"),
        ('{"a": {"upstream": {"all": ["b"], "on": "done"}}}', "a.upstream.on", "'on' belongs beside 'pipeline'"),
    ],
)
def test_a_field_in_the_wrong_place_is_shown_the_right_one(text: str, path: str, reason: str) -> None:
    problem = only_problem(text)
    assert problem.path == path
    assert reason in problem.reason


@pytest.mark.parametrize(
    ("written", "dependency"),
    [
        ({"partition": "-1 day"}, Dependency(ref("b"), mapping=Offset(-1, Unit.DAY))),
        (
            {"partition": {"mapper": "rollup", "window": "day"}, "on": "done"},
            Dependency(ref("b"), On.DONE, Rollup(Period.DAY, Period.HOUR)),
        ),
        ({"partition": "identity"}, Dependency(ref("b"))),
        (
            {"partition": "latest", "max_age": "36 hours"},
            Dependency(ref("b"), mapping=Latest(), max_age=timedelta(hours=36)),
        ),
        ({"trigger": True}, Dependency(ref("b"))),
    ],
)
def test_a_dependency_says_which_partitions_and_how_old(written: dict[str, Any], dependency: Dependency) -> None:
    assert parse(json.dumps({"a": [{"pipeline": "b", **written}]}))[ref("a")].condition == all_of(dependency)


@pytest.mark.parametrize(
    ("written", "path", "reason"),
    [
        ({"partition": "day"}, "a[0].partition", "expected a partition mapping; found 'day'"),
        ({"trigger": "no"}, "a[0].trigger", "expected true or false; found 'no'"),
        ({"max_age": 36}, "a[0].max_age", "expected a duration such as '36 hours'; found the number 36"),
        ({"max_age": "1d"}, "a[0].max_age", "expected a duration such as '36 hours'"),
        ({"max_age": "0 days"}, "a[0].max_age", "longer than nothing"),
        ({"max_age": "4000 days"}, "a[0].max_age", "at most 3660 days"),
    ],
)
def test_a_wrong_word_about_a_dependency_is_refused(written: dict[str, Any], path: str, reason: str) -> None:
    problem = only_problem(json.dumps({"a": [{"pipeline": "b", **written}]}))
    assert problem.path == path
    assert reason in problem.reason


def test_gates_need_a_dependency_that_triggers() -> None:
    gate = {"pipeline": "g", "trigger": False}
    document = parse(json.dumps({"a": ["b", gate]}))
    assert document[ref("a")].condition == all_of(needs("b"), Dependency(ref("g"), trigger=False))
    problem = only_problem(json.dumps({"a": {"upstream": {"any": [gate, [{**gate, "on": "done"}]]}}}))
    assert problem.path == "a.upstream"
    assert "nothing would ever start the pipeline" in problem.reason
    assert only_problem(json.dumps({"a": [gate]})).path == "a"


@pytest.mark.parametrize(
    ("written", "deadline"),
    [
        ("06:00", TimeOfDay(time(6))),
        ("23:59:30", TimeOfDay(time(23, 59, 30))),
        ({"at": "06:00"}, TimeOfDay(time(6))),
        ({"at": "06:00", "days": 1, "timezone": "Europe/Berlin"}, TimeOfDay(time(6), 1, "Europe/Berlin")),
        ("2 hours", AfterFirstInput(timedelta(hours=2))),
        ({"after": "1.5 hours"}, AfterFirstInput(timedelta(minutes=90))),
    ],
)
def test_a_deadline_is_a_time_of_day_or_a_duration(written: Any, deadline: Deadline) -> None:
    entry = parse(json.dumps({"a": {"upstream": "b", "deadline": written, "on_late": "skip"}}))[ref("a")]
    assert (entry.deadline, entry.on_late) == (deadline, OnLate.SKIP)


def test_an_entry_says_how_it_catches_up() -> None:
    entry = parse('{"a": {"upstream": "b", "rerun": "hold", "catchup": "latest", "max_in_flight": 3}}')[ref("a")]
    assert (entry.rerun, entry.catchup, entry.max_in_flight) == (Rerun.HOLD, Catchup.LATEST, 3)
    assert (entry.deadline, entry.on_late) == (None, OnLate.SHOW)


@pytest.mark.parametrize(
    ("written", "path", "reason"),
    [
        ({"catchup": False}, "a.catchup", "expected 'all' or 'latest' or 'none'; found false"),
        ({"catchup": "lastest"}, "a.catchup", "(did you mean 'latest'?)"),
        ({"max_in_flight": 0}, "a.max_in_flight", "expected at least 1; found 0"),
        ({"max_in_flight": True}, "a.max_in_flight", "expected a whole number; found true"),
        ({"max_in_flight": 1.5}, "a.max_in_flight", "expected a whole number; found the number 1.5"),
        ({"deadline": 6}, "a.deadline", "expected a deadline; found the number 6"),
        ({"deadline": "6:00"}, "a.deadline", "expected a time of day such as '06:00'; found '6:00'"),
        ({"deadline": "24:00"}, "a.deadline", "expected a time of day"),
        ({"deadline": "6"}, "a.deadline", "expected a duration"),
        ({"deadline": {}}, "a.deadline", "expected either 'at' or 'after'; found neither"),
        ({"deadline": {"at": "06:00", "after": "1 day"}}, "a.deadline", "found both"),
        ({"deadline": {"at": "06:00", "day": 1}}, "a.deadline.day", "of this deadline (did you mean 'days'?)"),
        ({"deadline": {"at": "06:00", "days": -1}}, "a.deadline.days", "expected at least 0; found -1"),
        ({"deadline": {"at": "06:00", "days": 400}}, "a.deadline.days", "expected at most 366; found 400"),
        ({"deadline": {"at": "06:00", "timezone": "Berlin"}}, "a.deadline.timezone", "found 'Berlin'"),
        ({"deadline": {"after": "06:00"}}, "a.deadline.after", "expected a duration"),
        ({"deadline": {"after": "1 day", "days": 1}}, "a.deadline.days", "unknown field 'days' of this deadline"),
        ({"on_late": "skip"}, "a.on_late", "'on_late' without a 'deadline'"),
        ({"deadline": "06:00", "on_late": "run"}, "a.on_late", "expected 'show' or 'fire' or 'skip'"),
    ],
)
def test_a_wrong_word_about_lateness_or_catching_up_is_refused(written: dict[str, Any], path: str, reason: str) -> None:
    problem = only_problem(json.dumps({"a": {"upstream": "b", **written}}))
    assert problem.path == path
    assert reason in problem.reason


@pytest.mark.promise("bad-file")
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("entry", "paths"),
    [
        ({"all": [1], "any": [2]}, ["a.upstream", "a.upstream.all[0]", "a.upstream.any[0]"]),
        ({"at_least": "two"}, ["a.upstream", "a.upstream.at_least"]),
        ({"at_least": "two", "of": [1]}, ["a.upstream.at_least", "a.upstream.of[0]"]),
    ],
)
def test_one_mistake_in_a_condition_hides_no_other(entry: Any, paths: list[str]) -> None:
    assert [problem.path for problem in problems(json.dumps({"a": {"upstream": entry}}))] == paths


def test_a_condition_in_the_wrong_place_is_read_all_the_same() -> None:
    entry = {"pipeline": "b", "on": "sucess", "partition": "start_of_dya", "rerun": "hold on"}
    found = [problem.path for problem in problems(json.dumps({"a": entry}))]
    assert found == ["a.pipeline", "a.on", "a.partition", "a.rerun"]


def test_the_message_names_file_place_reason_and_remedy_one_problem_a_line() -> None:
    with pytest.raises(DependenciesError) as caught:
        parse('{"a": [],\n "b": "b"}')
    assert str(caught.value).splitlines() == [
        "dependencies.json:1:7: a: empty list: nothing to wait for; name an upstream, or remove the entry",
        "dependencies.json:2:7: b: b depends on itself; remove it, or name an earlier partition",
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
    assert f"expected at most {bounds.DOCUMENT}" in only_problem(b" " * (bounds.DOCUMENT + 1)).reason


def test_places_count_characters_and_skip_what_strings_hold() -> None:
    problem = only_problem('{"ä\\"{[,:": "x", "日本": [ "y" , \t"z", {"pipeline": "w", "on": "nie"} ]}')
    assert problem.path == "日本[2].on"
    assert (
        problem.column
        == '{"ä\\"{[,:": "x", "日本": [ "y" , \t"z", {"pipeline": "w", "on": "nie"} ]}'.index('"nie"') + 1
    )
