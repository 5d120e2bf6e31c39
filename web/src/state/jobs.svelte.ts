// Every job the page knows of. One is followed by its stream of events, since browsers allow few open
// connections to one server; the other unfinished ones are asked for now and then.

import * as api from "../api";
import { follow, isOver, sleep, type Connection } from "../follow";
import { drawKey, read, write } from "../lib/keep";
import type { Posting } from "../lib/settings";
import type { Job, StepEvent } from "../types";

/** What is known of a job in the making beyond the job itself. */
export interface Live {
  step: StepEvent | null;
  preview: number | null;
  /** When `step.left_s` was said, on this computer's clock. */
  said_ms: number;
}

interface Pending extends Posting {
  key: string;
}

const ASK_EVERY = 3_000;
const TRIES = 4;

class Jobs {
  all = $state<Record<string, Job>>({});
  live = $state<Record<string, Live>>({});
  connection = $state<Connection>("live");
  /** Called with a job that has just ended. */
  ended: (job: Job) => void = () => {};
  #followed: { id: string; stop: AbortController } | null = null;
  #asking: ReturnType<typeof setInterval> | null = null;

  get unfinished(): Job[] {
    return Object.values(this.all).filter((job) => !isOver(job));
  }

  put(job: Job): void {
    const before = this.all[job.id];
    // An answer that was overtaken by the end of the job.
    if (before && isOver(before) && !isOver(job)) return;
    this.all[job.id] = job;
    if (isOver(job)) {
      delete this.live[job.id];
      if (before && !isOver(before)) this.ended(job);
    }
    this.#ask();
  }

  drop(id: string): void {
    if (this.#followed?.id === id) this.follow(null);
    delete this.all[id];
    delete this.live[id];
  }

  /** A job by its id; asks for it where it is not known. Null where it is gone. */
  async get(id: string): Promise<Job | null> {
    const known = this.all[id];
    if (known) return known;
    try {
      const job = await api.jobs.get(id);
      this.put(job);
      return job;
    } catch (error) {
      if (error instanceof api.ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** Follows this job's events, and no other's. */
  follow(id: string | null): void {
    if (this.#followed?.id === id) return;
    this.#followed?.stop.abort();
    this.#followed = null;
    this.connection = "live";
    const job = id === null ? undefined : this.all[id];
    if (!job || isOver(job)) return;
    const stop = new AbortController();
    this.#followed = { id: job.id, stop };
    const outside = {
      open: (signal: AbortSignal) =>
        fetch(api.jobs.events(job.id), { headers: { Accept: "text/event-stream" }, signal, cache: "no-store" as const }),
      get: () => api.jobs.get(job.id),
      sleep,
    };
    void follow(this.#watcher(job.id), outside, stop.signal).finally(() => {
      if (this.#followed?.stop === stop) {
        this.#followed = null;
        this.connection = "live";
      }
    });
  }

  #watcher(id: string) {
    const live = (): Live => (this.live[id] ??= { step: null, preview: null, said_ms: Date.now() });
    return {
      job: (job: Job) => this.put(job),
      queued: (position: number | null, estimate_s: number | null) => {
        const job = this.all[id];
        if (job) this.all[id] = { ...job, state: "queued", position, estimate_s };
      },
      step: (step: StepEvent) => {
        const job = this.all[id];
        if (job?.state === "queued") this.all[id] = { ...job, state: "running", position: null };
        Object.assign(live(), { step, said_ms: Date.now() });
      },
      preview: (number: number) => {
        live().preview = number;
      },
      result: () => {
        // The whole job comes with `done`; until then its results so far are asked for.
        void api.jobs.get(id).then((job) => this.put(job), () => {});
      },
      connection: (state: Connection) => {
        this.connection = state;
      },
      lost: (error: api.ApiError) => {
        if (error.status === 404) this.drop(id);
      },
    };
  }

  #ask(): void {
    write("unfinished", this.unfinished.map((job) => job.id));
    const waiting = this.unfinished.length > 0;
    if (waiting && this.#asking === null) {
      this.#asking = setInterval(() => {
        for (const job of this.unfinished) {
          if (job.id === this.#followed?.id) continue;
          api.jobs.get(job.id).then(
            (now) => this.put(now),
            (error) => {
              if (error instanceof api.ApiError && error.status === 404) this.drop(job.id);
            },
          );
        }
      }, ASK_EVERY);
    } else if (!waiting && this.#asking !== null) {
      clearInterval(this.#asking);
      this.#asking = null;
    }
  }

  /** Posts an order. It is kept until the service has it, so that neither a reload nor a lost answer doubles or loses it. */
  async submit(posting: Posting, key: string = drawKey()): Promise<Job> {
    write("pending", { ...posting, key } satisfies Pending);
    for (let failures = 1; ; failures += 1) {
      try {
        const job = await api.jobs.submit(posting.route, posting.body, key);
        write("pending", null);
        this.put(job);
        return job;
      } catch (error) {
        const passing = error instanceof api.ApiError && [0, 502, 503, 504].includes(error.status);
        if (!passing || failures === TRIES) {
          write("pending", null);
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, 400 * 2 ** failures));
      }
    }
  }

  /** After a reload: the order that was under way, if there was one. */
  async resume(): Promise<Job | null> {
    const pending = read("pending") as Pending | null;
    if (!pending || typeof pending.key !== "string" || typeof pending.route !== "string") return null;
    return this.submit(pending, pending.key).catch(() => null);
  }

  /** After a reload: every job that was not over. */
  async restore(): Promise<void> {
    const ids = read("unfinished");
    if (!Array.isArray(ids)) return;
    await Promise.allSettled(ids.filter((id) => typeof id === "string").map((id) => this.get(id as string)));
  }

  /** Asks again for the pages of history; the newest jobs first. */
  async search(search: api.Search): Promise<{ ids: string[]; next: string | null }> {
    const page = await api.jobs.search(search);
    for (const job of page.jobs) this.put(job);
    return { ids: page.jobs.map((job) => job.id), next: page.next };
  }

  async cancel(id: string): Promise<void> {
    this.put(await api.jobs.cancel(id));
  }

  async favourite(id: string, on: boolean): Promise<void> {
    this.put(await api.jobs.favourite(id, on));
  }

  async remove(id: string): Promise<void> {
    await api.jobs.remove(id);
    this.drop(id);
  }
}

export const jobs = new Jobs();
