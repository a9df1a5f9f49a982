"""``make example-datafusion``: tables of a shop are loaded by pipelines of Data Fusion, one for each row.

A DAG prepares a configuration table for its partition. Each row is an item: a run of a pipeline of Data Fusion, which
is played by a stand-in for CDAP's REST API. Once all have ended, a DAG checks them, and another one reports.

Exit codes as those of ``make demo``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from coordinator.model.references import PipelineRef
from examples.datafusion.story import Story, show
from examples.demo.parts import Parts, started
from examples.demo.running import run, stay
from tests.standin.cdap import Run, StandInCdap

_HERE = Path(__file__).parent
_DAGS = tuple(PipelineRef("default", name) for name in ("prepare_tables", "check_tables", "report"))
_SECONDS_TO_LOAD = 0.5


def main() -> int:
    """:return: the exit code."""
    parser = argparse.ArgumentParser(prog="make example-datafusion", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C")
    arguments = parser.parse_args()
    return run("coordinator-datafusion", lambda directory: _play(directory, keep=arguments.keep))


def _play(directory: Path, *, keep: bool) -> None:
    tables = directory / "tables"
    tables.mkdir()
    with StandInCdap() as cdap:
        cdap.app("load-table", takes=_SECONDS_TO_LOAD, ends=_Ends())
        print(f"The stand-in for CDAP is up: {cdap.url}", flush=True)
        configuration = "\n".join(
            [
                "[environments.fusion]",
                'kind = "datafusion"',
                f'url = "{cdap.url}"',
                'login = "none"',
                'listed_within = "5 seconds"',
                "[environments.fusion.pipelines.load_table]",
                'app = "load-table"',
                "[items.tables]",
                f"directory = '{tables}'",
                'file = "{partition}.json"',
                "",
            ]
        )
        with started(
            directory,
            dags=_HERE / "dags",
            dependencies=(_HERE / "dependencies.json").read_text(encoding="utf-8"),
            pipelines=_DAGS,
            configuration=configuration,
            env={"TABLES_DIRECTORY": str(tables), "CDAP": cdap.url},
        ) as parts:
            Story.play_in(parts, tables, cdap)
            show(parts)
            if keep:
                _stay(parts, tables)


class _Ends:
    """How a run of the stand-in ends: the first load of ``payments`` fails."""

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, run: Run) -> str:
        if '"name":"payments"' in run.arguments.get("item", "") and not self._failed:
            self._failed = True
            return "FAILED"
        return "COMPLETED"


def _stay(parts: Parts, tables: Path) -> None:
    print(
        f"\nTrigger prepare_tables for another date in Airflow, or change {tables}/wanted before. Look around with\n"
        f"  export COORDINATOR_CONFIG={parts.config}\n"
        f"  coordinator status --all\n"
        f"Ctrl-C ends everything.",
        flush=True,
    )
    stay(parts)


if __name__ == "__main__":
    sys.exit(main())
