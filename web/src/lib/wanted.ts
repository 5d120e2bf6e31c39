// How many pictures a job makes.

import type { Job } from "../types";

/** Pictures of a job, made and still to make; `running` is what its worker last said of it. */
export const wanted = (job: Job, running: { pictures: number } | null = job.progress): number =>
  Math.max(1, job.order.strengths?.length ?? 0, job.order.count ?? 0, running?.pictures ?? 0, job.results.length);
