// Moments: relative for people, exact on hover.

import { el } from "./dom.js";

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
const INSTANT = /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g;

export function ago(when, now = new Date()) {
  const seconds = Math.round((now - when) / 1000);
  if (Math.abs(seconds) < 1) return "now";
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size);
  const count = `${Math.floor(Math.abs(seconds) / length)} ${unit}`;
  return seconds < 0 ? `in ${count}` : `${count} ago`;
}

/** A moment as an element that grows older by itself: see `tick`. */
export function moment(text, now = new Date()) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return el("span", {}, text);
  return el("time", { datetime: text, title: text }, ago(when, now));
}

/** Text in which each moment after "at", "since", "by" and the like gets its age in brackets. Names stay as they are. */
export function withAges(text, now = new Date()) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INSTANT)) {
    const before = text.slice(end, found.index);
    if (!/(?:^|\s)(?:at|since|until|by|of)\s$/.test(before)) continue;
    parts.push(before, found[0], " ", el("span.age", {}, "(", moment(found[0], now), ")"));
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** Brings all ages up to date. */
export function tick() {
  const now = new Date();
  for (const one of document.querySelectorAll("time[datetime]")) one.textContent = ago(new Date(one.dateTime), now);
}
