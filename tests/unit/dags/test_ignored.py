"""``.airflowignore`` is read as Airflow reads it."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.dags import ignore_child, ignored
from coordinator.dags.ignored import IgnoreSyntax, files_below, ignore_file
from coordinator.errors import ConfigurationError

FILES = ("a.py", "sql/a.py", "sql/deep/a.py", "mysql/a.py", "deep/sql/a.py", "deep/b.py", "s.ql/a.py", "sXql/a.py")
PATTERNS = ("sql", "sql/", "/sql/", "sql/*", "*.py", "!a.py", "!/sql/", "deep/**", "**/a.py", "# all", "a.py # why",
            "/", "", "deep/sql", "a?py", "[ab].py", "!deep/")  # fmt: skip
EXPRESSIONS = ("sql", "^sql/", r"s\.ql", "a.py$", "# all", "deep.*a # why", "^$", "")


def tree(root: Path, ignore: str, ignore_below: str = "") -> None:
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / ".airflowignore").write_text(ignore)
    (root / "deep/.airflowignore").write_text(ignore_below)


def found(root: Path, syntax: IgnoreSyntax) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_below(root, syntax)]


def found_here(root: Path, syntax: IgnoreSyntax) -> list[str]:
    """Matched in this process, for speed."""
    with mock.patch.object(ignored, "_matched", ignore_child.answer):
        return sorted(found(root, syntax))


def of_airflow(root: Path, syntax: IgnoreSyntax) -> list[str]:
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Airflow's, of pathspec
        paths = list(find_path_from_directory(str(root), ".airflowignore", str(syntax)))
    return sorted(Path(path).relative_to(root).as_posix() for path in paths)


@pytest.mark.slow
@given(st.lists(st.sampled_from(PATTERNS), max_size=4), st.lists(st.sampled_from(PATTERNS), max_size=2))
def test_globs_are_read_as_airflow_reads_them(above: list[str], below: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tree(Path(directory), "\n".join(above), "\n".join(below))
        assert found_here(Path(directory), IgnoreSyntax.GLOB) == of_airflow(Path(directory), IgnoreSyntax.GLOB)


@pytest.mark.slow
@given(st.lists(st.sampled_from(EXPRESSIONS), max_size=4), st.lists(st.sampled_from(EXPRESSIONS), max_size=2))
def test_expressions_are_read_as_airflow_reads_them(above: list[str], below: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tree(Path(directory), "\n".join(above), "\n".join(below))
        assert found_here(Path(directory), IgnoreSyntax.REGEXP) == of_airflow(Path(directory), IgnoreSyntax.REGEXP)


@pytest.mark.parametrize("syntax", IgnoreSyntax)
def test_what_we_write_keeps_airflow_out_of_these_folders_and_no_others(tmp_path: Path, syntax: IgnoreSyntax) -> None:
    tree(tmp_path, ignore_file(["s.ql", "sql"], syntax, name="sales", environment="dev").decode())
    assert of_airflow(tmp_path, syntax) == ["a.py", "deep/b.py", "deep/sql/a.py", "mysql/a.py", "sXql/a.py"]


def test_an_expression_that_is_none_is_said_with_its_line(tmp_path: Path) -> None:
    tree(tmp_path, "sql\n*.py\n")
    with pytest.raises(ConfigurationError, match=r"\.airflowignore:2: expected a regular expression, found '\*\.py'"):
        found(tmp_path, IgnoreSyntax.REGEXP)


@pytest.mark.parametrize(
    ("syntax", "pattern"), [(IgnoreSyntax.REGEXP, "^(a+)+$"), (IgnoreSyntax.GLOB, f"{'*a' * 30}b")]
)
def test_a_pattern_that_takes_for_ever_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: IgnoreSyntax, pattern: str
) -> None:
    monkeypatch.setattr(ignored, "TIME_LIMIT", 3.0)
    (tmp_path / f"{'a' * 100}.py").touch()
    (tmp_path / ".airflowignore").write_text(f"{pattern}\n")
    said = rf"^{tmp_path}/\.airflowignore: the patterns are not matched after 3 s, or take too much memory; look for"
    with pytest.raises(ConfigurationError, match=said):
        found(tmp_path, syntax)


def test_a_secret_that_airflowignore_leads_to_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pass(word")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/.airflowignore").symlink_to("../secret")
    with pytest.raises(ConfigurationError) as caught:
        found(tmp_path / "dags", IgnoreSyntax.REGEXP)
    assert "pass(word" not in str(caught.value)


def test_names_that_are_no_utf8_are_matched(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.py")).touch()
    (tmp_path / ".airflowignore").write_text("b\n")
    for syntax in IgnoreSyntax:
        assert found(tmp_path, syntax) == ["\udcff.py"]


def test_hidden_files_and_bytecode_are_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "")
    for name in (".git/a.py", "__pycache__/a.py", ".a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path, IgnoreSyntax.GLOB) == sorted(FILES)
