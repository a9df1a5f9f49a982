// Addresses of the page, and of Airflow's. Each name is one segment, encoded whole.

/** What every address of this page begins with: this file is <base>/static/address.js. */
export const base = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

const DEFAULT = "default";

/** The names in the path of this window: ["explain", environment, dag_id, partition], for example. */
export function here() {
  const path = location.pathname.startsWith(base + "/") ? location.pathname.slice(base.length) : location.pathname;
  return path.split("/").filter(Boolean).map(decoded);
}

/** The parameters of this window. */
export const query = new URLSearchParams(location.search);

export function to(...names) {
  return base + names.map((name) => "/" + encodeURIComponent(name)).join("");
}

/** The same, with parameters; what is empty is left out. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!given.length) return path;
  return `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams(given)}`;
}

/** "environment/dag_id", or "dag_id" in the environment default, as the coordinator writes it. */
export function pipelineOf(text, task = null) {
  const whole = task && text.endsWith(":" + task) ? text.slice(0, -task.length - 1) : text;
  const slash = whole.indexOf("/");
  return slash < 0
    ? { environment: DEFAULT, dag_id: whole, name: whole }
    : { environment: whole.slice(0, slash), dag_id: whole.slice(slash + 1), name: whole };
}

export function nameOf({ environment, dag_id }) {
  return environment === DEFAULT && !dag_id.includes("/") ? dag_id : `${environment}/${dag_id}`;
}

/** Airflow's own page, by what /api/v1/environments says; null: it is not known. */
export function inAirflow(environments, { environment, dag_id }, run_id = null) {
  const pages = Object.hasOwn(environments, environment) ? environments[environment] : null;
  if (!pages || dag_id.includes(" ")) return null; // no DAG has a blank in its id: it stands for assets
  const dag = dag_id.replace(/\[[^\]]+\]$/, ""); // an item of a pipeline has runs of that
  const put = (template, name, value) => template.split(name).join(encodeURIComponent(value));
  return run_id === null ? put(pages.dag, "{DAG_ID}", dag) : put(put(pages.run, "{DAG_ID}", dag), "{RUN_ID}", run_id);
}

/** Shown inside Airflow: its frame lets nothing out of it, so links to Airflow would lead nowhere. */
export const framed = window.self !== window.top;

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
