// Says that a job has ended where its picture is not what one looks at, and keeps the tab's title true.

import { toast } from "svelte-sonner";
import { sentence } from "../lib/say";
import type { Job } from "../types";
import { jobs } from "./jobs.svelte";
import { stage } from "./stage.svelte";

/** Call once, where effects may live. */
export function watchEnds(): void {
  jobs.ended = (job: Job) => {
    const here = stage.here?.id === job.id;
    const action = { label: "Show", onClick: () => stage.show(job) };
    if (here) return;
    if (job.state === "failed") {
      toast.error("A picture failed", { description: sentence(job.failure?.message ?? ""), duration: 9000, action });
    } else if (job.state === "done") {
      toast.success("A picture is ready", { description: job.order.prompt || "No prompt", action });
    }
  };
  $effect(() => {
    const job = stage.job;
    const step = job ? jobs.live[job.id]?.step : null;
    const running = job?.state === "running" && step;
    document.title = running ? `${Math.round(share(step) * 100)} % – imagegen` : "imagegen";
  });
}

/** How much of a job is done, 0 to 1. */
export function share(at: { picture: number; pictures: number; step: number; steps: number }): number {
  if (at.steps === 0 || at.pictures === 0) return 0;
  return Math.min(1, (Math.max(0, at.picture - 1) + at.step / at.steps) / at.pictures);
}
