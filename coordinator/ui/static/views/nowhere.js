// Where nothing is asked for yet, and where the address leads nowhere.

import { base } from "../address.js";
import { el, show } from "../dom.js";

export function open(main, head) {
  head.title();
  head.idle();
  show(
    main,
    el(
      "section.lone",
      {},
      el("h1", {}, "Why has it not run?"),
      el("p", {}, "Type a pipeline into the field above, or follow the link of a run in Airflow."),
      el(
        "dl.forms",
        {},
        el("dt", {}, el("code", {}, "daily_report")),
        el("dd", {}, "the newest partitions of a pipeline in the environment “default”"),
        el("dt", {}, el("code", {}, "team_b/load")),
        el("dd", {}, "of one in the environment “team_b”"),
        el("dt", {}, el("code", {}, "team_b/load@2026-11-20")),
        el("dd", {}, "why it runs in that partition, or what it waits for"),
      ),
    ),
  );
}

export function nowhere(main, head) {
  head.title("not here");
  head.idle();
  show(
    main,
    el(
      "section.lone",
      {},
      el("h1", {}, "There is nothing at this address"),
      el("p", {}, "Explanations are at ", el("code", {}, `${base}/explain/ENVIRONMENT/DAG_ID/PARTITION`), "."),
    ),
  );
}
