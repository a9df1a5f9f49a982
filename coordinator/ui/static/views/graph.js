// Graph: what depends on what in one partition, and how each stands. It opens on what matters; the rest is folded.

import { nameOf, pipelineOf, query, to, withQuery } from "../address.js";
import { follow } from "../api.js";
import { el, show, svg } from "../dom.js";
import { Graph, layout } from "../vendored/dagre/dagre.esm.js";
import { SIGNS } from "./badge.js";
import { fold } from "./fold.js";
import { panAndZoom } from "./pan.js";
import { refusal } from "./refused.js";

const WIDTH = 190;
const HEIGHT = 34;
const LETTERS = 24;
const URGENT = ["failed", "stuck", "held"];

export function open(main, head) {
  const unfolded = new Set();
  let last = null;
  let drawn = "";
  head.title("Graph");
  head.asking();
  const partition = query.get("partition");
  const focus = query.get("focus");
  const canvas = svg("svg", { class: "graph", role: "group", "aria-label": "Graph of dependencies", tabindex: 0 });
  const view = panAndZoom(canvas);
  const sheet = el("article.sheet", { "aria-labelledby": "title" });

  function draw(content) {
    const { boxes, edges, left } = fold(content, { focus, unfolded });
    const known = JSON.stringify([boxes, edges]);
    show(sheet, top(content, boxes, left, focus), content.pipelines.length ? canvas : nothing(), legend());
    if (known === drawn) return; // nothing has moved: the picture stays where it is
    const isFirst = !drawn;
    drawn = known;
    const size = picture(canvas, boxes, edges, content.partition, (environment) => {
      unfolded.add(environment);
      draw(content);
    });
    view.size(size, isFirst ? size.middle : null);
  }

  follow(withQuery("/graph", { partition }), {
    slow: head.slow,
    answer(content, when) {
      last = when;
      head.live(when, content.revision);
      head.title(content.partition, "Graph");
      if (!sheet.isConnected) show(main, sheet);
      draw(content);
    },
    refused(error) {
      head.away(error, last);
      if (!last) show(main, refusal(error, null));
    },
  });
}

function top(content, boxes, left, focus) {
  const partitions = [...new Set([content.partition, ...content.partitions])].filter(Boolean);
  const choice = el(
    "select",
    { "aria-label": "Partition", "data-key": "partition" },
    partitions.map((one) => el("option", { value: one, selected: one === content.partition }, one)),
  );
  choice.addEventListener("change", () => location.assign(withQuery(to("graph"), { partition: choice.value, focus })));
  const find = el("input", { type: "search", list: "pipelines", placeholder: "show one with all around it", "aria-label": "Pipeline to show", "data-key": "find", value: focus ?? "" });
  const names = el("datalist", { id: "pipelines" }, content.pipelines.map((one) => el("option", { value: one.pipeline })));
  find.addEventListener("change", () => {
    const known = content.pipelines.some((one) => one.pipeline === find.value);
    if (known || !find.value) location.assign(withQuery(to("graph"), { partition: content.partition, focus: find.value }));
  });
  const own = boxes.filter((one) => one.pipeline).length;
  const rest = content.pipelines.length - own;
  return [
    el("h1", { id: "title" }, focus ? `Around ${focus}` : "Graph"),
    el(
      "div.tools",
      {},
      choice,
      find,
      names,
      focus ? el("a", { href: withQuery(to("graph"), { partition: content.partition }), "data-key": "whole" }, "the whole graph") : null,
      el("span.quiet", {}, `${own.toLocaleString("en")} pipelines shown, ${rest.toLocaleString("en")} ${focus ? "left out" : "folded"}${left ? `; ${left.toLocaleString("en")} more belong here` : ""}`),
    ),
  ];
}

function nothing() {
  return el("p.quiet", {}, "No dependencies are published.");
}

function legend() {
  const kinds = ["failed", "stuck", "held", "running", "waiting", "success", "settled"];
  return el(
    "p.legend",
    {},
    kinds.map((kind) => el("span", {}, el(`span.sign.${kind}`, { "aria-hidden": "true" }, SIGNS[kind][0]), SIGNS[kind][1])),
    el("span", {}, "drag or arrow keys move; the wheel, ", el("kbd", {}, "+"), " ", el("kbd", {}, "-"), " ", el("kbd", {}, "0"), " zoom"),
  );
}

/** Draws the boxes, and returns the size of the picture. */
function picture(canvas, boxes, edges, partition, unfold) {
  const plan = new Graph();
  plan.setGraph({ rankdir: "LR", nodesep: 10, ranksep: 46, marginx: 8, marginy: 8 });
  plan.setDefaultEdgeLabel(() => ({}));
  for (const box of boxes) plan.setNode(box.name, { width: WIDTH, height: HEIGHT });
  for (const edge of edges) plan.setEdge(edge.from, edge.to);
  layout(plan);
  const lines = edges.map((edge) => svg("path", { class: `edge ${edge.kind}`, d: curve(plan.node(edge.from), plan.edge(edge.from, edge.to).points, plan.node(edge.to)) }));
  const shapes = boxes.map((box) => shape(box, plan.node(box.name), partition, unfold));
  canvas.replaceChildren(svg("g", {}, lines), svg("g", {}, shapes));
  const { width = 0, height = 0 } = plan.graph();
  const first = boxes.find((box) => box.isFocus) ?? boxes.find((box) => URGENT.includes(box.kind)) ?? boxes[0];
  return { width: Math.max(1, width), height: Math.max(1, height), middle: first ? plan.node(first.name) : { x: 0, y: 0 } };
}

/** From the right of a box to the left of another one, through the points between. */
function curve(from, points, to) {
  const begin = { x: from.x + WIDTH / 2, y: from.y };
  const between = points.length > 3 ? points.slice(1, -1) : []; // else the boxes are neighbours
  const way = [begin, ...between, { x: to.x - WIDTH / 2, y: to.y }];
  const steps = way.slice(1).map((point, index) => {
    const middle = (way[index].x + point.x) / 2;
    return `C${middle} ${way[index].y} ${middle} ${point.y} ${point.x} ${point.y}`;
  });
  return `M${begin.x} ${begin.y}${steps.join("")}`;
}

function shape(box, { x, y }, partition, unfold) {
  const kind = box.kind === "none" ? "settled" : box.kind === "queued" ? "running" : box.kind;
  const [sign, word] = box.kind === "folded" ? ["+", "folded"] : (SIGNS[kind] ?? SIGNS.settled);
  const text = box.pipeline ? nameOf(pipelineOf(box.name)) : `${box.environment}: ${box.count.toLocaleString("en")} more`;
  const inside = [
    svg("rect", { x: x - WIDTH / 2, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: 7 }),
    svg("text", { class: "s", "aria-hidden": "true", x: x - WIDTH / 2 + 10, y: y + 4 }, sign),
    svg("text", { x: x - WIDTH / 2 + 28, y: y + 4 }, text.length > LETTERS ? `${text.slice(0, 11)}…${text.slice(-12)}` : text),
    svg("title", {}, `${text}: ${word}`),
  ];
  if (box.pipeline) {
    const { environment, dag_id } = pipelineOf(box.name);
    const href = to("explain", environment, dag_id, ...(partition ? [partition] : []));
    return svg("a", { class: `box ${kind}${box.isFocus ? " focus" : ""}`, href, "aria-label": `${text}: ${word}`, "data-key": box.name }, inside);
  }
  const made = svg("g", { class: "box folded", role: "button", tabindex: 0, "data-key": box.name }, inside);
  made.addEventListener("click", () => unfold(box.environment));
  made.addEventListener("keydown", (event) => event.key === "Enter" && unfold(box.environment));
  return made;
}
