// The condition as a tree. What holds has a filled sign, what does not has another shape, and a word says so, too.
// What keeps back something unfolds into its own condition, down to the run that blocks.

import { pipelineOf, withQuery } from "../address.js";
import { ask, Refused } from "../api.js";
import { el } from "../dom.js";
import { pipelineLink, replaced, runLink } from "../links.js";
import { withAges } from "../time.js";

/**
 * Lines with their depths as nested lists.
 *
 * context: known: Airflow's pages; rev: the revision that is shown, or null; open: the names of those to unfold at once
 * (see `placeOf`); kept: what was unfolded before, by name, so that nothing jumps when it is drawn again.
 */
export function tree(lines, context) {
  const root = el("ul.tree", {});
  const lists = [root];
  const tails = [];
  let about = null;
  for (const line of lines) {
    while (lists.length > line.depth + 1) lists.pop();
    while (lists.length < line.depth + 1) {
      const above = lists.at(-1);
      const inner = el("ul", {});
      (above.lastElementChild ?? above.appendChild(el("li", {}))).append(inner);
      lists.push(inner);
    }
    if (line.about) about = line.about;
    else if (line.holds !== null) about = null;
    const item = el("li", {}, row(line, about, context));
    lists.at(-1).append(item);
    tails.push([item, deeper(line, context)]);
  }
  for (const [item, tail] of tails) if (tail) item.append(tail); // behind what is said of it
  return root;
}

/** A partition of a pipeline, as one text. */
export function placeOf({ pipeline, partition }) {
  return `${pipeline}@${partition}`;
}

function row(line, about, { known }) {
  let words = withAges(line.text);
  if (line.name && line.about) words = replaced(words, line.name, pipelineLink(line.about, line.name));
  else if (about?.run_id) words = replaced(words, about.run_id, runLink(known, pipelineOf(about.run_of ?? about.pipeline, about.task), about.run_id));
  if (line.holds === null) return el("div.row.detail", {}, el("span", {}, words));
  return el("div.row", {}, mark(line), el("span", {}, words));
}

function mark({ holds, about }) {
  if (holds) return el("span.sign.success", { role: "img", "aria-label": "holds:", title: "holds" }, "●");
  const [shape, kind] = shapeOf(about);
  return el(`span.sign.${kind}`, { role: "img", "aria-label": "does not hold:", title: "does not hold" }, shape);
}

function shapeOf(about) {
  if (about?.readiness === "stuck") return ["▲", "stuck"];
  if (about?.state === "failed") return ["✕", "failed"];
  if (about?.readiness === "busy" || about?.state === "running" || about?.state === "queued") return ["◐", "running"];
  return ["○", "waiting"];
}

const QUESTIONS = { stuck: "why is it stuck?", busy: "what is it waiting for?", settled: "what is missing there?" };

/** What an input waits for itself, asked for when it is unfolded. */
function deeper({ holds, about }, context) {
  if (holds !== false || !about || about.task) return null;
  if (about.readiness === "settled" && about.state !== null) return null; // its own run is the cause
  const place = placeOf(about);
  const inside = el("div", {}, context.kept.get(place) ?? el("p.quiet", {}, "reading etcd…"));
  const box = el(
    "details.deeper",
    { "data-key": `deeper ${place}`, open: context.open.has(place) },
    el("summary", {}, QUESTIONS[about.readiness] ?? QUESTIONS.settled),
    inside,
  );
  let asked = false;
  const load = async () => {
    if (asked) return;
    asked = true;
    const { environment, dag_id } = pipelineOf(about.pipeline);
    const path = ["", "explain", environment, dag_id, about.partition].map(encodeURIComponent).join("/");
    try {
      const said = await ask(withQuery(path, { rev: context.rev }));
      inside.replaceChildren(inner(said, context));
      context.kept.set(place, inside.firstElementChild);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      inside.replaceChildren(el("p.quiet", {}, error.message));
    }
  };
  box.addEventListener("toggle", () => box.open && load());
  if (box.open) load();
  return box;
}

function inner(said, context) {
  const prefix = `${said.pipeline}@${said.partition} `;
  const says = said.says.startsWith(prefix) ? said.says.slice(prefix.length) : said.says;
  const own = said.in_words.condition;
  return el("div.inner", {}, el("p", {}, "It ", withAges(says), "."), own.length ? tree(own, context) : el("p.quiet", {}, withAges(said.in_words.state)));
}
