// Names as links: to their own explanation, and to Airflow.

import { framed, inAirflow, nameOf, pipelineOf, to } from "./address.js";
import { el } from "./dom.js";

/** A pipeline, or one in a partition, as a link to its explanation. */
export function pipelineLink({ pipeline, partition = null, task = null }, text = null) {
  const ref = pipelineOf(pipeline, task);
  const names = partition === null ? [ref.environment, ref.dag_id] : [ref.environment, ref.dag_id, partition];
  const key = `to ${names.join(" ")}`;
  return el("a", { href: to("explain", ...names), "data-key": key }, text ?? nameOf(ref));
}

/** A run_id, as a link to Airflow's page of it where that is known and can be reached from here. */
export function runLink(environments, pipeline, run_id) {
  const address = framed ? null : inAirflow(environments, pipeline, run_id);
  if (address === null) return el("code.run", {}, run_id);
  const label = `Run ${run_id} of ${nameOf(pipeline)} in Airflow`;
  return el("a.run", { href: address, rel: "noreferrer", title: label, "data-key": address }, el("code", {}, run_id), " ↗");
}

/** Text in which one name becomes something else, where it is in it. */
export function replaced(parts, name, put) {
  if (!name) return parts;
  const at = parts.findIndex((part) => typeof part === "string" && part.includes(name));
  if (at < 0) return parts;
  const text = parts[at];
  const begin = text.indexOf(name);
  const inside = [text.slice(0, begin), put, text.slice(begin + name.length)].filter((part) => part !== "");
  return [...parts.slice(0, at), ...inside, ...parts.slice(at + 1)];
}
