// What the large picture shows: the source, a job, or one result of a job; for each tab its own.

import { isOver } from "../follow";
import { read, write } from "../lib/keep";
import type { Tab } from "../lib/settings";
import type { Job, JobResult } from "../types";
import { draft } from "./draft.svelte";
import { jobs } from "./jobs.svelte";

export interface Shown {
  id: string;
  /** Which result; null for all of them side by side. */
  index: number | null;
}

export const tabOf = (job: Job): Tab => (job.kind === "generate" ? "generate" : "transform");

class Stage {
  shown = $state<Record<Tab, Shown | null>>({ transform: null, generate: null });

  get here(): Shown | null {
    return this.shown[draft.tab];
  }

  get job(): Job | null {
    const here = this.here;
    return here === null ? null : (jobs.all[here.id] ?? null);
  }

  /** The result on show: the chosen one, or the only one. */
  get result(): JobResult | null {
    const job = this.job;
    if (!job) return null;
    const index = this.here?.index ?? null;
    if (index !== null) return job.results.find((result) => result.index === index) ?? null;
    return isOver(job) && job.results.length === 1 ? (job.results[0] ?? null) : null;
  }

  show(job: Job, index: number | null = null): void {
    const tab = tabOf(job);
    draft.tab = tab;
    this.shown[tab] = { id: job.id, index };
  }

  pick(index: number | null): void {
    const here = this.here;
    if (here) this.shown[draft.tab] = { ...here, index };
  }

  clear(tab: Tab = draft.tab): void {
    this.shown[tab] = null;
  }

  /** Keeps what is shown, and follows the job on show; call once, where effects may live. */
  keep(): void {
    $effect(() => {
      write("shown", $state.snapshot(this.shown));
    });
    $effect(() => {
      const job = this.job;
      jobs.follow(job && !isOver(job) ? job.id : null);
    });
  }

  /** After a reload: what was shown, where it is still there. */
  async restore(): Promise<void> {
    const kept = read("shown") as Partial<Record<Tab, Shown | null>> | null;
    for (const tab of ["transform", "generate"] as const) {
      const shown = kept?.[tab];
      if (!shown || typeof shown.id !== "string") continue;
      const job = await jobs.get(shown.id).catch(() => null);
      if (job) this.shown[tab] = { id: job.id, index: typeof shown.index === "number" ? shown.index : null };
    }
  }
}

export const stage = new Stage();
