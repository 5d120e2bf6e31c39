import { describe, expect, it } from "vitest";
import { ApiError } from "../src/api";
import { follow, pause, type Connection, type Outside, type Watcher } from "../src/follow";
import { toJob } from "../src/wire";
import type { Job } from "../src/types";

const job = (state: string): Job => toJob({ id: "1", kind: "transform", state, order: { prompt: "" }, results: [] });
const events = (...list: [string, unknown][]): Response =>
  new Response(list.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join(""));
const wire = (state: string) => ({ id: "1", kind: "transform", state, order: { prompt: "" }, results: [] });

/** Runs `follow` against answers in turn; an Error is thrown, a function is called. */
async function run(opens: (Response | Error)[], gets: (Job | Error)[] = []) {
  const seen = { states: [] as string[], steps: [] as number[], connections: [] as Connection[], lost: null as ApiError | null, pauses: [] as number[] };
  const watcher: Watcher = {
    job: (it) => seen.states.push(it.state),
    queued: () => {},
    step: (it) => seen.steps.push(it.step),
    preview: () => {},
    result: () => {},
    connection: (state) => {
      if (seen.connections.at(-1) !== state) seen.connections.push(state);
    },
    lost: (error) => (seen.lost = error),
  };
  const stop = new AbortController();
  const take = async <T>(from: (T | Error)[]): Promise<T> => {
    const next = from.shift();
    if (next === undefined) {
      stop.abort();
      throw new Error("nothing left");
    }
    if (next instanceof Error) throw next;
    return next;
  };
  const outside: Outside = {
    open: () => take(opens),
    get: () => take(gets),
    sleep: async (milliseconds) => void seen.pauses.push(milliseconds),
  };
  await follow(watcher, outside, stop.signal);
  return { ...seen, opens, gets };
}

const broken = new TypeError("network error");

describe("following a job", () => {
  it("ends with the job", async () => {
    const seen = await run([events(["job", wire("running")], ["step", { picture: 1, pictures: 1, step: 1, steps: 5, left_s: 4 }], ["done", wire("done")])]);
    expect(seen.states).toEqual(["running", "done"]);
    expect(seen.steps).toEqual([1]);
    expect(seen.pauses).toEqual([]);
  });

  it("ends at once where the job is over already", async () => {
    const seen = await run([events(["job", wire("cancelled")])]);
    expect(seen.states).toEqual(["cancelled"]);
  });

  it("opens the stream again after it broke, and starts the pauses anew", async () => {
    const cut = () => events(["job", wire("running")]);
    const seen = await run([broken, cut(), broken, events(["job", wire("done")])]);
    expect(seen.states).toEqual(["running", "done"]);
    expect(seen.pauses).toEqual([pause(1), pause(1), pause(2)]);
    expect(seen.connections).toEqual(["retrying", "live", "retrying", "live"]);
  });

  it("asks for the job where no stream will open", async () => {
    const seen = await run([broken, broken, broken, broken], [job("running"), job("done")]);
    expect(seen.states).toEqual(["running", "done"]);
    expect(seen.connections).toEqual(["retrying", "polling"]);
  });

  it("goes back to the stream once it opens", async () => {
    const asked = Array.from({ length: 5 }, () => job("running"));
    const seen = await run([broken, broken, broken, broken, events(["job", wire("done")])], asked);
    expect(seen.connections.at(-1)).toBe("live");
    expect(seen.states.at(-1)).toBe("done");
  });

  it("goes on over a restart of the service", async () => {
    const seen = await run([events(["job", wire("running")], ["shutdown", {}]), events(["job", wire("queued")], ["done", wire("done")])]);
    expect(seen.states).toEqual(["running", "queued", "done"]);
  });

  it("gives up where the job is gone", async () => {
    const seen = await run([new Response('{"error":{"code":"no_job","message":"there is no such job"}}', { status: 404 })]);
    expect(seen.lost?.status).toBe(404);
    expect(seen.pauses).toEqual([]);
  });

  it("tries again where the service is busy", async () => {
    const seen = await run([new Response("", { status: 503 }), events(["job", wire("done")])]);
    expect(seen.lost).toBeNull();
    expect(seen.states).toEqual(["done"]);
  });

  it("pauses longer and longer, but not for ever", () => {
    expect([1, 2, 3, 4, 5, 6, 20].map(pause)).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000]);
  });
});
