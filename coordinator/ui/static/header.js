// The head of the page: where to go, and how fresh what is shown is.

import { base, nameOf, pipelineOf, to } from "./address.js";
import { el } from "./dom.js";
import { standing } from "./live.js";
import { clock, moment } from "./time.js";

const VIEWS = [["now", "Now", base + "/"], ["graph", "Graph", to("graph")], ["history", "History", to("history")]];

/** Fills the head. Returns what views say to it. `view`: the one that is shown. */
export function header(place, view) {
  const field = el("input", {
    name: "pipeline",
    type: "search",
    placeholder: "pipeline, or pipeline@partition",
    "aria-label": "Pipeline to explain",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 2000,
  });
  const form = el("form.search", { role: "search" }, field, el("kbd", { "aria-hidden": "true" }, "/"));
  const state = el("p.state", { role: "status" });
  const count = el("small", { hidden: true });
  const links = VIEWS.map(([name, title, href]) =>
    el("a", { href, "aria-current": name === view ? "page" : null }, title, name === "now" ? count : null),
  );
  place.append(el("a.brand", { href: base + "/" }, "coordinator"), el("nav", { "aria-label": "Views" }, links), form, state);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = typed(field.value);
    if (wanted) location.assign(wanted);
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });

  // Ages change every second, which nobody wants to hear.
  const age = (when, lasts = false) => el("span", { "aria-hidden": "true" }, " ", moment(when, lasts));
  const say = (kind, ...words) => {
    state.className = `state ${kind}`;
    state.replaceChildren(el("span.dot", { "aria-hidden": "true" }), el("span", {}, ...words));
  };
  return {
    title(...names) {
      document.title = [...names, "coordinator"].join(" · ");
    },
    pipeline(pipeline) {
      field.value = document.activeElement === field ? field.value : nameOf(pipeline);
    },
    asking: () => say("asking", "reading etcd…"),
    slow: () => say("slow", "etcd answers slowly…"),
    /** How many things need somebody. */
    count(number) {
      count.hidden = !number;
      count.replaceChildren(" ", String(number));
    },
    live(when, revision) {
      if (standing.away) return this.away({ kind: "etcd_away", error: standing.away }, when);
      say("live", standing.open ? "live" : ["as it was", age(when.toISOString())], ` · revision ${revision}`);
    },
    then: (revision) => say("then", `as of revision ${revision}`),
    idle: () => state.replaceChildren(),
    /** There is no answer now. `last`: when there was one. */
    away(error, last) {
      const since = error.error.since;
      const shown = last ? ["; shown as it was then"] : [];
      const what = {
        etcd_away: ["etcd away", ...(since ? [" since ", clock(since)] : [])],
        not_read: ["reading etcd…"],
        page_away: ["this page's server is away"],
        slow: ["etcd answers slowly"],
        busy: ["too many questions at once"],
      };
      say("away", ...(what[error.kind] ?? ["no answer"]), ...shown);
    },
  };
}

/** The address for what somebody typed: "team_b/load", or "team_b/load@2026-11-20". */
export function typed(text) {
  const trimmed = text.trim();
  const at = trimmed.indexOf("@");
  const pipeline = pipelineOf(at < 0 ? trimmed : trimmed.slice(0, at));
  const partition = at < 0 ? "" : trimmed.slice(at + 1).trim();
  if (!pipeline.environment || !pipeline.dag_id) return null;
  return to("explain", pipeline.environment, pipeline.dag_id, ...(partition ? [partition] : []));
}
