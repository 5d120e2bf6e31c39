// Which dialog is open, and what it is about.

import type { Order } from "../types";

export interface Recallable {
  file: File;
  order: Order;
  sourceName: string;
  /** What of its recipe no order can carry. */
  lost: string[];
}

export const dialogs = $state<{
  history: boolean;
  /** Two results to look at side by side. */
  compare: [Picked, Picked] | null;
  /** A picture of ours that was brought. */
  recall: Recallable | null;
}>({ history: false, compare: null, recall: null });

/** A result of a job. */
export interface Picked {
  job: string;
  index: number;
}
