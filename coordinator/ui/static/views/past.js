// How it came to this: the moments at which an explanation has changed, and a slider over them.

import { ask, Refused } from "../api.js";
import { el } from "../dom.js";
import { moment, withAges } from "../time.js";
import { badge } from "./badge.js";

/**
 * The slider, which asks for the moments when it is opened.
 *
 * path: of the explanation below /api/v1. go(rev): shows it as of a revision; null: as it is now.
 */
export function past(path, go) {
  let moments = null; // the newest first
  let rev = null;
  const list = el("ol.moments", { "aria-live": "polite" });
  const box = el("details.past", { "data-key": "past" }, el("summary", {}, "How it came to this"), list);

  async function load() {
    list.replaceChildren(el("li.quiet", {}, "looking through etcd's history…"));
    try {
      moments = (await ask(path + "/moments")).moments;
      draw();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      list.replaceChildren(el("li.quiet", {}, error.message));
    }
  }

  /** Which moment is shown: the newest one that is not later than the revision. */
  function at() {
    if (rev === null) return 0;
    const found = moments.findIndex((one) => one.revision <= rev);
    return found < 0 ? moments.length - 1 : found;
  }

  function draw() {
    const shown = at();
    const slider = el("input", {
      type: "range",
      min: 0,
      max: Math.max(0, moments.length - 1),
      value: moments.length - 1 - shown,
      "aria-label": "Revision",
      "aria-valuetext": `revision ${moments[shown]?.revision}`,
      "data-key": "slider",
    });
    slider.addEventListener("change", () => step(moments.length - 1 - Number(slider.value)));
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    list.replaceChildren(
      moments.length > 1 ? el("li.slider", {}, el("span", {}, "earlier"), slider, el("span", {}, "now")) : "",
      ...moments.map((one, index) => el("li", {}, row(one, index, index === shown))),
    );
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  function row(one, index, isShown) {
    const line = el(
      "button.row",
      { type: "button", "aria-pressed": String(isShown), "data-key": `moment ${one.revision}` },
      badge(one.readiness, one.state, one.says),
      el("span.what", {}, withAges(one.says)),
      el("span.age", {}, one.when ? moment(one.when) : null),
      el("span.mono.quiet", {}, String(one.revision)),
    );
    line.addEventListener("click", () => step(index));
    return line;
  }

  function step(index) {
    if (!moments?.length) return;
    const wanted = Math.min(moments.length - 1, Math.max(0, index));
    rev = wanted === 0 ? null : moments[wanted].revision;
    go(rev);
    draw();
  }

  box.addEventListener("toggle", () => {
    if (box.open && moments === null) load();
  });
  // [ and ] go to the moment before, and to the one after.
  document.addEventListener("keydown", async (event) => {
    const by = { "[": 1, "]": -1 }[event.key];
    const typing = event.target instanceof HTMLElement && event.target.closest("input:not([type=range]), textarea, select");
    if (!by || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (moments === null) {
      box.open = true;
      await load();
    }
    step(at() + by);
  });
  return {
    box,
    /** It is shown as of this revision; null: as it is now. */
    shown(revision) {
      rev = revision;
      if (moments !== null) draw();
      else if (rev !== null) box.open = true;
    },
    /** Something has changed: the moments are looked for again when somebody wants them. */
    outdate() {
      if (moments === null || rev !== null) return;
      moments = null;
      if (box.open) load();
    },
  };
}
