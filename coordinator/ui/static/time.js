// Moments: relative for people, exact on hover.

import { el } from "./dom.js";

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
const INSTANT = /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g;

/** How long ago a moment is: "14 min ago", or "for 14 min". */
export function age(when, lasts = false, now = new Date()) {
  const seconds = Math.round((now - when) / 1000);
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["s", 1];
  const count = `${Math.floor(Math.abs(seconds) / length)} ${unit}`;
  if (lasts && seconds >= 0) return `for ${count}`;
  return seconds < 0 ? `in ${count}` : seconds ? `${count} ago` : "now";
}

/** A moment as an element that grows older by itself: see `tick`. `lasts`: it is the beginning of something. */
export function moment(text, lasts = false) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return el("span", {}, text);
  return el("time", { datetime: text, title: text, "data-lasts": lasts }, age(when, lasts));
}

/** A moment by the clock of who reads it: "12:03", with the day if it is not today. */
export function clock(text) {
  const when = new Date(text);
  const time = when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const today = when.toDateString() === new Date().toDateString();
  return el("span", { title: text }, today ? time : `${when.toLocaleDateString("en-CA")} ${time}`);
}

/** Text with its moments as ages: "failed at <moment>" becomes "failed 14 min ago". Names stay as they are. */
export function withAges(text) {
  return replaced(text, /(^|\s)(at|since)\s$/, (before, word, found) => [before, moment(found, word === "since")]);
}

/** Text with the age of each moment behind it, in brackets. */
export function withMoments(text) {
  return replaced(text, /(^|\s)(at|since|until|by|of)\s$/, (before, word, found) => [
    `${before}${word} ${found} `,
    el("span.age", {}, "(", moment(found), ")"),
  ]);
}

function replaced(text, after, put) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INSTANT)) {
    const before = text.slice(end, found.index);
    const word = after.exec(before);
    if (!word) continue;
    parts.push(...put(before.slice(0, word.index) + word[1], word[2], found[0]).filter(Boolean));
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** Brings all ages up to date. */
export function tick() {
  const now = new Date();
  for (const one of document.querySelectorAll("time[datetime]")) {
    const text = age(new Date(one.dateTime), one.dataset.lasts !== undefined, now);
    if (one.textContent !== text) one.textContent = text;
  }
}
