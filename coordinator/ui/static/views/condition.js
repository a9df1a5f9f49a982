// The condition as a tree. What holds has a filled sign, what does not has another shape, and a word says so, too.

import { pipelineOf } from "../address.js";
import { el } from "../dom.js";
import { pipelineLink, replaced, runLink } from "../links.js";
import { withAges } from "../time.js";

/** Lines with their depths as nested lists. */
export function tree(lines, known) {
  const root = el("ul.tree", {});
  const lists = [root];
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
    lists.at(-1).append(el("li", {}, row(line, about, known)));
  }
  return root;
}

function row(line, about, known) {
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
