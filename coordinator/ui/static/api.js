// Asking the server: once, and then whenever something has changed, with the last answer kept while there is none.

import { base, withQuery } from "./address.js";
import { listen, standing } from "./live.js";

const EVERY = 5_000;
const EVERY_WHILE_TOLD = 30_000;
const AFTER_FAILURE = 2_000;
const SLOW_AFTER = 1_500;
const GIVE_UP_AFTER = 30_000;

/** What the server answered instead of what was asked for. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.says);
    this.status = status;
    this.kind = error.kind;
    this.error = error;
  }

  /** Whether the same question may have an answer later. */
  get passes() {
    return this.status >= 500;
  }
}

export async function ask(path) {
  let answer;
  try {
    answer = await fetch(base + "/api/v1" + path, { signal: AbortSignal.timeout(GIVE_UP_AFTER), cache: "no-store" });
  } catch {
    throw new Refused(503, { kind: "page_away", says: "the server of this page does not answer" });
  }
  let content;
  try {
    content = await answer.json();
  } catch {
    throw new Refused(502, { kind: "page_away", says: `the server of this page answered ${answer.status}, and no JSON` });
  }
  if (!answer.ok) throw new Refused(answer.status, content.error ?? { kind: "unknown", says: `status ${answer.status}` });
  return content;
}

/**
 * Asks at once, and again when something has changed, while the window can be seen.
 *
 * on.answer(content, when): there is an answer; on.refused(error): there is none; on.slow(): it takes long.
 * once: the answer does not change. concerns(names): whether it may change with these pipelines.
 * Returns a function that ends it.
 */
export function follow(path, on, { once = false, concerns = () => true } = {}) {
  let timer = null;
  let asking = false;
  let again = false; // something has changed since the question was asked
  let after = 0;
  let done = false;

  async function turn() {
    if (asking) return void (again = true);
    asking = true;
    again = false;
    clearTimeout(timer);
    const slow = setTimeout(on.slow, SLOW_AFTER);
    let pause = standing.open ? EVERY_WHILE_TOLD : EVERY;
    try {
      const content = await ask(withQuery(path, { after: after || null }));
      if (done) return;
      on.answer(content, new Date());
      done = once;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (done) return;
      on.refused(error);
      if (error.passes) pause = AFTER_FAILURE;
    } finally {
      clearTimeout(slow);
      asking = false;
    }
    if (done || document.hidden) return;
    timer = setTimeout(turn, again ? 0 : pause);
  }

  listen((event) => {
    if (done) return;
    if (event.away) on.refused(new Refused(503, { kind: "etcd_away", ...event.away }));
    else if (event.pipelines === null || concerns(event.pipelines)) {
      after = event.revision;
      turn();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!done) turn();
  });
  turn();
  return () => {
    done = true;
    clearTimeout(timer);
  };
}

/** The names of all pipelines in an answer. */
export function pipelinesIn(content, found = new Set()) {
  if (Array.isArray(content)) for (const one of content) pipelinesIn(one, found);
  else if (content !== null && typeof content === "object") {
    if (typeof content.pipeline === "string") found.add(content.pipeline);
    for (const one of Object.values(content)) pipelinesIn(one, found);
  }
  return found;
}
