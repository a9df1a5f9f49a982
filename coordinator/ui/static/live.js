// What the server tells by itself: which pipelines have changed, up to which revision, and whether etcd answers.

import { base } from "./address.js";

const listeners = new Set();

/** How it stands. `open`: the server tells by itself; else views ask again and again. */
export const standing = { open: false, revision: 0, away: null };

/** Calls back with each event: { revision, pipelines, away }. `pipelines`: null, if any may have changed. */
export function listen(callback) {
  listeners.add(callback);
}

let source = null;

function open() {
  source = new EventSource(base + "/api/v1/changes");
  source.addEventListener("open", () => (standing.open = true));
  source.addEventListener("message", (message) => {
    const event = JSON.parse(message.data);
    standing.open = true;
    standing.revision = event.revision;
    standing.away = event.away;
    for (const callback of listeners) callback(event);
  });
  source.addEventListener("error", () => {
    standing.open = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(open, 10_000); // refused: there are many windows already
  });
}

// A window that nobody sees takes nobody's place.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    standing.open = false;
  } else {
    open();
  }
});
if (!document.hidden) open();
