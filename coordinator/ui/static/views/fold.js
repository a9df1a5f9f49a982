// Which boxes a graph is drawn with: what needs somebody, what causes it and what waits for it; the rest is folded, one
// box for each environment. Pure: data in, data out.

/** So many pipelines have a box of their own, at most: more is no picture, and takes long to lay out. */
export const MOST = 120;

const MATTERS = ["failed", "stuck", "held", "running", "waiting", "queued"];

/**
 * Boxes and edges for a graph of the server.
 *
 * focus: the name of a pipeline: it is shown with everything above and below it; null: what matters is shown.
 * unfolded: the environments whose pipelines are all shown.
 */
export function fold({ pipelines, edges }, { focus = null, unfolded = new Set() } = {}) {
  const above = pipelines.map(() => []);
  const below = pipelines.map(() => []);
  for (const [from, to] of edges) {
    above[to].push(from);
    below[from].push(to);
  }
  const at = focus === null ? -1 : pipelines.findIndex((one) => one.pipeline === focus);
  const wanted = at < 0 ? whatMatters(pipelines, above, below) : [at, ...reached([at], above), ...reached([at], below)];
  const shown = new Set(wanted.slice(0, MOST));
  pipelines.forEach((one, index) => unfolded.has(one.environment) && shown.size < MOST && shown.add(index));

  const boxes = new Map();
  const boxOf = pipelines.map((one, index) => {
    if (shown.has(index)) {
      boxes.set(one.pipeline, { name: one.pipeline, kind: one.kind, pipeline: one, isFocus: index === at });
      return one.pipeline;
    }
    if (at >= 0) return null;
    const name = `rest of ${one.environment}`;
    const box = boxes.get(name) ?? { name, kind: "folded", environment: one.environment, count: 0 };
    box.count += 1;
    boxes.set(name, box);
    return name;
  });
  const drawn = new Map();
  for (const [from, to] of edges) {
    const [a, b] = [boxOf[from], boxOf[to]];
    if (a === null || b === null || a === b) continue;
    drawn.set(`${a}\n${b}`, { from: a, to: b, kind: boxes.get(a).kind });
  }
  return { boxes: [...boxes.values()], edges: [...drawn.values()], left: Math.max(0, new Set(wanted).size - MOST) };
}

/** The pipelines that matter, the most pressing first; then what is next to what needs somebody. */
function whatMatters(pipelines, above, below) {
  const found = pipelines.map((_, index) => index).filter((index) => MATTERS.includes(pipelines[index].kind));
  found.sort((a, b) => MATTERS.indexOf(pipelines[a].kind) - MATTERS.indexOf(pipelines[b].kind));
  const near = found.slice(0, 20).flatMap((index) => [...above[index], ...below[index]]);
  return [...new Set([...found, ...near])];
}

/** Everything that is reached, the nearest first, without the beginning. */
function reached(begin, next) {
  const seen = new Set(begin);
  const order = [];
  for (const queue = [...begin]; queue.length; ) {
    for (const one of next[queue.shift()]) {
      if (seen.has(one)) continue;
      seen.add(one);
      order.push(one);
      queue.push(one);
    }
  }
  return order;
}
