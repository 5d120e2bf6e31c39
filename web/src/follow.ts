// Follows one job to its end, whatever the connection does: a stream of events, opened again with
// growing pauses; after several failures the job is asked for instead, until a stream opens again.

import { ApiError, errorOf } from "./api";
import { parseJson } from "./lib/seed";
import { SseParser, type ServerEvent } from "./lib/sse";
import { toJob, toStep } from "./wire";
import type { Job, StepEvent } from "./types";

export type Connection = "live" | "retrying" | "polling";

export interface Watcher {
  job(job: Job): void;
  queued(position: number | null, estimate_s: number | null): void;
  step(step: StepEvent): void;
  preview(number: number): void;
  /** A picture is ready; the job has to be asked for. */
  result(index: number): void;
  connection(state: Connection): void;
  /** The job is gone or may not be seen; nothing more will come. */
  lost(error: ApiError): void;
}

/** The world outside, for tests. */
export interface Outside {
  open(signal: AbortSignal): Promise<Response>;
  get(): Promise<Job>;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** After this many failures in a row the job is asked for instead. */
const PATIENCE = 3;
/** The service sends a heartbeat every 15 s; silence for this long is a dead connection. */
const SILENCE = 40_000;
const POLL = 2_000;

/** Milliseconds before try `failures`, counted from 1: 0.5, 1, 2, 4, 8, then 15 s. */
export const pause = (failures: number): number => Math.min(15_000, 500 * 2 ** (failures - 1));

export const isOver = (job: Job): boolean => job.state !== "queued" && job.state !== "running";

/** Ends when the job has ended, is lost, or `signal` says so. Never throws. */
export async function follow(watcher: Watcher, outside: Outside, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      const seen = await stream(watcher, outside, signal);
      if (seen === "over") return;
      if (seen === "events") failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (isFinal(error)) return watcher.lost(error);
    }
    failures += 1;
    if (failures <= PATIENCE) {
      watcher.connection("retrying");
      await outside.sleep(pause(failures), signal);
    } else if (await poll(watcher, outside, signal)) {
      return;
    }
  }
}

const isFinal = (error: unknown): error is ApiError =>
  error instanceof ApiError && [401, 403, 404, 410].includes(error.status);

/** Asks for the job some times; true where it is over or lost. */
async function poll(watcher: Watcher, outside: Outside, signal: AbortSignal): Promise<boolean> {
  for (let round = 0; round < 5 && !signal.aborted; round += 1) {
    try {
      const job = await outside.get();
      watcher.connection("polling");
      watcher.job(job);
      if (isOver(job)) return true;
    } catch (error) {
      if (isFinal(error)) {
        watcher.lost(error);
        return true;
      }
      watcher.connection("retrying");
    }
    await outside.sleep(POLL, signal);
  }
  return false;
}

async function stream(watcher: Watcher, outside: Outside, signal: AbortSignal): Promise<"over" | "events" | "none"> {
  const silence = new AbortController();
  const stop = (): void => silence.abort();
  signal.addEventListener("abort", stop, { once: true });
  let timer = setTimeout(stop, SILENCE);
  let seen: "events" | "none" = "none";
  try {
    const response = await outside.open(silence.signal);
    if (!response.ok) throw await errorOf(response);
    if (!response.body) throw new ApiError(0, "offline", "the answer has no body");
    const parser = new SseParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return seen;
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE);
      for (const event of parser.feed(value)) {
        seen = "events";
        watcher.connection("live");
        if (tell(watcher, event)) return "over";
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stop();
  }
}

/** Passes one event on; true where it was the last. */
function tell(watcher: Watcher, { event, data }: ServerEvent): boolean {
  const value = parseJson(data) as Record<string, unknown>;
  const number = (name: string): number | null => (typeof value[name] === "number" ? (value[name] as number) : null);
  switch (event) {
    case "job":
    case "done":
    case "failed":
    case "cancelled": {
      const job = toJob(value);
      watcher.job(job);
      return isOver(job);
    }
    case "queued":
      watcher.queued(number("position"), number("estimate_s"));
      return false;
    case "step":
      watcher.step(toStep(value));
      return false;
    case "preview":
      watcher.preview(number("number") ?? 0);
      return false;
    case "result":
      watcher.result(number("index") ?? 0);
      return false;
    default:
      // `shutdown` and `refused` end the stream by themselves, and the next try says why; what is not known is passed over.
      return false;
  }
}

/** The pause of the real world; a connection that comes back ends it early. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      window.removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    window.addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}
