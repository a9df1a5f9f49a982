"""The corpus, and every input that once broke something, without the fuzzer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz.registry import TARGETS
from tests.fuzz.target import SECONDS, Target

FOUND = [
    pytest.param(target, path, id=f"{target.name}/{path.stem}")
    for target in TARGETS.values()
    for path in sorted(target.found.glob("*"))
]


def _play(target: Target, path: Path) -> None:
    began = time.process_time()
    target.check(path.read_bytes())
    assert time.process_time() - began < SECONDS


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_nothing_in_the_corpus_breaks_anything(target: Target) -> None:
    seeds = sorted(target.corpus.glob("*"))
    assert seeds, f"{target.corpus} is empty"
    for path in seeds:
        _play(target, path)


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize(("target", "path"), FOUND)
def test_what_once_broke_something_is_repaired(target: Target, path: Path) -> None:
    _play(target, path)


def test_every_finding_belongs_to_a_target() -> None:
    for kept in ("found", "corpus"):
        names = {path.name for path in (Path(__file__).parent / kept).iterdir()}
        assert names - TARGETS.keys() == set()
