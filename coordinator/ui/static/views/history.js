// History: what people did, and what was published, with what each publication changed.

import { pipelineOf, query, to, withQuery } from "../address.js";
import { follow } from "../api.js";
import { el, show } from "../dom.js";
import { pipelineLink } from "../links.js";
import { moment } from "../time.js";
import { refusal } from "./refused.js";

const EARLIER = {
  compacted: "Earlier versions are compacted: etcd keeps them no longer.",
  "not shown": "There are earlier versions.",
};

export function open(main, head) {
  let last = null;
  head.title("History");
  head.asking();
  follow(withQuery("/history", { limit: query.get("limit") }), {
    slow: head.slow,
    answer(content, when) {
      last = when;
      head.live(when, content.revision);
      show(main, view(content));
    },
    refused(error) {
      if (error.passes) head.away(error, last);
      else head.idle();
      if (!last || !error.passes) show(main, refusal(error, null));
    },
  });
}

function view(said) {
  return el(
    "article",
    { "aria-labelledby": "title" },
    el("h1", { id: "title" }, "History"),
    el("p.sub", {}, "What people did, and what was published; the newest first."),
    el(
      "div.evidence",
      {},
      el("section", {}, el("h2", {}, "Acts"), said.acts.length ? el("ol.log", {}, said.acts.map(act)) : el("p.quiet", {}, "Nobody has held, released, ordered, marked or filled anything yet."), more(said)),
      el("div", {}, said.owners.map(owner), said.owners.length ? null : el("section", {}, el("h2", {}, "Publications"), el("p.quiet", {}, "Nothing has been published yet."))),
    ),
    el("footer", {}, el("span", {}, `etcd revision ${said.revision}`), el("a", { href: to("api", "v1", "history"), "data-key": "json" }, "JSON")),
  );
}

function act(one) {
  if (one.problem) return el("li", {}, el("p", {}, `${one.id} cannot be read: ${one.problem}`));
  const where = { pipeline: one.pipeline, partition: one.partition };
  return el(
    "li",
    {},
    el("p", {}, el("b", {}, one.act), one.what ? ` ${one.what} ` : " ", pipelineLink(where), one.partition === null ? null : el("span.mono.quiet", {}, ` ${one.partition}`)),
    el("p.by", {}, one.who || "somebody", ", ", moment(one.when), one.why ? `: ${one.why}` : null),
  );
}

function more(said) {
  if (!said.more_acts) return null;
  return el("p", {}, el("a", { href: withQuery(to("history"), { limit: Math.min(500, said.acts.length * 4) }), "data-key": "more" }, "more"));
}

function owner({ owner: name, versions, earlier }) {
  return el(
    "section",
    {},
    el("h2", {}, `Publications of ${name}`),
    el("ol.log", {}, versions.map(version)),
    EARLIER[earlier] ? el("p.quiet", {}, EARLIER[earlier]) : null,
  );
}

function version(one) {
  if (one.problem) return el("li", {}, el("p", {}, `revision ${one.revision} cannot be read: ${one.problem}`));
  const serial = one.serial === null ? "" : `, serial ${one.serial}`;
  return el(
    "li",
    {},
    el("p", {}, el("b", {}, `version ${one.version}`), `${serial}: ${one.pipelines.toLocaleString("en")} pipelines `, el("span.mono.quiet", {}, `revision ${one.revision}`)),
    el("p.by", {}, one.by ?? "somebody", one.when ? [", ", moment(one.when)] : null, one.why ? `: ${one.why}` : null),
    one.changed === null ? el("p.quiet", {}, "the version before it cannot be read") : changes(one),
  );
}

function changes({ changed, more_changed: rest }) {
  if (!changed.length) return el("p.quiet", {}, "the same dependencies");
  return el("ul.changes", {}, changed.map((one) => el("li", {}, change(one))), rest ? el("li.quiet", {}, `and ${rest.toLocaleString("en")} more`) : null);
}

function change({ pipeline, kind, added, removed, fields }) {
  const link = kind === "ceases" ? pipelineOf(pipeline).name : pipelineLink({ pipeline });
  const other = fields.filter((name) => name !== "upstream");
  return [
    link,
    kind === "begins" ? " begins to wait" : kind === "ceases" ? " is not started any more" : null,
    el("ul", {}, added.map((one) => el("li.mono", {}, `+ ${one}`)), removed.map((one) => el("li.mono", {}, `− ${one}`)), other.length ? el("li.quiet", {}, `changed: ${other.join(", ")}`) : null),
  ];
}
