// The state in one sign, told apart by its shape as well as by its colour, and in a word for who hears the page.

import { el } from "../dom.js";

export const SIGNS = {
  failed: ["✕", "failed"],
  stuck: ["▲", "stuck"],
  held: ["‖", "held"],
  running: ["◐", "running"],
  waiting: ["○", "waits"],
  fires: ["▶", "fires now"],
  success: ["●", "succeeded"],
  settled: ["–", "at rest"],
};

export function kindOf(readiness, state, says = "") {
  if (/ held\b/.test(` ${says}`) && readiness === "stuck") return "held";
  if (readiness === "stuck") return "stuck";
  if (/^fires now/.test(says)) return "fires";
  if (readiness === "busy") return state === "running" || state === "queued" ? "running" : "waiting";
  if (state === "failed") return "failed";
  if (/still needs|waits for/.test(says)) return "waiting";
  return state === "success" ? "success" : "settled";
}

export function badge(readiness, state, says) {
  return sign(kindOf(readiness, state, says));
}

export function sign(kind) {
  const [shape, word] = SIGNS[kind];
  return el(`span.sign.${kind}`, { role: "img", "aria-label": word, title: word }, shape);
}
