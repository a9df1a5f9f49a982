"""What a deploy would change, and what is in its way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from coordinator.dags.deploying.planning import Action, make_plan
from coordinator.dags.deploying.records import Manifest, Writes, checked_path

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def manifest(**files: str) -> Manifest:
    return Manifest(files=files, by="me", at="now")


def begun(**files: list[str]) -> Writes:
    return Writes(files=files)


@pytest.mark.parametrize(
    ("source", "target", "deployed", "action"),
    [
        ({"x": A}, {}, None, Action.CREATE),
        ({"x": A}, {}, manifest(x=A), Action.CREATE),
        ({"x": B}, {"x": A}, manifest(x=A), Action.UPDATE),
        ({}, {"x": A}, manifest(x=A), Action.REMOVE),
        ({"x": A}, {"x": B}, None, Action.REFUSED),
        ({"x": A}, {"x": B}, manifest(x=C), Action.REFUSED),
        ({}, {"x": B}, manifest(x=C), Action.REFUSED),
        ({"x": A}, {"x": A}, None, None),
        ({"x": A}, {"x": A}, manifest(x=C), None),
        ({}, {}, manifest(x=C), None),
        ({}, {"x": None}, manifest(), None),
    ],
)
def test_a_file_is_written_or_removed_only_if_it_is_as_we_left_it(
    source: dict[str, str], target: dict[str, str | None], deployed: Manifest | None, action: Action | None
) -> None:
    plan = make_plan(source, target, deployed, None)
    assert [one.action for one in (*plan.changes, *plan.refused)] == ([action] if action is not None else [])
    assert plan.foreign == (("x",) if target.get("x", A) is None else ())
    assert all(one.reason and one.remedy for one in plan.refused)


def test_what_an_interrupted_deploy_wrote_is_ours() -> None:
    plan = make_plan({"x": C, "y": C}, {"x": B, "y": A}, manifest(x=A, y=A), begun(x=[A, B]))
    assert {one.path: one.action for one in plan.changes} == {"x": Action.UPDATE, "y": Action.UPDATE}
    plan = make_plan({}, {"new": B}, manifest(), begun(new=[B]))
    assert [one.action for one in plan.changes] == [Action.REMOVE]


def test_what_a_dag_needs_comes_before_it_and_removals_come_last() -> None:
    source = dict.fromkeys(("z.sql", "a.py", "lib/deep/b.py", "lib/c.py", ".airflowignore"), A)
    plan = make_plan(source, {"0.sql": B}, manifest(**{"0.sql": B}), None)
    assert [one.path for one in plan.changes] == [
        ".airflowignore",
        "z.sql",
        "lib/deep/b.py",
        "lib/c.py",
        "a.py",
        "0.sql",
    ]


DIGESTS = st.dictionaries(st.sampled_from("vwxyz"), st.sampled_from([A, B, C]))


@given(DIGESTS, DIGESTS, st.none() | DIGESTS.map(lambda files: manifest(**files)))
def test_what_is_not_as_we_left_it_is_never_touched(
    source: dict[str, str], target: dict[str, str], deployed: Manifest | None
) -> None:
    plan = make_plan(source, target, deployed, None)
    left = deployed.files if deployed is not None else {}
    for change in plan.changes:
        assert change.before is None or change.before == left[change.path]
    after = {**target, **{one.path: one.after for one in plan.changes}}
    for path, digest in source.items():
        assert after[path] == digest or path in {one.path for one in plan.refused}


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "a\\..\\x", "a\0", ".."])
def test_a_path_that_leads_out_of_the_target_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path below the target"):
        checked_path(path)
    with pytest.raises(ValidationError):
        manifest(**{path: A})
    assert Manifest.of(b'{"files": {"../x": "%s"}, "by": "", "at": ""}' % A.encode()) is None
