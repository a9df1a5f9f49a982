// Where the address leads nowhere.

import { base } from "../address.js";
import { el, show } from "../dom.js";

export function open(main, head) {
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
