// The page: its head, and the view that the address names.

import { here, query } from "./address.js";
import { header } from "./header.js";
import { tick } from "./time.js";
import * as explain from "./views/explain.js";
import * as graph from "./views/graph.js";
import * as historyView from "./views/history.js";
import * as newest from "./views/newest.js";
import * as now from "./views/now.js";
import * as nowhere from "./views/nowhere.js";
import * as runs from "./views/runs.js";

const main = document.getElementById("main");
const [view, ...names] = here();
const head = header(document.getElementById("header"), view ?? "now");

if (view === undefined) now.open(main, head);
else if (view === "explain" && names.length === 3) explain.open(main, head, ...names, query);
else if (view === "explain" && names.length === 2) newest.open(main, head, ...names, query);
else if (view === "history" && names.length === 0) historyView.open(main, head);
else if (view === "graph" && names.length === 0) graph.open(main, head);
else if (view === "runs" && names.length === 3) runs.open(main, head, ...names);
else nowhere.open(main, head);

setInterval(tick, 1_000);
