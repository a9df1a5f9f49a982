// The newest partitions of a pipeline, with a sentence each.

import { nameOf, to, withQuery, inAirflow, framed } from "../address.js";
import { follow } from "../api.js";
import { el, show } from "../dom.js";
import { withAges } from "../time.js";
import { badge } from "./badge.js";
import { refusal } from "./refused.js";
import { environments } from "./environments.js";

export async function open(main, head, environment, dag_id, query) {
  const pipeline = { environment, dag_id };
  const rev = query.get("rev");
  const limit = query.get("limit");
  let last = null;
  head.title(nameOf(pipeline));
  head.pipeline(pipeline);
  head.asking();
  const known = await environments();
  const path = ["", "explain", environment, dag_id].map(encodeURIComponent).join("/");
  follow(withQuery(path, { rev, limit }), {
    slow: head.slow,
    answer(content, when) {
      last = when;
      rev ? head.then(content.revision) : head.live(when, content.revision);
      show(main, table(content, pipeline, known, rev));
    },
    refused(error) {
      if (error.passes) head.away(error, last);
      else head.idle();
      if (!last || !error.passes) show(main, refusal(error, pipeline));
    },
  });
}

function table(content, pipeline, known, rev) {
  const address = framed ? null : inAirflow(known, pipeline);
  const count = content.partitions.length;
  return el(
    "section.newest",
    { "aria-labelledby": "title" },
    el("h1", { id: "title" }, nameOf(pipeline)),
    el(
      "p.sub",
      {},
      count ? `the newest ${count} of ${(count + content.not_shown).toLocaleString("en")} partitions` : "no partition yet",
      address ? [" · ", el("a", { href: address, rel: "noreferrer" }, "in Airflow ↗")] : null,
    ),
    content.notes.length ? el("ul.notes", {}, content.notes.map((note) => el("li", {}, note))) : null,
    count ? el("ol.partitions", {}, content.partitions.map((row) => line(row, pipeline, rev))) : nothing(),
    content.not_shown ? more(pipeline, count, rev) : null,
  );
}

function line(row, pipeline, rev) {
  const address = withQuery(to("explain", pipeline.environment, pipeline.dag_id, row.partition), { rev });
  return el(
    "li",
    {},
    el(
      "a.row",
      { href: address, "data-key": row.partition },
      badge(row.readiness, row.state, row.says),
      el("span.partition.mono", {}, row.partition),
      el("span.facts", {}, [row.state, row.readiness, row.record].filter(Boolean).join(" · ")),
      el("span.what", {}, withAges(row.says)),
    ),
  );
}

function nothing() {
  return el("p.quiet", {}, "No run of it, or of what it waits for, has been reported yet.");
}

function more(pipeline, count, rev) {
  const limit = Math.min(200, count * 3);
  if (limit <= count) return el("p.quiet", {}, "Older ones: coordinator explain --limit");
  return el("p", {}, el("a", { href: withQuery(to("explain", pipeline.environment, pipeline.dag_id), { rev, limit }) }, `Show ${limit}`));
}
