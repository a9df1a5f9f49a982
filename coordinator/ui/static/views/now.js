// Now: what needs a person first, each with its cause, what waits behind it, and what to do; then what is on its way.

import { nameOf, pipelineOf } from "../address.js";
import { follow } from "../api.js";
import { el, show } from "../dom.js";
import { pipelineLink, replaced, runLink } from "../links.js";
import { moment, withAges } from "../time.js";
import { kindOf, sign } from "./badge.js";
import { environments } from "./environments.js";
import { refusal } from "./refused.js";

const NAMED = 4;

// Each kind of concern: its sign, and its words.
const KINDS = {
  failed: ["failed", "failed"],
  blocked: ["stuck", "was refused"],
  "too old": ["stuck", "is too old"],
  "not yet": ["waiting", "has not run"],
  stuck: ["stuck", "is stuck"],
  held: ["held", "is held"],
  "waiting for release": ["held", "waits for its release"],
  late: ["stuck", "is late"],
  unreadable: ["failed", "cannot be read"],
  broken: ["failed", "cannot be decided about"],
};

export async function open(main, head) {
  let last = null;
  head.title("Now");
  head.asking();
  const known = await environments();
  follow("/now", {
    slow: head.slow,
    answer(content, when) {
      last = when;
      const count = needed(content);
      head.title(count ? `(${count}) Now` : "Now");
      head.live(when, content.revision);
      head.count(count);
      show(main, view(content, known));
    },
    refused(error) {
      head.away(error, last);
      if (!last) show(main, error.kind === "not_read" ? reading() : refusal(error, null));
    },
  });
  document.addEventListener("keydown", walk);
}

function reading() {
  return el(
    "section.lone",
    { "aria-busy": "true" },
    el("h1", {}, "Reading etcd…"),
    el("p", {}, "It has just been started. What needs somebody is shown as soon as everything has been read."),
    el("div.bones", { "aria-hidden": "true" }, el("i"), el("i"), el("i")),
  );
}

function needed(said) {
  const counts = Object.entries(said.attention_counts).filter(([kind]) => kind !== "held");
  return counts.reduce((sum, [, count]) => sum + count, 0) + said.problems_count;
}

function view(said, known) {
  const urgent = said.attention.filter((one) => one.needs_person);
  const held = said.attention.filter((one) => !one.needs_person);
  const problems = Object.entries(said.problems);
  return el(
    "article.now",
    { "aria-labelledby": "title" },
    headline(said),
    el(
      "div.evidence",
      {},
      el(
        "div",
        {},
        urgent.length || problems.length
          ? el("ol.cards", {}, urgent.map((one) => concern(one, known)), problems.map(problem))
          : null,
        more(said),
        held.length ? section(`Held on purpose: ${said.attention_counts.held}`, el("ol.cards", {}, held.map((one) => concern(one, known)))) : null,
        onTheirWay(said, known),
      ),
      el("div.facts", {}, watchers(said), heard(said), said.notes.length ? section("Worth knowing", el("ul.plain", {}, said.notes.map((one) => el("li", {}, withAges(one))))) : null),
    ),
    el(
      "footer",
      {},
      el("span", {}, `etcd revision ${said.revision}`),
      el("span", {}, el("kbd", {}, "j"), " ", el("kbd", {}, "k"), " next, previous"),
      el("span", {}, el("kbd", {}, "/"), " find a pipeline"),
    ),
  );
}

function headline(said) {
  const count = needed(said);
  if (!said.pipelines) {
    return [
      el("h1", { id: "title" }, "Nothing is here yet"),
      el("p.sub", {}, "No dependencies are published, and no run has been reported. ", el("code", {}, "coordinator doctor"), " says what is missing."),
    ];
  }
  const waiting = said.stuck ? `${many(said.stuck, "partition")} of ${many(said.stuck_pipelines, "pipeline")} ${said.stuck === 1 ? "is" : "are"} kept back` : "nothing is kept back";
  const way = said.busy ? `${many(said.busy, "partition")} on the way` : "nothing is on its way";
  return [
    el("h1", { id: "title" }, sign(count ? "failed" : "success"), count ? `${many(count, "thing")} ${count === 1 ? "needs" : "need"} somebody` : "All is well"),
    el("p.sub", {}, `${waiting[0].toUpperCase()}${waiting.slice(1)}; ${way}; ${many(said.pipelines, "pipeline")} in all.`),
  ];
}

function concern(one, known) {
  const pipeline = pipelineOf(one.pipeline);
  const [shape, words] = KINDS[one.kind] ?? ["stuck", one.kind];
  const says = withAges(one.says);
  const linked = one.run_id ? replaced(says, one.run_id, runLink(known, pipeline, one.run_id)) : says;
  return el(
    "li.card",
    { class: `card ${shape}` },
    sign(shape),
    el("p.t", {}, pipelineLink({ pipeline: one.pipeline, partition: one.partition }), ` ${words}`),
    el("p.a", {}, one.since ? moment(one.since, true) : null),
    el("p.w", {}, one.partition === null ? null : [el("span.mono", {}, one.partition), " · "], linked),
    behind(one),
    one.remedy ? el("p.w.remedy", {}, one.remedy) : null,
  );
}

function behind({ waiting }) {
  if (!waiting.partitions) return null;
  const names = [...new Set(waiting.nearest.map((one) => one.pipeline))];
  const shown = names.slice(0, NAMED).flatMap((name, index) => {
    const partition = waiting.nearest.find((one) => one.pipeline === name).partition;
    return [index ? ", " : "", pipelineLink({ pipeline: name, partition }, name)];
  });
  const rest = waiting.pipelines - Math.min(NAMED, names.length);
  const partitions = waiting.partitions > waiting.pipelines ? ` (${many(waiting.partitions, "partition")})` : "";
  return el("p.w", {}, "holds back ", shown, rest > 0 ? ` and ${rest.toLocaleString("en")} more` : null, partitions);
}

function problem([place, what]) {
  return el("li.card.stuck", {}, sign("stuck"), el("p.t", {}, place), el("p.a"), el("p.w", {}, withAges(what)));
}

function more(said) {
  const shown = {};
  for (const { kind } of said.attention) shown[kind] = (shown[kind] ?? 0) + 1;
  const rest = Object.entries(said.attention_counts)
    .map(([kind, count]) => [kind, count - (shown[kind] ?? 0)])
    .concat(Object.entries(said.problems_not_shown))
    .filter(([, count]) => count > 0);
  if (!rest.length) return null;
  return el("p.quiet", {}, rest.map(([kind, count]) => `${count.toLocaleString("en")} more ${kind}`).join("; "), ": ", el("code", {}, "coordinator status --limit"));
}

function onTheirWay(said, known) {
  if (!said.busy) return null;
  const waits = said.busy - said.under_way;
  return section(
    `On their way: ${said.under_way.toLocaleString("en")} running, ${waits.toLocaleString("en")} waiting for what runs above`,
    el("ol.way", {}, said.on_their_way.map((row) => el("li", {}, run(row, known)))),
    said.under_way > said.on_their_way.length ? el("p.quiet", {}, `and ${(said.under_way - said.on_their_way.length).toLocaleString("en")} more`) : null,
  );
}

function run(row, known) {
  const pipeline = pipelineOf(row.pipeline);
  return [
    sign(kindOf(row.readiness, row.state ?? "running", "")),
    pipelineLink(row, nameOf(pipeline)),
    el("span.mono.quiet", {}, row.partition),
    row.run_id ? runLink(known, pipeline, row.run_id) : null,
    el("span.age", {}, row.since ? moment(row.since, true) : null),
  ];
}

function watchers(said) {
  const leader = said.leader;
  return section(
    "Watchers",
    leader
      ? el("p", {}, sign("success"), el("b", {}, leader.id), " leads ", moment(leader.since, true), el("span.quiet", {}, ` on ${leader.host}`))
      : el("p", {}, sign("failed"), el("b", {}, "No watcher leads: nothing is started.")),
    said.watchers.filter((one) => !one.leads || one.silent || one.lag).map(watcher),
    said.watchers_not_shown ? el("p.quiet", {}, `and ${said.watchers_not_shown} more`) : null,
  );
}

function watcher(one) {
  const state = one.silent ? "is silent" : one.warm === false ? "is not ready yet" : one.leads ? "leads" : "stands by";
  const lag = one.lag ? `, ${many(one.lag, "revision")} behind` : "";
  return el("p", {}, sign(one.silent ? "stuck" : one.warm === false ? "waiting" : "success"), `${one.id} ${state}${lag}`);
}

const HEARD = { heard: "success", silent: "failed", "never heard": "waiting", unsure: "waiting" };

function heard(said) {
  const rows = [
    ...said.environments.map((one) => [HEARD[one.hearing] ?? "waiting", one.environment, one.hearing, one.last_seen]),
    ...said.observed.map((one) => ["success", one.environment, "observed", one.known_until]),
  ];
  if (!rows.length) return null;
  return section(
    "Environments",
    rows.map(([shape, name, word, when]) => el("p", {}, sign(shape), el("b", {}, name), ` ${word}`, when ? [", ", moment(when)] : null)),
    said.environments_not_shown ? el("p.quiet", {}, `and ${said.environments_not_shown} more`) : null,
  );
}

function section(heading, ...content) {
  return el("section", {}, el("h2", {}, heading), content);
}

function many(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** j and k go from card to card. */
function walk(event) {
  const step = { j: 1, k: -1 }[event.key];
  const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
  if (!step || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...document.querySelectorAll(".card .t a, .way li > a")];
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}
