// What the page says where there is no answer: what was looked for, and what to do.

import { nameOf, to } from "../address.js";
import { el } from "../dom.js";

const TITLES = {
  unknown_pipeline: "This pipeline is unknown",
  unknown_partition: "This partition is unknown",
  unknown_run: "This run is unknown",
  no_such_revision: "etcd does not have this revision",
  bad_request: "This address names nothing",
  etcd_away: "etcd is away",
  not_read: "etcd has not been read yet",
  etcd_refuses: "etcd says no",
  etcd_failed: "etcd could not answer",
  page_away: "The server of this page is away",
  slow: "etcd takes too long",
  busy: "Too many questions at once",
  defect: "A mistake in the coordinator",
};

const REMEDIES = {
  unknown_pipeline: [
    "If the name is right, nothing has been published for it, and no run of it has been reported: see whether its environment reports (coordinator doctor).",
  ],
  unknown_partition: ["If it is right, nothing has run in it yet, neither this pipeline nor what it waits for."],
  unknown_run: [
    "A run is reported when it starts. If it has just been queued, wait for it.",
    "If it has started, see whether its Airflow reports, and under this name (coordinator doctor).",
    "If it is old, its partition may have been removed (retention).",
  ],
  etcd_away: ["This page asks again by itself. In a terminal, coordinator doctor says which member does not answer."],
  page_away: ["It asks again by itself. See whether coordinator ui runs."],
  not_read: ["It asks again by itself."],
  slow: ["It asks again by itself."],
  busy: ["It asks again by itself."],
  etcd_refuses: ["The user of coordinator ui needs the role coordinator-viewer."],
};

/** The whole view. `pipeline`: what was asked about; `again`: asks for another partition in the same view. */
export function refusal(error, pipeline) {
  const { near = [], newest = [], looked_for: looked = [] } = error.error;
  const ofPartition = error.kind === "unknown_partition" || error.kind === "unknown_run";
  return el(
    "section.lone",
    { "aria-labelledby": "refused" },
    el("h1", { id: "refused" }, TITLES[error.kind] ?? "There is no answer"),
    el("p.says", {}, near.length ? error.message.split("; did you mean")[0] : error.message),
    looked.length ? el("ul.plain", {}, looked.map((one) => el("li", {}, one))) : null,
    list("Did you mean", near.map((one) => (ofPartition ? partition(pipeline, one) : other(one)))),
    list("The newest that are known", newest.map((one) => partition(pipeline, one))),
    (REMEDIES[error.kind] ?? []).map((one) => el("p.remedy", {}, one)),
    ofPartition
      ? el("p", {}, el("a", { href: to("explain", pipeline.environment, pipeline.dag_id) }, `All newest partitions of ${nameOf(pipeline)}`))
      : null,
  );
}

function list(title, items) {
  return items.length ? [el("h2", {}, title), el("ul.plain", {}, items.map((one) => el("li", {}, one)))] : null;
}

function other(pipeline) {
  return el("a", { href: to("explain", pipeline.environment, pipeline.dag_id) }, nameOf(pipeline));
}

function partition(pipeline, name) {
  return el("a.mono", { href: to("explain", pipeline.environment, pipeline.dag_id, name) }, name);
}
