"""The page in a real browser: each view, live changes, the keyboard, narrow and dark, and names that look like HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from coordinator.commands.acts import Signature
from coordinator.commands.hold import delete_hold, put_hold
from coordinator.config.etcd import EtcdSettings
from coordinator.model.hold import Hold
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from tests.integration.ui.conftest import DOCUMENT, EVIL, NOON, Etcd, K, Serve, Ui
from tests.integration.ui.visiting import NARROW, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE = Path(__file__).parents[2] / "vendored" / "axe-core" / "axe.min.js"
EVIL_PARTITION = f"{EVIL}:%2F/1"
VIEWS = {
    "now": "/",
    "explain": f"/explain/default/publish/{K}",
    "newest": "/explain/default/publish",
    "evil": "/explain/" + "/".join(quote(one, safe="") for one in (EVIL, f"{EVIL}/x", EVIL_PARTITION)),
    "graph": "/graph",
    "history": "/history",
    "unknown": "/explain/default/publsh",
    "nowhere": "/nowhere",
}


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Browser, ui: Ui) -> Visit:
    """``with visit("/path") as page``."""
    return lambda path, **options: visiting(browser, ui.url + path, **options)


@pytest.fixture(scope="module", autouse=True)
def failures(world: Etcd) -> None:
    world.publish({**DOCUMENT, "behind": f"{EVIL}/{EVIL}/y"})
    world.report(PipelineRef(EVIL, f"{EVIL}/y"), State.FAILED, partition=EVIL_PARTITION, run_id=EVIL)


def test_what_failed_stands_first_with_what_waits_and_what_to_do(visit: Visit) -> None:
    with visit("/") as page:
        card = page.locator(".card", has_text="team_b/extract failed")
        assert re.search(r"\d+ things? needs? somebody", page.inner_text("h1"))
        text = card.inner_text()
        assert K in text
        assert "→" not in text, "the arrow is no text"
        assert card.locator(".remedy").count() == 1
        assert "team-b.example" in card.locator("a.run").get_attribute("href")
        assert page.title().startswith("(")
        card.locator(".t a").click()
        page.wait_for_selector(".answer")
        assert page.url.endswith(f"/explain/team_b/extract/{quote(K, safe='')}")


def test_a_change_is_shown_without_asking(visit: Visit, world: Etcd) -> None:
    partition = "2026-12-01T00:00:00Z"
    with visit("/") as page, visit(f"/explain/default/other/{K}") as explained:
        explained.wait_for_selector(".answer")
        assert page.locator(".card", has_text=partition).count() == 0
        world.report("team_b/extract", State.FAILED, partition=partition, run_id="december")
        page.wait_for_selector(f'.card:has-text("{partition}")')
        world.report("team_b/extract", State.RUNNING, run_id="again", day=3)
        explained.wait_for_selector('.tree:has-text("again")')
        page.wait_for_selector('.way:has-text("again")')
        world.report("team_b/extract", State.FAILED, run_id="again", day=3)
        world.report("team_b/extract", State.SUCCESS, partition=partition, run_id="december", day=1)
        page.wait_for_selector(f'.card:has-text("{partition}")', state="detached")


def test_names_are_text(visit: Visit) -> None:
    with visit(VIEWS["evil"]) as page:
        assert page.inner_text("h1") == f"{EVIL}/{EVIL}/x"
        assert EVIL_PARTITION in page.inner_text(".sub")
        assert page.locator("main img").count() == 0
    with visit("/") as page:
        card = page.locator(".card", has_text=EVIL_PARTITION)
        assert card.locator(".t").inner_text() == f"{EVIL}/{EVIL}/y failed"
        assert page.locator("main img").count() == 0


def test_the_keyboard_is_enough(visit: Visit) -> None:
    with visit("/") as page:
        page.wait_for_selector(".card .t a")
        page.keyboard.press("j")
        first = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.textContent") != first
        page.keyboard.press("k")
        assert page.evaluate("document.activeElement.textContent") == first
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.name") == "pipeline"
        page.keyboard.type(f"publish@{K}")
        page.keyboard.press("Enter")
        page.wait_for_selector(".answer")
        assert page.inner_text("h1") == "publish"


def test_the_focus_stays_when_what_is_shown_changes(visit: Visit, world: Etcd) -> None:
    with visit("/") as page:
        page.wait_for_selector(".card .t a")
        page.keyboard.press("j")
        before = page.evaluate("document.activeElement.textContent")
        world.report("reference", State.RUNNING, partition="2026-12-02T00:00:00Z", run_id="second")
        page.wait_for_selector('.way:has-text("second")')
        assert page.evaluate("document.activeElement.textContent") == before


@pytest.mark.parametrize("view", VIEWS)
def test_it_fits_a_telephone(visit: Visit, view: str) -> None:
    with visit(VIEWS[view], viewport=NARROW, is_mobile=True) as page:
        page.wait_for_timeout(0)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= NARROW["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_the_colours_that_are_wanted(visit: Visit, scheme: str) -> None:
    with visit("/", color_scheme=scheme) as page:
        red = int(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))
        assert (red < 60) is (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_serious_keeps_anybody_out(visit: Visit, view: str, scheme: str) -> None:
    with visit(VIEWS[view], color_scheme=scheme) as page:
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")
        assert found["passes"], "the rules were tried"
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert [f"{one['id']}: {node['html'][:120]}" for one in serious for node in one["nodes"]] == []


def test_while_etcd_is_away_it_says_since_when(browser: Browser, serve: Serve, tmp_path: Path, keys: Keys) -> None:
    with EmbeddedEtcd(tmp_path / "own-etcd") as own:
        store = connect(EtcdSettings(endpoints=[own.endpoint], prefix=keys.prefix))
        etcd = Etcd(store, keys)
        ui = serve(own.endpoint, keys)
        with visiting(browser, ui.url + "/") as page:
            page.wait_for_selector('h1:has-text("Nothing is here yet")')
            etcd.publish(DOCUMENT)
            etcd.report("team_b/extract", State.FAILED)
            page.wait_for_selector('.card:has-text("team_b/extract")')
            store.close()
            own.stop()
            page.wait_for_selector(".state.away")
            assert re.search(r"etcd away since \d\d:\d\d", page.inner_text(".state"))
            assert page.locator(".card", has_text="team_b/extract").count() == 1, "the last picture stays"
            own.start()
            page.wait_for_selector(".state.live")


def test_before_everything_is_read_it_says_so(browser: Browser, serve: Serve, tmp_path: Path, keys: Keys) -> None:
    with EmbeddedEtcd(tmp_path / "own-etcd") as own:
        own.freeze()
        try:
            ui = serve(own.endpoint, keys)
            with visiting(browser, ui.url + "/") as page:
                assert page.inner_text("h1") == "Reading etcd…"
                own.thaw()
                page.wait_for_selector('h1:has-text("Nothing is here yet")')
        finally:
            own.thaw()


def test_what_keeps_it_back_unfolds_down_to_the_run_that_blocks(visit: Visit) -> None:
    with visit(f"/explain/default/publish/{K}") as page:
        inner = page.locator(".deeper[open] .inner", has_text="team_b/extract")
        inner.first.wait_for()
        assert page.locator(".inner a", has_text="team_b/extract").count() >= 1
        page.locator(".deeper > summary").first.click()
        assert page.locator(".deeper[open]").count() == 0


def test_the_revisions_of_an_explanation_are_gone_through(visit: Visit, world: Etcd) -> None:
    partition = "2026-12-05T00:00:00Z"
    for day, state in enumerate((State.RUNNING, State.SUCCESS, State.RUNNING), 1):
        world.report("reference", state, partition=partition, day=day)
    path = f"/explain/default/publish/{partition}"
    with visit(path) as page:
        page.click(".past > summary")
        page.wait_for_selector('.moments .row[aria-pressed="true"]')
        rows = page.locator(".moments .row")
        assert rows.count() == 3
        page.keyboard.press("[")
        page.wait_for_url("**?rev=*")
        page.wait_for_selector(".state.then")
        assert "success" in page.inner_text(".tree")
        page.keyboard.press("[")
        page.wait_for_selector('.tree:has-text("running")')
        rows.first.click()
        page.wait_for_selector(".state.live")
        assert page.url.endswith(partition)
        page.go_back()
        page.wait_for_selector(".state.then")
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_the_graph_opens_on_what_matters_and_follows(visit: Visit, world: Etcd) -> None:
    partition = "2026-12-07T00:00:00Z"
    with visit(f"/graph?partition={partition}") as page:
        page.wait_for_selector(".graph .box")
        world.report("team_b/extract", State.FAILED, partition=partition)
        page.wait_for_selector('.graph .box.failed[aria-label="team_b/extract: failed"]')
        page.wait_for_selector(".graph .edge.failed")
        names = page.eval_on_selector_all(".graph a.box", "all => all.map((one) => one.dataset.key)")
        assert {"team_b/extract", "load", "other"} <= set(names)
        page.locator('.graph .box[aria-label^="team_b/extract"]').click()
        page.wait_for_selector(".answer")
        assert page.inner_text("h1") == "team_b/extract"


def test_the_graph_moves_zooms_and_focuses(visit: Visit, world: Etcd) -> None:
    world.report("team_b/extract", State.FAILED)
    with visit(f"/graph?partition={K}&focus=load") as page:
        page.wait_for_selector(".graph .box.focus")
        names = page.eval_on_selector_all(".graph a.box", "all => all.map((one) => one.dataset.key)")
        assert sorted(names) == ["load", "publish", "team_b/extract"]
        page.focus(".graph")
        seen = [page.get_attribute(".graph", "viewBox")]
        for key in ("ArrowRight", "+", "-", "0"):
            page.keyboard.press(key)
            seen.append(page.get_attribute(".graph", "viewBox"))
        assert len({*seen[:3]}) == 3
        assert seen[-1] == seen[0], "0 shows all of it again"
        box = page.locator(".graph").bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 120, box["y"] + 60, steps=4)
        page.mouse.up()
        page.mouse.wheel(0, 300)
        page.wait_for_function(f"document.querySelector('.graph').getAttribute('viewBox') !== {seen[0]!r}")
        page.fill(".tools input", "other")
        page.keyboard.press("Enter")
        page.wait_for_url("**focus=other*")


def test_a_large_graph_is_folded(visit: Visit) -> None:
    """What is worked out, without drawing it: 1,000 pipelines of ten environments, of which some need somebody."""
    with visit("/nowhere") as page:
        found = page.evaluate(
            """async () => {
              const { fold, MOST } = await import("/static/views/fold.js");
              const pipelines = [...Array(1000).keys()].map((n) => ({
                pipeline: `env${n % 10}/p${n}`, environment: `env${n % 10}`, kind: n % 100 === 7 ? "failed" : "success",
              }));
              const edges = [...Array(990).keys()].map((n) => [n, n + 10]);
              const graph = { pipelines, edges };
              const broken = { pipelines: pipelines.map((one) => ({ ...one, kind: "stuck" })), edges };
              const own = (made) => made.boxes.filter((one) => one.pipeline).map((one) => one.name);
              const folded = (made) => made.boxes.reduce((sum, one) => sum + (one.count ?? 0), 0);
              const focused = fold(graph, { focus: "env7/p507" });
              return {
                most: MOST,
                plain: own(fold(graph)), rest: folded(fold(graph)),
                broken: own(fold(broken)).length, left: fold(broken).left,
                focused: own(focused), cut: folded(focused),
                unfolded: own(fold(graph, { unfolded: new Set(["env1"]) })).length,
              };
            }"""
        )
    failed = {f"env7/p{n}" for n in range(7, 1000, 100)}
    around = {f"env7/p{n + by}" for n in range(7, 1000, 100) for by in (-10, 0, 10) if n + by > 0}
    assert set(found["plain"]) == around >= failed
    assert found["rest"] == 1000 - len(around)
    assert (found["broken"], found["left"]) == (found["most"], 1000 - found["most"])
    assert set(found["focused"]) == {f"env7/p{n}" for n in range(7, 1000, 10)}
    assert found["cut"] == 0
    assert found["unfolded"] == found["most"]


def test_the_history_tells_who_did_what_and_what_was_published(visit: Visit, world: Etcd) -> None:
    pipeline = PipelineRef("team_b", EVIL)
    with visit("/history") as page:
        put_hold(world.store, world.keys, pipeline, Hold(who="ana", why=f"a check {EVIL}", since=NOON))
        page.wait_for_selector('.log li:has-text("ana")')
        text = page.inner_text("main")
        assert f"hold team_b/{EVIL}" in text
        assert f": a check {EVIL}" in text
        assert "Publications of default" in text
        assert "+ reference" in text
        assert page.locator("main img").count() == 0
    delete_hold(world.store, world.keys, pipeline, Signature("ana", NOON))
