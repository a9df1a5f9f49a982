"""What others have written and is kept here is listed with version and licence, and is as it was published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "page.md"
DAGRE = "b0ddaf4af1417bec9bd89373a3a3987f081727d6cc6d95fc40dbf85a19bdf3b0"
AXE = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
DIGESTS = {"coordinator/ui/static/vendored/dagre/dagre.esm.js": DAGRE, "tests/vendored/axe-core/axe.min.js": AXE}


@pytest.mark.parametrize("file", DIGESTS)
def test_a_file_is_as_it_was_published(file: str) -> None:
    assert hashlib.sha256((ROOT / file).read_bytes()).hexdigest() == DIGESTS[file]


def test_every_file_is_listed_with_its_version_and_licence() -> None:
    kept = [one for one in ROOT.glob("**/vendored/*/*.js") if ".venv" not in one.parts]
    assert sorted(str(one.relative_to(ROOT)) for one in kept) == sorted(DIGESTS)
    for file in DIGESTS:
        (row,) = [line for line in PAGE.read_text().splitlines() if f"`{file}`" in line]
        (licence,) = (ROOT / file).parent.glob("LICENSE*")
        assert str(licence.relative_to(ROOT)) in row
        version = row.split("|")[2].strip()
        assert version in (ROOT / file).read_text(encoding="utf-8")
