// Why a pipeline runs in a partition, or does not: the answer, the evidence, and what helps.

import { framed, inAirflow, nameOf, pipelineOf, to, withQuery } from "../address.js";
import { follow, pipelinesIn } from "../api.js";
import { el, show } from "../dom.js";
import { pipelineLink, replaced, runLink } from "../links.js";
import { withAges, withMoments } from "../time.js";
import { kindOf, sign } from "./badge.js";
import { placeOf, tree } from "./condition.js";
import { environments } from "./environments.js";
import { past } from "./past.js";
import { refusal } from "./refused.js";

const LISTED = 10;

export async function open(main, head, environment, dag_id, partition, query) {
  const pipeline = { environment, dag_id };
  const path = ["", "explain", environment, dag_id, partition].map(encodeURIComponent).join("/");
  const kept = new Map();
  let last = null;
  let names = new Set();
  let stop = () => {};
  head.title(partition, nameOf(pipeline));
  head.pipeline(pipeline);
  head.asking();
  const known = await environments();
  const slider = past(path, (rev) => {
    history.pushState(null, "", withQuery(location.pathname, { rev }));
    read(rev);
  });

  /** Show it as of a revision; null: as it is now, and as it changes. */
  function read(rev) {
    stop();
    kept.clear();
    stop = follow(
      withQuery(path, { rev }),
      {
        slow: head.slow,
        answer(content, when) {
          last = when;
          names = pipelinesIn(content);
          if (rev) head.then(content.revision);
          else head.live(when, content.revision);
          if (content.partition !== partition) {
            const spelled = to("explain", environment, dag_id, content.partition);
            history.replaceState(null, "", spelled + location.search);
            head.title(content.partition, nameOf(pipeline));
          }
          slider.outdate();
          show(main, view(content, pipeline, { known, rev, kept, query, slider: slider.box }));
          slider.shown(rev && Number(rev));
        },
        refused(error) {
          if (error.passes) head.away(error, last);
          else head.idle();
          if (!last || !error.passes) show(main, refusal(error, pipeline));
        },
      },
      { once: Boolean(rev), concerns: (changed) => changed.some((name) => names.has(name)) },
    );
  }

  addEventListener("popstate", () => read(new URLSearchParams(location.search).get("rev")));
  read(query.get("rev"));
}

function view(said, pipeline, { known, rev, kept, query, slider }) {
  const words = said.in_words;
  const blocking = said.causes[0]?.via ?? []; // the way down to the first run that blocks
  const context = { known, rev, kept, open: new Set(blocking.map(placeOf)) };
  return el(
    "article.explain",
    { "aria-labelledby": "title" },
    title(said, pipeline, known),
    guessed(query.get("run"), pipeline, known),
    answer(said),
    said.notes.length ? el("ul.notes", {}, said.notes.map((note) => el("li", {}, withAges(note)))) : null,
    el(
      "div.evidence",
      {},
      el(
        "div",
        {},
        words.condition.length ? section("Waits for", tree(words.condition, context)) : null,
        said.causes.length ? section("Because", causes(said, known)) : null,
        words.items.length ? section("Items", el("ul.plain", {}, words.items.map((text) => el("li", {}, withAges(text))))) : null,
        words.sensors.length ? section("Sensors", sensors(said)) : null,
      ),
      el("div.facts", {}, ofItself(said, pipeline, known)),
    ),
    slider,
    foot(said, pipeline, rev),
  );
}

function title(said, pipeline, known) {
  const run_id = said.state?.run_id ?? said.record?.run_id ?? null;
  const address = framed ? null : inAirflow(known, pipeline, run_id);
  return [
    el("h1", { id: "title" }, nameOf(pipeline)),
    el(
      "p.sub",
      {},
      el("span.mono", {}, said.partition),
      " · ",
      el("a", { href: to("explain", pipeline.environment, pipeline.dag_id), "data-key": "all" }, "other partitions"),
      address ? [" · ", el("a", { href: address, rel: "noreferrer", "data-key": "airflow" }, "in Airflow ↗")] : null,
    ),
  ];
}

function guessed(run_id, pipeline, known) {
  if (!run_id) return null;
  return el(
    "p.notes.guess",
    {},
    "The run ",
    runLink(known, pipeline, run_id),
    " has not been reported. Its run_id has the date of this partition; it may be about another one.",
  );
}

function answer(said) {
  const kind = said.fires ? "fires" : kindOf(said.readiness, said.state?.state, withoutName(said));
  return el(
    "div.answer",
    { class: `answer ${kind}` },
    el("p.headline", {}, sign(kind), el("span", {}, kind === "failed" ? "Its run failed. " : null, "It ", withAges(withoutName(said)), ".")),
    el("p", {}, withAges(said.in_words.outlook)),
  );
}

function withoutName(said) {
  const name = `${said.pipeline}@${said.partition} `;
  return said.says.startsWith(name) ? said.says.slice(name.length) : said.says;
}

function section(heading, ...content) {
  return el("section", {}, el("h2", {}, heading), content);
}

function causes(said, known) {
  const lines = said.causes.map((cause) => el("li", {}, one(cause, said, known)));
  const more = lines.slice(LISTED);
  return [
    el("ul.causes", {}, lines.slice(0, LISTED)),
    more.length
      ? el("details", { "data-key": "causes" }, el("summary", {}, `${more.length.toLocaleString("en")} more`), el("ul.causes", {}, more))
      : null,
  ];
}

const SIGN_OF_CAUSE = {
  running: "running",
  "in flight": "running",
  starting: "fires",
  failed: "failed",
  held: "held",
  "not yet": "waiting",
};

function one(cause, said, known) {
  const itself = cause.pipeline === said.pipeline && cause.partition === said.partition;
  const pipeline = pipelineOf(cause.pipeline, cause.task);
  let words = withAges(` ${cause.says}`);
  if (cause.run_id) words = replaced(words, cause.run_id, runLink(known, pipeline, cause.run_id));
  const way = cause.via.flatMap((step, index) => [index ? " ← " : null, named(step, said)]);
  return [
    sign(SIGN_OF_CAUSE[cause.kind] ?? "stuck"),
    el(
      "div",
      {},
      el("p", {}, itself ? "It" : named(cause, said), words, way.length ? [" (behind ", way, ")"] : null),
      cause.remedy ? el("p.remedy", {}, cause.remedy) : null,
    ),
  ];
}

/** A pipeline, with its partition where that is another one than the one explained. */
function named(about, said) {
  const { partition, pipeline } = about;
  return pipelineLink(about, partition === said.partition ? pipeline : `${pipeline}@${partition}`);
}

function sensors(said) {
  const upstreams = [...said.waiting_sensors, ...said.sensors];
  return el(
    "ul.plain",
    {},
    said.in_words.sensors.map((text, index) => {
      const about = upstreams[index];
      return el("li", {}, about ? replaced(withAges(text), about.pipeline, pipelineLink(about, about.pipeline)) : withAges(text));
    }),
  );
}

function ofItself(said, pipeline, known) {
  const { state, hold, order, trigger } = said.in_words;
  const withRun = (text, run_id) => {
    const words = withMoments(text);
    return run_id ? replaced(words, run_id, runLink(known, pipeline, run_id)) : words;
  };
  const used = said.record?.inputs ?? [];
  return [
    section("Its own state", el("p", {}, withRun(state, said.state?.run_id))),
    hold === null ? null : section("Held", el("p", {}, withMoments(hold))),
    order === null ? null : section("Ordered", el("p", {}, withMoments(order))),
    section(
      "Trigger record",
      trigger.map((text) => el("p", {}, withRun(text, said.record?.run_id))),
      used.length
        ? el(
            "details",
            { "data-key": "used" },
            el("summary", {}, `its inputs: ${(used.length + said.record.more_inputs).toLocaleString("en")}`),
            el("ul.plain", {}, used.map((input) => el("li", {}, named(input, said), ` ${input.state}, revision ${input.revision}`))),
          )
        : null,
    ),
  ];
}

function foot(said, pipeline, rev) {
  const here = to("explain", pipeline.environment, pipeline.dag_id, said.partition);
  const json = to("api", "v1", "explain", pipeline.environment, pipeline.dag_id, said.partition);
  return el(
    "footer",
    {},
    el("span", {}, `etcd revision ${said.revision}`),
    rev
      ? el("a", { href: here, "data-key": "now" }, "how it stands now")
      : el("a", { href: withQuery(here, { rev: said.revision }), "data-key": "then" }, "link to this revision"),
    el("a", { href: withQuery(json, { rev }), "data-key": "json" }, "JSON"),
    framed ? el("span.own", {}, "in a window of its own: ", el("code", {}, location.origin + here)) : null,
  );
}
