// Asking the server: again and again while somebody looks, with the last answer kept while there is none.

import { base } from "./address.js";

const EVERY = 5_000;
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
 * Asks at once, and then again and again while the window can be seen.
 *
 * on.answer(content, when): there is an answer; on.refused(error): there is none; on.slow(): it takes long.
 */
export function follow(path, on, { once = false } = {}) {
  let timer = null;
  let asking = false;

  async function turn() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    const slow = setTimeout(on.slow, SLOW_AFTER);
    let pause = EVERY;
    try {
      on.answer(await ask(path), new Date());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      on.refused(error);
      pause = error.passes ? AFTER_FAILURE : EVERY;
    } finally {
      clearTimeout(slow);
      asking = false;
    }
    if (!document.hidden && !(once && pause === EVERY)) timer = setTimeout(turn, pause);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!once) turn();
  });
  turn();
}
