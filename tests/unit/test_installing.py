"""Nothing tells people to install a name from an index that does not have it.

The name of the package is not registered: whoever registers it could send anything to people who install it by name.
What may be named are a checkout, a wheel, and an index of one's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TOP = ("*.md", "*.toml", "*.txt", "*.yaml", "*.yml", ".*.yaml", ".ci/*", "Makefile")
FOLDERS = ("benchmarks", "coordinator", "dags", "docker", "docs", "tests")

NAME = r"(?<![\w./-])etcd[-_.]coordinator(?![\w/]|[-.][\w*])"
INSTALLERS = r"\b(?:pip|pipx|uv|uvx|poetry|pdm|hatch|conda|mamba)\b"
WAYS = (
    re.compile(rf"{INSTALLERS}.*\b(?:install|add|run|with|from|inject)\b.*{NAME}", re.IGNORECASE),
    re.compile(rf"\b(?:uvx|pipx run)\b.*{NAME}", re.IGNORECASE),
    re.compile(rf"{NAME}(?:\[[\w,-]*\]|\s*(?:[=~!<>]=|[<>]))", re.IGNORECASE),  # a requirement, wherever it stands
    re.compile(rf"(?:additional_dependencies|requirements)\b.*{NAME}", re.IGNORECASE),
    re.compile(r"pypi\.org/\S*etcd[-_.]coordinator", re.IGNORECASE),
)
OF_ONES_OWN = re.compile(r"--index-url|--no-index|\s@\s")


def from_an_index(text: str) -> Iterator[tuple[int, str]]:
    """Each line that would have the package fetched by its name, with its number. A line may go on in the next one."""
    joined = text.replace("\\\n", "  ")  # as long as before
    for found in re.finditer(r".+", joined):
        line = found[0]
        if any(way.search(line) for way in WAYS) and not OF_ONES_OWN.search(line):
            yield text.count("\n", 0, found.start()) + 1, line.strip()


def files() -> list[Path]:
    """Everything that people read or run."""
    found = [path for pattern in TOP for path in REPOSITORY.glob(pattern)]
    found += [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*")]
    return sorted(path for path in found if path.is_file() and path.suffix != ".pyc" and path != Path(__file__))


@pytest.mark.slow
def test_nothing_in_the_repository_has_the_package_fetched_by_its_name() -> None:
    read = files()
    assert {"README.md", "embedded.py", "Dockerfile", "action.yml", ".pre-commit-hooks.yaml"} <= {p.name for p in read}
    told = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line}"
        for path in read
        for number, line in from_an_index(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert told == [], "the name is not ours in any index: name a checkout, a wheel, or an index of one's own"


@pytest.mark.parametrize(
    "line",
    [
        "pip install etcd-coordinator",
        "python -m pip install --quiet 'etcd-coordinator[airflow,embedded]'",
        "pip install \\\n  --constraint constraints.txt \\\n  etcd_coordinator",
        "uv pip install etcd-coordinator==0.1.0",
        "uv add etcd-coordinator",
        "uv tool run --from etcd-coordinator coordinator",
        "uvx etcd-coordinator",
        "pipx install etcd-coordinator",
        "RUN pip install --extra-index-url https://index.example/simple etcd-coordinator",
        "etcd-coordinator>=0.1",
        'additional_dependencies: ["etcd-coordinator"]',
        "https://pypi.org/project/etcd-coordinator/",
    ],
)
def test_a_line_that_fetches_it_by_its_name_is_found(line: str) -> None:
    assert list(from_an_index(line))


@pytest.mark.parametrize(
    "line",
    [
        "pip install .",
        "pip install '.[embedded]'",
        "pip install ./etcd-coordinator",
        "pip install dist/etcd_coordinator-0.1.0-py3-none-any.whl",
        "pip install etcd_coordinator-*.whl",
        "pip install --index-url https://index.example/simple etcd-coordinator",
        "pip install 'etcd3>=0.12'",
        'name = "etcd-coordinator"',
        "# etcd-coordinator",
    ],
)
def test_a_checkout_a_wheel_and_an_index_of_ones_own_may_be_named(line: str) -> None:
    assert list(from_an_index(line)) == []
