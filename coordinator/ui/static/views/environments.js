// What the server knows of Airflow's own pages. Without an answer there are no links to them.

import { ask, Refused } from "../api.js";

export async function environments() {
  try {
    return (await ask("/environments")).environments;
  } catch (error) {
    if (error instanceof Refused) return {};
    throw error;
  }
}
