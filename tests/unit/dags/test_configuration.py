"""dags.yaml: what it may say, and how every mistake is shown at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from coordinator.dags.configuration import Configuration, DagsConfigurationError, json_schema, read_configuration
from coordinator.dags.configuration.schema_of_forms import SHIPPED, written
from coordinator.dags.configuration.yaml_text import read_json, read_yaml
from tests.dags_project import CONFIGURATION


def read(directory: Path, text: str | bytes, name: str = "dags.yaml") -> Configuration:
    file = directory / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_configuration(file)


def refused(directory: Path, text: str | bytes, name: str = "dags.yaml") -> list[str]:
    """What is said, without the directory."""
    with pytest.raises(DagsConfigurationError) as caught:
        read(directory, text, name)
    return [line.removeprefix(f"{directory}/") for line in caught.value.lines]


def test_values_of_an_entry_in_an_environment_come_before_those_of_the_environment_and_of_the_file(
    tmp_path: Path,
) -> None:
    configuration = read(
        tmp_path,
        "name: x\nvalues: {a: 1, b: 1, c: 1, d: 1}\n"
        "environments: {dev: {values: {b: 2, c: 2, d: 2}}, prod: }\n"
        "dags: {one: {template: t, values: {c: 3, d: 3}, per_environment: {dev: {d: 4}}}}\n",
    )
    assert configuration.values_of("one", "dev") == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert configuration.values_of("one", "prod") == {"a": 1, "b": 1, "c": 3, "d": 3}


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    as_yaml = read(tmp_path, CONFIGURATION)
    as_json = json.dumps(as_yaml.model_dump(by_alias=True), indent="\t")
    assert read(tmp_path, as_json, "dags.json") == as_yaml


def test_windows_line_ends_and_a_byte_order_mark_make_no_difference(tmp_path: Path) -> None:
    windows = b"\xef\xbb\xbf" + CONFIGURATION.replace("\n", "\r\n").encode()
    assert read(tmp_path, windows) == read(tmp_path, CONFIGURATION)


def test_a_value_is_what_json_would_make_of_it() -> None:
    """YAML 1.1 made a boolean of no, a date of 2026-11-20 and 90 of 1:30."""
    text = "a: no\nb: 2026-11-20\nc: 1:30\nd: true\ne: 1e3\nf: ~\ng: '7'\nh: 010\ni: -.5\nj:\n"
    assert read_yaml(text).value == {
        "a": "no", "b": "2026-11-20", "c": "1:30", "d": True, "e": 1000.0, "f": None, "g": "7", "h": 10, "i": -0.5,
        "j": None,
    }  # fmt: skip


def test_anchors_are_read() -> None:
    assert read_yaml("a: &x {b: [1]}\nc: *x\n").value == {"a": {"b": [1]}, "c": {"b": [1]}}


LAUGHS = "b0: &b0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"b{at}: &b{at} [{','.join([f'*b{at - 1}'] * 10)}]\n" for at in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "dags.yaml:1: column 1: the file is empty; see docs/dags.md for an example"),
        ("# nothing\n", "dags.yaml:1: column 1: the file is empty; see docs/dags.md for an example"),
        ("a: &a [*a]", "dags.yaml:1: column 8: the alias *a stands within its own anchor; it would have no end"),
        ("a: &a {b: {c: *a}}", "dags.yaml:1: column 15: the alias *a stands within its own anchor; it would have"),
        (LAUGHS, "dags.yaml:6: column 38: more than 1,000,000 values, as aliases are expanded; use fewer aliases"),
        (
            f"a: &a '{'x' * 999_999}'\nb: [*a,*a,*a,*a,*a]",
            "dags.yaml:2: column 17: more than 5,000,000 characters, as aliases are expanded; use fewer aliases",
        ),
        (
            f"a: &a {{{'x' * 1000}: 1}}\nb: &b [{','.join(['*a'] * 100)}]\nc: [{','.join(['*b'] * 100)}]",
            "dags.yaml:3: column 149: more than 5,000,000 characters, as aliases are expanded; use fewer aliases",
        ),
        ("a: *b", "dags.yaml:1: column 4: no anchor &b stands before this alias; write the value itself"),
        ("[" * 100_000, "dags.yaml:1: column 52: nested deeper than 50 levels; write it flatter"),
        ("a: 1\nb: 2\na: 3", "dags.yaml:3: column 1: 'a' is given twice, first at 1:1; remove one of them"),
        ("!!python/object:os.system x", "dags.yaml:1: column 1: the tag tag:yaml.org,2002:python/object:os.system;"),
        ("a: 1\n---\nb: 2\n", "dags.yaml:2: column 1: a second document; write one document into a file"),
        ("<<: {a: 1}", "dags.yaml:1: column 1: a merge key (<<); YAML 1.2 has none"),
        ("? [a]\n: b", "dags.yaml:1: column 3: a key that is no text; write a text before the colon"),
        ("a: [1,\nb: {", "dags.yaml:3: column 1: not YAML: while parsing a flow node"),
        ("a: \x01", "dags.yaml:1: column 4: a character that YAML does not allow"),
        ("a: 1e999", "dags.yaml:1: column 4: the number 1e999; it is too great: write it as a text"),
        (b"a: 1\nb: \xff\n", "dags.yaml:2: not UTF-8 text; save it as UTF-8"),
        (b"a" * 5_000_001, "dags.yaml: more than 5,000,000 bytes; split it into several configurations"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_read_is_refused_at_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert refused(tmp_path, text)[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,}', "dags.json:1: column 9: not JSON: "),
        ('{"a": 1, "a": 2}', "dags.json:1: column 10: 'a' is given twice, first at 1:2"),
        ('{"a": "\\ud83d"}', "dags.json:1: column 10: not YAML: while parsing a quoted scalar"),
        ('{"a": ' + "9" * 5000 + "}", "dags.json:1: column 1: Exceeds the limit"),
        ("[" * 100_000, "dags.json:1: column 1: nested deeper than 50 levels"),
    ],
)
def test_json_that_cannot_be_read_is_refused_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert refused(tmp_path, text, "dags.json")[0].startswith(said)


def test_a_surrogate_pair_of_json_is_one_character() -> None:
    assert read_json('{"a":\t"\\ud83d\\uDE00 \\\\ud83d\\/"}').value == {"a": "\N{GRINNING FACE} \\ud83d/"}


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        DagsConfigurationError, match=r"cannot be read: No such file or directory; expected a dags\.yaml"
    ):
        read_configuration(tmp_path / "none.yaml")


HEAD = "name: x\nenvironments: {dev: , prod: }\n"


ENTRIES = {
    "a: {tmplate: t}": "entry a: template: it is missing",
    "a: {templat: t}": "entry a: templat: there is no such field; did you mean template?",
    "a: {template: ../secret}": "entry a: template: string should match",
    "a: {template: /etc/passwd}": "entry a: template: string should match",
    "a: {template: t, environments: []}": "entry a: environments: list should have at least 1 item",
    "a: {template: t, environments: [tst]}": "entry a: environments.0: no environment tst; there are dev, prod",
    "a: {template: t, environments: [dev, dev]}": "entry a: environments.1: dev is given twice",
    "a: {template: t, environments: [dev], per_environment: {prod: {}}}": (
        "entry a: per_environment.prod: prod does not have this DAG"
    ),
    "a: {template: t, values: {dag_id: x}}": "entry a: values.dag_id: dag_id is what every template is given",
    "a: {template: t}, A: {template: t}": "entry A: A and a differ in capitals only",
    "../x: {template: t}": "entry ../x: expected letters, digits",
    "a/b: {template: t}": "entry a/b: expected letters, digits",
    "..: {template: t}": "entry ..: expected letters, digits",
    "a..b: {template: t}": "entry a..b: expected letters, digits",
    ".a: {template: t}": "entry .a: expected letters, digits",
    '"a\\n": {template: t}': "entry a\n: expected letters, digits",
    '"e\\u0301": {template: t}': "entry e\u0301: expected letters, digits",
    f"{'a' * 241}: {{template: t}}": f"entry {'a' * 241}: expected at most 240 bytes",
}
FILES = {
    "name: x\ndags: {}\n": "1: environments: it is missing",
    f"{HEAD}dags: []\n": "3: dags: expected a mapping of names to values, found a list",
    f"{HEAD}values: {{environment: x}}\ndags: {{}}\n": "3: values.environment: environment is what every template",
    f"{HEAD}values: {{a-b: x}}\ndags: {{}}\n": "3: values.a-b: string should match",
    f"{HEAD}non_dag_folders: [../sql]\ndags: {{}}\n": "3: non_dag_folders.0: string should match",
    "name: x\nenvironments: {../dev: }\ndags: {}\n": "2: environments.../dev: string should match",
    "name: x\nenvironments: {dev: , Dev: }\ndags: {}\n": "2: environments.Dev: Dev and dev differ in capitals only",
    "name: x y\nenvironments: {dev: }\ndags: {}\n": "1: name: expected letters, digits",
}
MISTAKES = FILES | {f"{HEAD}dags:\n  {{ {text} }}\n": f"4: {said}" for text, said in ENTRIES.items()}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items())
def test_a_mistake_is_refused_at_its_line_and_entry(tmp_path: Path, text: str, said: str) -> None:
    assert any(line.startswith(f"dags.yaml:{said}") for line in refused(tmp_path, text)), refused(tmp_path, text)


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    entries = "".join(f"  d{at}: {{tmplate: t}}\n" for at in range(60))
    said = refused(tmp_path, f"{HEAD}dags:\n{entries}")
    assert len(said) == 51
    assert said[-1] == "and 70 more problems"


def test_a_dag_id_may_be_written_in_any_alphabet(tmp_path: Path) -> None:
    assert list(read(tmp_path, f"{HEAD}dags: {{Bestellungen_für_Köln: {{template: t}}}}\n").dags) == [
        "Bestellungen_für_Köln"
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(VALUES, st.booleans())
def test_all_of_json_is_read(value: Any, ascii_only: bool) -> None:
    assert read_json(json.dumps({"a": value}, ensure_ascii=ascii_only)).value == {"a": value}


VALIDATOR = Draft202012Validator(json_schema())


def test_the_shipped_schema_is_the_one_of_the_forms() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert SHIPPED.read_text(encoding="utf-8") == written(), "run `make schema`"


def test_the_schema_takes_what_the_reader_takes() -> None:
    assert VALIDATOR.is_valid(read_yaml(CONFIGURATION).value)
    assert VALIDATOR.is_valid({**read_yaml(CONFIGURATION).value, "$schema": "dags.schema.json"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"dags": {"a": {"tmplate": "t"}}},
        {"dags": {"../a": {"template": "t"}}},
        {"dags": {"a": {"template": "../t"}}},
        {"environments": {}},
        {"environments": {"../dev": None}},
        {"values": {"a-b": 1}},
        {"ignore_syntax": "regex"},
        {"names": "x"},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**read_yaml(CONFIGURATION).value, **wrong})
