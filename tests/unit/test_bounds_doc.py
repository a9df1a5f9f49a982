"""The table of sizes in docs/security.md is the one of the code."""

from __future__ import annotations

import re
from pathlib import Path

from coordinator.model import bounds

TEXT = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| .*? \| ([\d,]+(?: [KM]iB)?) \|", TEXT, re.MULTILINE))
UNITS = {"KiB": bounds.KIB, "MiB": bounds.MIB}


def _number(written: str) -> float:
    number, _, unit = written.partition(" ")
    return int(number.replace(",", "")) * UNITS.get(unit, 1)


def test_every_bound_stands_in_the_table_with_its_value() -> None:
    of_the_code = {name: value for name, value in vars(bounds).items() if name.isupper()}
    del of_the_code["KIB"], of_the_code["MIB"]
    assert {name: _number(written) for name, written in ROWS.items()} == of_the_code
