// The one place that talks to the service. Addresses are relative to the page, so a path prefix is kept.

import { parseJson, seedToJson } from "./lib/seed";
import * as wire from "./wire";
import type { Example, Job, Model, Order, Page, Session, Shelved, Source, SourceAdvice } from "./types";

/** Something the service or the network refused. Status 0: no answer at all. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
    /** Seconds after which another try makes sense. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

/** The address of `path` under the API, for fetch, pictures and links. */
export function address(path: string, base: string = document.baseURI): string {
  return new URL(`api/v1/${path}`, base).href;
}

interface Call {
  method?: string;
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Called where the service no longer knows who is asking. */
export const onSignedOut: { call: () => void } = { call: () => {} };

/** Makes an [`ApiError`] of an answer that is none of 2xx. */
export async function errorOf(response: Response): Promise<ApiError> {
  const after = Number(response.headers.get("Retry-After") ?? "");
  const retryAfter = Number.isFinite(after) && after > 0 ? after : null;
  const body = await response.text().catch(() => "");
  try {
    const error = (JSON.parse(body) as { error?: { code?: string; field?: string; message?: string } }).error;
    if (error?.message) {
      return new ApiError(response.status, error.code ?? "", error.message, error.field ?? null, retryAfter);
    }
  } catch {
    // A proxy's own page: the status says more than its text.
  }
  return new ApiError(response.status, "", `the service answered ${response.status}`, null, retryAfter);
}

async function send(path: string, call: Call = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...call.headers };
  if (call.json !== undefined) headers["Content-Type"] = "application/json";
  const body = call.json === undefined ? call.body : JSON.stringify(call.json);
  let response: Response;
  try {
    response = await fetch(address(path), {
      method: call.method ?? "GET",
      headers,
      ...(body === undefined ? {} : { body }),
      ...(call.signal ? { signal: call.signal } : {}),
    });
  } catch (error) {
    if (call.signal?.aborted) throw error;
    throw new ApiError(0, "offline", "the service cannot be reached");
  }
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.status === 401 && path !== "session") onSignedOut.call();
  throw error;
}

async function json(path: string, call: Call = {}): Promise<unknown> {
  return parseJson(await (await send(path, call)).text());
}

const post = (path: string, value: unknown, more: Call = {}): Promise<unknown> =>
  json(path, { ...more, method: "POST", json: value });

export const session = {
  get: async (): Promise<Session> => wire.toSession(await json("session")),
  open: async (key: string): Promise<void> => {
    await send("session", { method: "POST", json: { key } });
  },
  close: async (): Promise<void> => {
    await send("session", { method: "DELETE" });
  },
};

export const loras = async (): Promise<Shelved[]> => wire.toShelved(await json("loras"));

export const models = async (): Promise<Model[]> => wire.toModels(await json("models"));

export const sources = {
  put: async (file: Blob, name: string, signal?: AbortSignal): Promise<Source> =>
    wire.toSource(
      await json(`sources?name=${encodeURIComponent(name)}`, {
        method: "POST",
        body: file,
        headers: { "Content-Type": file.type || "application/octet-stream" },
        ...(signal ? { signal } : {}),
      }),
    ),
  /** The address of a source's bytes, or of a JPEG with at most `side` pixels a side. */
  picture: (sha256: string, side?: number): string =>
    address(`sources/${sha256}${side === undefined ? "" : `?side=${side}`}`),
  /** The file as it was put. */
  file: async (sha256: string): Promise<Blob> => (await send(`sources/${sha256}`, { headers: { Accept: "image/*" } })).blob(),
};

export const examples = {
  all: async (): Promise<Example[]> => wire.toExamples(await json("examples")),
  take: async (id: string): Promise<Source> =>
    wire.toSource(await json(`examples/${encodeURIComponent(id)}`, { method: "POST" })),
  picture: (id: string, side: number): string => address(`examples/${encodeURIComponent(id)}?side=${side}`),
};

/** What the adviser says of a source and of what is asked of it. */
export interface AdviceRequest {
  source: string;
  prompt?: string;
  negative_prompt?: string;
  strength?: number;
  steps?: number;
  model?: string;
}

export const advice = async (request: AdviceRequest, signal?: AbortSignal): Promise<SourceAdvice> =>
  wire.toSourceAdvice(await post("advice", request, signal ? { signal } : {}));

/** Where an order is posted. */
export type Route = "transforms" | "generations" | "ladders" | "variations" | "upscales" | "inpaintings";

/** An order as it is posted; absent fields take the model's defaults. */
export type Body = Partial<Record<keyof Order | "by", unknown>>;

/** The JSON of an order: only what is set, seeds never rounded. */
export function bodyOf(order: Partial<Order>): Body {
  const body: Body = {};
  for (const [name, value] of Object.entries(order) as [keyof Order, unknown][]) {
    if (value === null || value === undefined) continue;
    body[name] = name === "seed" || name === "variation_seed" ? seedToJson(value as string) : value;
  }
  return body;
}

export const recipe = async (file: Blob): Promise<unknown> =>
  json("recipes", {
    method: "POST",
    body: file,
    headers: { "Content-Type": file.type || "application/octet-stream" },
  });

export interface Search {
  search?: string;
  favourites?: boolean;
  before?: string;
  limit?: number;
}

const jobPath = (id: string, rest = ""): string => `jobs/${encodeURIComponent(id)}${rest}`;

export const jobs = {
  /** `key` makes a second try of the same order harmless. */
  submit: async (route: Route, body: Body, key: string): Promise<Job> =>
    wire.toJob(await post(route, body, { headers: { "Idempotency-Key": key } })),
  get: async (id: string): Promise<Job> => wire.toJob(await json(jobPath(id))),
  search: async (search: Search): Promise<Page> => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(search)) {
      if (value !== undefined && value !== "" && value !== false) query.set(name, String(value));
    }
    return wire.toPage(await json(`jobs?${query}`));
  },
  cancel: async (id: string): Promise<Job> => wire.toJob(await json(jobPath(id, "/cancel"), { method: "POST" })),
  remove: async (id: string): Promise<void> => {
    await send(jobPath(id), { method: "DELETE" });
  },
  favourite: async (id: string, on: boolean): Promise<Job> =>
    wire.toJob(await json(jobPath(id, "/favourite"), { method: on ? "PUT" : "DELETE" })),
  toSource: async (id: string, index: number): Promise<Source> =>
    wire.toSource(await json(jobPath(id, `/results/${index}/source`), { method: "POST" })),
  picture: (id: string, index: number, side?: number): string =>
    address(jobPath(id, `/results/${index}${side === undefined ? "" : `?format=jpeg&side=${side}`}`)),
  download: (id: string, index: number, format: "png" | "jpeg" | "webp"): string =>
    address(jobPath(id, `/results/${index}?format=${format}&download=true`)),
  sheet: (id: string): string => address(jobPath(id, "/sheet?download=true")),
  preview: (id: string, number: number): string => address(jobPath(id, `/preview?number=${number}`)),
  events: (id: string): string => address(jobPath(id, "/events")),
};
