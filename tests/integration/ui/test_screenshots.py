"""The pictures of the page: a night on which a run has failed, Airflow has refused another, and a third is held.

``make screenshots`` puts them into docs/pictures; without that, each is taken, and thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coordinator.commands.hold import put_hold
from coordinator.config.etcd import EtcdSettings
from coordinator.model.hold import Hold
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.reporters import ReporterStatus
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.presence import Presence
from tests.integration.ui.conftest import Etcd, Ui, serving, write_config
from tests.integration.ui.visiting import NARROW, WIDE, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DIRECTORY = os.environ.get("COORDINATOR_TESTS_PICTURES")
ENVIRONMENTS = ("sales", "finance", "ml")
DOCUMENT = {
    "sales/load_orders": "sales/extract_orders",
    "sales/load_customers": "sales/extract_customers",
    "finance/daily_revenue": ["sales/load_orders", "finance/rates"],
    "finance/close_books": "finance/daily_revenue",
    "finance/invoices": "finance/rates",
    "ml/train_churn": ["sales/load_customers", "ml/features"],
    "ml/forecast": ["ml/train_churn", "finance/daily_revenue"],
    "ml/segments": "sales/load_customers",
}
TODAY, YESTERDAY = "2026-11-21T00:00:00Z", "2026-11-20T00:00:00Z"
VIEWS = {
    "now": ("/", ".card"),
    "explain": (f"/explain/finance/close_books/{TODAY}", ".deeper[open] .deeper[open] .inner"),
    "graph": (f"/graph?partition={TODAY}", ".graph .edge.failed"),
}


def presence(name: str, now: datetime) -> Presence:
    """A watcher that has read everything, and will for long."""
    began = format_instant(now.replace(microsecond=0) - timedelta(days=3))
    return Presence(
        name,
        f"etl-{name[-1]}",
        4242,
        began,
        version="1.0",
        revision=10**9,
        warm=True,
        written_at=format_instant(now),
        again_within=1e6,
    )


@pytest.fixture(scope="module")
def night(etcd_server: EmbeddedEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The page over an etcd in which it is night."""
    keys = Keys("/night")
    store = connect(EtcdSettings(endpoints=[etcd_server.endpoint], prefix=keys.prefix))
    etcd, now = Etcd(store, keys), datetime.now(UTC)
    etcd.publish(DOCUMENT)
    started = now - timedelta(days=3)
    etcd.put(keys.leader, presence("watcher-1", now).to_value())
    for name in ("watcher-1", "watcher-2"):
        etcd.put(f"{keys.watchers}{name}", presence(name, now).to_value())
    for name in ENVIRONMENTS:
        status = ReporterStatus(host=f"airflow-{name}", pid=1, since=started, written_at=now)
        etcd.put(keys.reporter(name, "scheduler"), status.to_value())

    def ran(pipeline: str, state: State, partition: str, minutes: int) -> None:
        at = now - timedelta(minutes=minutes)
        run_id = f"scheduled__{partition.replace('Z', '+00:00')}"
        document = RunStateDocument(state=state, run_id=run_id, queued_at=at, observed_at=at)
        etcd_target = Target(PipelineRef.parse(pipeline), partition)
        etcd.put(keys.state(etcd_target), document.to_value())

    for pipeline in ("sales/extract_customers", "finance/rates", "ml/features"):
        ran(pipeline, State.SUCCESS, TODAY, 90)
    ran("sales/extract_orders", State.FAILED, TODAY, 14)
    ran("sales/load_customers", State.RUNNING, TODAY, 3)
    ran("finance/rates", State.SUCCESS, YESTERDAY, 200)
    record = TriggerRecord(
        status=Status.BLOCKED,
        sequence=1,
        action=Action.CREATE,
        run_id=f"coordinator__{YESTERDAY}__1",
        token="0" * 32,
        wave=1,
        when=now - timedelta(minutes=41),
        blocked_since=now - timedelta(minutes=41),
        last_error="404: the DAG 'invoices' does not exist (renamed to 'billing'?)",
    )
    etcd.put(keys.trigger(Target(PipelineRef("finance", "invoices"), YESTERDAY)), dump_record(record))
    hold = Hold(who="ana", why="new features, wait for review", since=now - timedelta(days=2))
    put_hold(store, keys, PipelineRef("ml", "train_churn"), hold)
    sections = (f'[environments.{name}]\nurl = "https://airflow-{name}.example"\n' for name in ENVIRONMENTS)
    config = tmp_path_factory.mktemp("night") / "coordinator.toml"
    write_config(config, etcd_server.endpoint, keys.prefix, "".join(sections))
    yield from serving(config)
    store.close()


def keep(page: Page, directory: Path, name: str) -> None:
    """Take a picture. Playwright itself would write it in a thread that stays."""
    (Path(DIRECTORY or directory) / f"{name}.png").write_bytes(page.screenshot())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_picture_is_taken_of_what_is_meant(
    browser: Browser, night: Ui, tmp_path: Path, view: str, scheme: str
) -> None:
    path, shown = VIEWS[view]
    with visiting(browser, night.url + path, color_scheme=scheme, viewport=WIDE) as page:
        page.wait_for_selector(shown, state="attached")
        page.wait_for_selector(".state.live")
        page.mouse.move(0, 0)
        keep(page, tmp_path, f"{view}-{scheme}")


def test_a_picture_is_taken_of_a_telephone(browser: Browser, night: Ui, tmp_path: Path) -> None:
    with visiting(browser, night.url + "/", viewport=NARROW) as page:
        page.wait_for_selector(".state.live")
        assert "2 things need somebody" in page.inner_text("h1")
        keep(page, tmp_path, "now-narrow")
