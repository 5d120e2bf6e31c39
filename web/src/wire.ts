// JSON of the service -> the page's types. Reads leniently: a service that says more is understood.

import { seedOf } from "./lib/seed";
import type {
  Advice, Example, Fidelity, Hires, Inpaint, Job, JobResult, Kind, Limits, LoraChoice, Model, Order, Page, Progress, Session, Shelved, Source,
  SourceAdvice, State, StepEvent, Suggestion,
} from "./types";

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fields = (value: unknown): Fields => (isFields(value) ? value : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const maybeText = (value: unknown): string | null => (typeof value === "string" ? value : null);
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const maybeNumber = (value: unknown): number | null => (typeof value === "number" ? value : null);
const texts = (value: unknown): string[] => list(value).map((entry) => text(isFields(entry) ? entry.message : entry));

export function toSession(value: unknown): Session {
  const it = fields(value);
  return {
    key_required: it.key_required === true,
    signed_in: it.signed_in === true,
    name: maybeText(it.name),
    version: text(it.version),
    limits: toLimits(it.limits),
  };
}

function toLimits(value: unknown): Limits {
  const it = fields(value);
  return {
    picture_bytes: maybeNumber(it.picture_bytes) ?? 10 * (1 << 20),
    pixels: maybeNumber(it.pixels) ?? Infinity,
    count: maybeNumber(it.count) ?? 8,
  };
}

export function toSource(value: unknown): Source {
  const it = fields(value);
  return {
    sha256: text(it.sha256),
    name: text(it.name),
    width: number(it.width),
    height: number(it.height),
    bytes: number(it.bytes),
    warnings: texts(it.warnings),
  };
}

export const toExamples = (value: unknown): Example[] =>
  list(value).map((entry) => {
    const it = fields(entry);
    return {
      id: text(it.id),
      title: text(it.title) || text(it.id),
      credit: text(it.credit),
      width: number(it.width),
      height: number(it.height),
    };
  });

export function toAdvice(value: unknown): Advice {
  const it = fields(value);
  return {
    kind: text(it.kind),
    severity: it.severity === "note" ? "note" : "warning",
    message: text(it.message) || text(it.text),
    suggestion: toSuggestion(it.suggestion ?? it.suggested),
  };
}

function toSuggestion(value: unknown): Suggestion | null {
  if (typeof value === "number") return { action: "strength", value };
  const it = fields(value);
  const action = text(it.action);
  return action === "" || action === "nothing" ? null : { action, value: it.value };
}

export function toSourceAdvice(value: unknown): SourceAdvice {
  const it = fields(value);
  return { faces: list(it.faces).length, runs: maybeNumber(it.runs), advice: list(it.advice).map(toAdvice) };
}

export const toModels = (value: unknown): Model[] =>
  list(Array.isArray(value) ? value : fields(value).models).map((entry) => {
    const it = fields(entry);
    const defaults = fields(it.defaults);
    return {
      name: text(it.name),
      kind: text(it.kind),
      bytes: maybeNumber(it.bytes) ?? 0,
      is_default: it.is_default === true,
      defaults: {
        steps: maybeNumber(defaults.steps) ?? 30,
        guidance_scale: maybeNumber(defaults.guidance_scale) ?? 7.5,
        strength: maybeNumber(defaults.strength) ?? 0.5,
        sampler: text(defaults.sampler),
        schedule: text(defaults.schedule) || "model",
        image_guidance: maybeNumber(defaults.image_guidance),
      },
      native_side: maybeNumber(it.native_side) ?? 512,
      samplers: texts(it.samplers),
      eta: Object.fromEntries(Object.entries(fields(it.eta)).map(([name, share]) => [name, number(share)])),
      schedules: texts(it.schedules),
      colours: texts(it.colours),
      washes: it.washes === true,
      clip_skip: maybeNumber(it.clip_skip) ?? 1,
      styles: texts(it.styles),
      refiners: texts(it.refiners),
    };
  });

export function toOrder(value: unknown): Order {
  const it = fields(value);
  const strengths = list(it.strengths).filter((entry) => typeof entry === "number");
  return {
    prompt: text(it.prompt),
    negative_prompt: text(it.negative_prompt),
    prompt_mode: maybeText(it.prompt_mode),
    loras: toLoras(it.loras),
    source: maybeText(it.source) ?? maybeText(fields(it.source).sha256),
    strength: maybeNumber(it.strength),
    strengths: strengths.length > 0 ? strengths : null,
    width: maybeNumber(it.width),
    height: maybeNumber(it.height),
    size: maybeText(it.size),
    fit: maybeText(it.fit),
    count: maybeNumber(it.count),
    model: maybeText(it.model) ?? maybeText(fields(it.model).name),
    sampler: maybeText(it.sampler),
    schedule: maybeText(it.schedule),
    eta: maybeNumber(it.eta),
    guidance_rescale: maybeNumber(it.guidance_rescale),
    guidance_until: maybeNumber(it.guidance_until),
    cache_interval: maybeNumber(it.cache_interval),
    token_merging: maybeNumber(it.token_merging),
    image_guidance: maybeNumber(it.image_guidance),
    colours: maybeText(it.colours),
    wash: maybeText(it.wash),
    clip_skip: maybeNumber(it.clip_skip),
    noise: maybeText(it.noise),
    // A recipe calls it arithmetic.
    precision: maybeText(it.precision) ?? maybeText(it.arithmetic),
    // A recipe has both in one place.
    variation_seed: seedOf(it.variation_seed ?? fields(it.variation).seed),
    variation_strength: maybeNumber(it.variation_strength ?? fields(it.variation).strength),
    hires: toHires(it.hires),
    // A recipe has sides in place of choices.
    tiles: typeof it.tiles === "number" ? "on" : maybeText(it.tiles),
    vae_tiling: maybeText(it.vae_tiling),
    refiner: maybeText(it.refiner) ?? maybeText(fields(it.refiner).name),
    refiner_at: maybeNumber(it.refiner_at ?? fields(it.refiner).at),
    strength_rule: maybeText(it.strength_rule),
    steps: maybeNumber(it.steps),
    guidance_scale: maybeNumber(it.guidance_scale),
    seed: seedOf(it.seed),
    inpaint: toInpaint(it.inpaint),
  };
}

function toHires(value: unknown): Hires | null {
  if (!isFields(value)) return null;
  return { by: number(value.by), strength: maybeNumber(value.strength), steps: maybeNumber(value.steps), with: maybeText(value.with) };
}

/** Names and weights; null for none. */
export function toLoras(value: unknown): LoraChoice[] | null {
  const loras = list(value).map(fields).map((it) => ({ name: text(it.name), weight: maybeNumber(it.weight) ?? 1 }));
  return loras.length > 0 ? loras : null;
}

export const toShelved = (value: unknown): Shelved[] =>
  list(value).map(fields).map((it) => ({ name: text(it.name), family: maybeText(it.family) }));

/** Of an order, or of a recipe, which says in a place of its own what the mask is made of. */
function toInpaint(value: unknown): Inpaint | null {
  if (!isFields(value)) return null;
  const mask = isFields(value.mask) ? value.mask : value;
  return {
    intent: text(value.intent) || "change",
    content: maybeText(value.content),
    area: maybeText(value.area),
    expand: maybeText(value.expand),
    padding: maybeNumber(value.padding),
    wide: maybeNumber(value.wide),
    band: maybeNumber(value.band),
    ring: maybeNumber(value.ring),
    mask: maybeText(value.mask) ?? maybeText(fields(mask.picture).sha256),
    fit_mask: (mask.fit ?? mask.fit_mask) === true,
    boxes: list(mask.boxes),
    colours: texts(mask.colours),
    only: texts(mask.only),
    protect: texts(mask.protect),
    invert: mask.invert === true,
    grow: number(mask.grow),
    feather: number(mask.feather),
  };
}

export function toFidelity(value: unknown): Fidelity | null {
  if (!isFields(value)) return null;
  return { overall: number(value.overall), structure: number(value.structure), colour: number(value.colour) };
}

function toResult(value: unknown): JobResult {
  const it = fields(value);
  return {
    index: number(it.index),
    seed: seedOf(it.seed),
    variation_seed: seedOf(it.variation_seed),
    strength: maybeNumber(it.strength),
    width: number(it.width),
    height: number(it.height),
    fidelity: toFidelity(it.fidelity),
    warnings: texts(it.warnings),
    advice: list(it.advice).map(toAdvice),
    recipe: isFields(it.recipe) ? JSON.stringify(it.recipe) : null,
  };
}

export function toProgress(value: unknown): Progress | null {
  if (!isFields(value)) return null;
  return {
    picture: number(value.picture),
    pictures: maybeNumber(value.pictures) ?? 1,
    step: number(value.step),
    steps: maybeNumber(value.steps) ?? 1,
  };
}

export function toStep(value: unknown): StepEvent {
  const progress = toProgress(fields(value)) ?? { picture: 0, pictures: 1, step: 0, steps: 1 };
  return { ...progress, left_s: maybeNumber(fields(value).left_s) };
}

const KINDS: Record<string, Kind> = {
  transform: "transform", transforms: "transform", generate: "generate", generation: "generate",
  ladder: "ladder", vary: "vary", variation: "vary", variations: "vary", upscale: "upscale", inpaint: "inpaint",
};

export function toJob(value: unknown): Job {
  const it = fields(value);
  const order = fields(it.order ?? it.request ?? it);
  const failure = fields(it.failure);
  return {
    id: text(it.id),
    kind: KINDS[text(it.kind ?? order.kind)] ?? "transform",
    state: (maybeText(it.state) ?? "queued") as State,
    order: toOrder({ ...order, ...fields(order.kind) }),
    created_ms: number(it.created_ms),
    position: maybeNumber(it.position),
    estimate_s: maybeNumber(it.estimate_s),
    progress: toProgress(it.progress),
    source_name: maybeText(it.source_name),
    results: list(it.results).map(toResult).sort((a, b) => a.index - b.index),
    sheet: it.sheet === true || typeof it.sheet === "string",
    warnings: texts(it.warnings),
    failure: isFields(it.failure) ? { code: text(failure.code), message: text(failure.message) } : null,
    favourite: it.favourite === true,
  };
}

export function toPage(value: unknown): Page {
  const it = fields(value);
  return { jobs: list(it.jobs).map(toJob), next: maybeText(it.next) };
}
