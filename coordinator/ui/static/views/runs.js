// A run of Airflow: leads on to the explanation of its partition, once it is known.

import { nameOf } from "../address.js";
import { follow } from "../api.js";
import { show } from "../dom.js";
import { refusal } from "./refused.js";

export function open(main, head, environment, dag_id, run_id) {
  const pipeline = { environment, dag_id };
  head.title(run_id, nameOf(pipeline));
  head.pipeline(pipeline);
  head.asking();
  const path = ["", "runs", environment, dag_id, run_id].map(encodeURIComponent).join("/");
  follow(path, {
    slow: head.slow,
    answer: (found) => location.replace(found.explain),
    refused(error) {
      if (error.passes) head.away(error, null);
      else head.idle();
      show(main, refusal(error, pipeline));
    },
  });
}
