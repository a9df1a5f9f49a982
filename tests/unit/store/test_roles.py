"""The roles are those that docs/security.md promises, and each name of an environment stays inside its own keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import ConfigurationError
from coordinator.model.printable import printable
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.store.keys import Keys
from coordinator.store.roles import Access, KeyRange, Role, is_enforced, operator, owner, reporter, roles_of, sensors

KEYS = Keys()
DOC = Path(__file__).parents[3] / "docs" / "security.md"
names = st.text(min_size=1).filter(lambda name: name.strip() and printable(name) == name)


def cell(role: Role, *accesses: Access) -> str:
    keys = sorted(str(one.keys).removeprefix(KEYS.root) for one in role.permissions if one.access in accesses)
    return ", ".join(f"`{key}`" for key in keys) or "nothing"


def test_the_table_of_the_documents_is_what_the_roles_are() -> None:
    section = DOC.read_text(encoding="utf-8").partition("### Who may do what\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    roles = roles_of(KEYS, reporters=["<environment>"], owners=["<owner>"], operators=["<environment>"])
    assert {row[0]: row[1:] for row in rows} == {
        role.name: (
            role.purpose,
            cell(role, Access.READ, Access.READ_WRITE),
            cell(role, Access.WRITE, Access.READ_WRITE),
        )
        for role in roles
    }


def covers(role: Role, key: str) -> bool:
    """Whether the role may write a key, by etcd's rule: an interval of bytes."""

    def within(keys: KeyRange) -> bool:
        first, end, wanted = keys.first.encode(), keys.end.encode(), key.encode()
        return first <= wanted < end if end else first == wanted

    return any(one.access is not Access.READ and within(one.keys) for one in role.permissions)


@pytest.mark.promise("roles")
@given(names, names, names, names)
def test_a_name_reaches_its_own_keys_and_no_others(environment: str, other: str, dag_id: str, partition: str) -> None:
    own, others = (Target(PipelineRef(name, dag_id), partition) for name in (environment, other))
    is_same = environment == other
    assert covers(reporter(KEYS, environment), KEYS.state(own))
    assert covers(reporter(KEYS, environment), KEYS.state(others)) is is_same
    assert covers(reporter(KEYS, environment), KEYS.reporter(environment, dag_id))
    assert covers(reporter(KEYS, environment), KEYS.reporter(other, dag_id)) is is_same
    assert covers(reporter(KEYS, environment), KEYS.reporter_seen(environment))
    assert covers(reporter(KEYS, environment), KEYS.reporter_seen(other)) is is_same
    assert covers(owner(KEYS, environment), KEYS.dependencies(environment))
    assert covers(owner(KEYS, environment), KEYS.dependencies(other)) is is_same
    for key in (KEYS.state, KEYS.order, KEYS.trigger):
        assert covers(operator(KEYS, environment), key(own))
        assert covers(operator(KEYS, environment), key(others)) is is_same
    assert covers(operator(KEYS, environment), KEYS.hold(others.pipeline)) is is_same
    waits = [KEYS.wait(WaitRef(target, "run", "sensor", -1)) for target in (own, others)]
    for role in (reporter(KEYS, environment), sensors(KEYS, environment)):
        assert [covers(role, key) for key in waits] == [True, is_same]
    assert not covers(sensors(KEYS, environment), KEYS.state(own))
    for role in (reporter(KEYS, environment), owner(KEYS, environment), operator(KEYS, environment)):
        assert not any(covers(role, key) for key in (KEYS.leader, KEYS.watcher("w")))
    for role in (reporter(KEYS, environment), owner(KEYS, environment)):
        assert not covers(role, KEYS.trigger(own))


@pytest.mark.parametrize("make", [reporter, sensors, owner, operator])
@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J"])
def test_a_name_that_is_none_or_cannot_be_shown_is_refused(make: type[Role], name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected its name"):
        make(KEYS, name)  # type: ignore[call-arg, arg-type]


@pytest.mark.promise("roles")
@pytest.mark.parametrize(
    ("version", "holds"),
    [
        ((3, 4, 44), False),
        ((3, 5, 1), False),
        ((3, 5, 32), False),
        ((3, 5, 33), False),
        ((3, 6, 0), False),
        ((3, 6, 13), False),
        ((3, 6, 14), True),
        ((3, 7, 0), False),
        ((3, 7, 1), True),
        ((3, 8, 0), True),
        ((4, 0, 0), True),
        ((), False),
    ],
)
def test_which_versions_keep_users_to_their_roles(version: tuple[int, ...], holds: bool) -> None:
    assert is_enforced(version) is holds
