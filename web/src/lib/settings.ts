// From what is on the page to an order, from an order or a recipe back to the page.

import type { Body, Route } from "../api";
import { bodyOf } from "../api";
import { toLoras, toOrder } from "../wire";
import type { Hires, Job, JobResult, LoraChoice, Model, Order, Source } from "../types";
import { bytes } from "./format";
import { freshPainting, inpaintBody, paintingOf, readPainting, type Painting } from "./painting";
import { parseJson, readSeed, type Seed } from "./seed";

export type Tab = "transform" | "generate";

/** Everything a person can set; kept over a reload. `null` and `""` are the model's own default. */
export interface Draft {
  tab: Tab;
  source: Source | null;
  prompt: string;
  negative: string;
  strength: number;
  /** `""` as large as the source, `640` longest side, `640x480` exactly. */
  size: string;
  fit: string;
  /** Whether a part is made anew instead of the whole picture, and how. The painted mask is kept apart. */
  repaint: boolean;
  painting: Painting;
  textPrompt: string;
  width: number;
  height: number;
  count: number;
  /** Strengths of a ladder. */
  rungs: number[];
  /** How many variations. */
  variations: number;
  model: string | null;
  sampler: string | null;
  schedule: string | null;
  /** Share of fresh noise. */
  eta: number | null;
  rescale: number | null;
  /** Share of the steps that are guided. */
  guidedUntil: number | null;
  /** Every how many steps the whole network runs. */
  cacheInterval: number | null;
  tokenMerging: number | null;
  imageGuidance: number | null;
  colours: string | null;
  wash: string | null;
  clipSkip: number | null;
  /** Whose random numbers seeds stand for. */
  noise: string | null;
  /** In what networks multiply; null for f32. */
  precision: string | null;
  /** How far from the seed's noise to that of `variationSeed`, which is drawn where it is `""`. */
  variation: number | null;
  variationSeed: Seed;
  /** How many times larger the second pass makes a picture from text; null for none. */
  hires: number | null;
  hiresStrength: number | null;
  hiresSteps: number | null;
  hiresWith: string | null;
  /** Whether pictures larger than the model works at are worked on in windows. */
  tiles: string | null;
  vaeTiling: string | null;
  /** The model that runs the last steps, and the share of the noise levels before it. */
  refiner: string | null;
  refinerAt: number | null;
  rule: string | null;
  /** LoRAs besides those that prompts name. */
  loras: LoraChoice[];
  /** How brackets and keywords of prompts are read. */
  mode: string | null;
  steps: number | null;
  guidance: number | null;
  /** The seed to use while `locked`; otherwise each order draws its own. */
  seed: Seed;
  locked: boolean;
}

/** Strengths of a ladder where nobody chose others. */
export const RUNGS: readonly number[] = [0.35, 0.5, 0.65];
/** Variations where nobody chose another number. */
export const VARIATIONS = 4;

/** Most that a LoRA can weigh, and least with a minus. */
export const MOST_WEIGHT = 10;

export const NEGATIVE = "blurry, noisy, distorted";

/** Finer choices than the sampler, none of them made. */
export const FINER = {
  schedule: null, eta: null, rescale: null, guidedUntil: null, cacheInterval: null, tokenMerging: null, imageGuidance: null, colours: null, wash: null, clipSkip: null, noise: null, precision: null, variation: null, variationSeed: "",
  hires: null, hiresStrength: null, hiresSteps: null, hiresWith: null, tiles: null, vaeTiling: null, refiner: null, refinerAt: null,
};

/** Whether any of them is made. */
export const isFiner = (draft: Draft): boolean =>
  (Object.keys(FINER) as (keyof typeof FINER)[]).some((name) => name !== "variationSeed" && draft[name] !== null);

/** Strength of a second pass, and when a refiner takes over, where nobody says. */
export const HIRES_STRENGTH = 0.5;
export const REFINER_AT = 0.8;
/** What enlarges between two passes; the first where nobody says. */
export const ENLARGERS: readonly [string, string][] = [
  ["lanczos", "its pixels"], ["realesr-animevideov3", "its pixels, edges drawn"], ["latent", "its latents"],
];
/** Most pixels that an autoencoder looks at whole by itself. */
const WHOLE = 1_572_864;

/** The finer choices that neither the draft's sampler nor `model` leaves open, each back at null. */
export function notOpen(model: Model | null, { sampler, clipSkip, refiner }: Pick<Draft, "sampler" | "clipSkip" | "refiner">): Partial<Draft> {
  if (model === null) return {};
  return {
    ...(model.eta[sampler ?? model.defaults.sampler] === undefined ? { eta: null } : {}),
    ...(model.defaults.image_guidance === null ? { imageGuidance: null } : {}),
    ...(model.colours.length === 0 ? { colours: null } : {}),
    ...(model.washes ? {} : { wash: null }),
    ...(model.clip_skip < (clipSkip ?? 1) ? { clipSkip: null } : {}),
    ...(refiner !== null && !model.refiners.includes(refiner) ? { refiner: null, refinerAt: null } : {}),
  };
}

export const fresh = (): Draft => ({
  tab: "transform",
  source: null,
  prompt: "",
  negative: NEGATIVE,
  strength: 0.5,
  size: "",
  fit: "keep",
  repaint: false,
  painting: freshPainting(),
  textPrompt: "",
  width: 512,
  height: 512,
  count: 1,
  rungs: [...RUNGS],
  variations: VARIATIONS,
  model: null,
  sampler: null,
  ...FINER,
  rule: null,
  loras: [],
  mode: null,
  steps: null,
  guidance: null,
  seed: "",
  locked: false,
});

/** Fields of a draft that may be null, and what they are where they are not. */
const NULLABLE: Record<string, "string" | "number" | "object"> = {
  source: "object", model: "string", sampler: "string", schedule: "string", eta: "number", rescale: "number", guidedUntil: "number", cacheInterval: "number", tokenMerging: "number",
  imageGuidance: "number", colours: "string", wash: "string", clipSkip: "number", noise: "string", precision: "string", variation: "number",
  hires: "number", hiresStrength: "number", hiresSteps: "number", hiresWith: "string", tiles: "string", vaeTiling: "string", refiner: "string",
  refinerAt: "number", rule: "string", mode: "string", steps: "number", guidance: "number",
};

/** A draft out of storage; what does not fit falls back to the start. */
export function readDraft(stored: unknown): Draft {
  const draft = fresh();
  if (typeof stored !== "object" || stored === null) return draft;
  const target = draft as unknown as Record<string, unknown>;
  for (const [name, value] of Object.entries(stored)) {
    if (!(name in target)) continue;
    const fits = name in NULLABLE ? isNullable(name, value) : typeof value === typeof target[name];
    if (fits && !(typeof value === "number" && !Number.isFinite(value))) target[name] = value;
  }
  if (draft.tab !== "generate") draft.tab = "transform";
  draft.painting = readPainting(draft.painting);
  draft.strength = Math.min(1, Math.max(0, draft.strength));
  draft.variations = Math.min(16, Math.max(2, Math.round(draft.variations)));
  draft.loras = (toLoras(draft.loras) ?? []).map((it) => ({ ...it, weight: Math.min(MOST_WEIGHT, Math.max(-MOST_WEIGHT, it.weight)) }));
  if (!Array.isArray(draft.rungs) || rungsOf(draft.rungs.join(" ")) === null) draft.rungs = [...RUNGS];
  return draft;
}

/** 2 to 8 different strengths out of what was typed, lowest first; null where it is anything else. */
export function rungsOf(text: string): number[] | null {
  const parts = text.split(/[\s;/]+|,\s+|,$/).filter((part) => part !== "");
  const rungs = parts.map((part) => Number(part.replace(",", ".")));
  const different = [...new Set(rungs)].sort((a, b) => a - b);
  const sound = rungs.length === different.length && rungs.length >= 2 && rungs.length <= 8;
  return sound && rungs.every((rung) => rung >= 0 && rung <= 1) ? different : null;
}

function isNullable(name: string, value: unknown): boolean {
  if (value === null) return true;
  if (name === "source") return typeof value === "object" && typeof (value as Source).sha256 === "string";
  return typeof value === NULLABLE[name];
}

/** What all kinds of orders share. */
function shared(draft: Draft, model: Model | null): Partial<Order> {
  return {
    negative_prompt: negativeOf(draft, model),
    prompt_mode: draft.mode,
    loras: draft.loras.length > 0 ? draft.loras.map((it) => ({ ...it })) : null,
    model: draft.model,
    sampler: draft.sampler,
    schedule: draft.schedule,
    eta: draft.eta,
    guidance_rescale: draft.rescale,
    guidance_until: draft.guidedUntil,
    cache_interval: draft.cacheInterval,
    token_merging: draft.tokenMerging,
    clip_skip: draft.clipSkip,
    noise: draft.noise,
    precision: draft.precision,
    variation_seed: (draft.variation ?? 0) > 0 ? readSeed(draft.variationSeed) : null,
    variation_strength: draft.variation,
    vae_tiling: draft.vaeTiling,
    steps: draft.steps,
    guidance_scale: draft.guidance,
    seed: draft.locked ? readSeed(draft.seed) : null,
  };
}

/** What one model alone, at a size it works at, has no choice of. */
function larger(draft: Draft): Partial<Order> {
  const { tiles, refiner } = draft;
  return { tiles, refiner, refiner_at: refiner === null ? null : draft.refinerAt };
}

/** The second pass that is asked for: only what was set. */
function secondPass(draft: Draft): Hires | null {
  if (draft.hires === null) return null;
  const pass = { by: draft.hires, strength: draft.hiresStrength, steps: draft.hiresSteps, with: draft.hiresWith };
  return Object.fromEntries(Object.entries(pass).filter(([, value]) => value !== null)) as unknown as Hires;
}

export interface Posting {
  route: Route;
  body: Body;
}

/** Whether a negative prompt has a say: at guidance 1 the model runs with the prompt alone. */
export const hearsNegative = ({ guidance }: Pick<Draft, "guidance">, model: Model | null): boolean =>
  (guidance ?? model?.defaults.guidance_scale) !== 1;

/** The negative prompt to send: the one that nobody wrote stays at home where `model` would not hear it. */
export const negativeOf = (draft: Pick<Draft, "guidance" | "negative">, model: Model | null): string =>
  draft.negative === NEGATIVE && !hearsNegative(draft, model) ? "" : draft.negative.trim();

/** The order for what is on the page. A transform needs `draft.source`; `mask` is the hash of the painted one. */
export function posting(draft: Draft, mask: string | null = null, model: Model | null = null): Posting {
  if (draft.tab === "generate") {
    const { width, height, count } = draft;
    const order = { ...shared(draft, model), ...larger(draft), hires: secondPass(draft), prompt: draft.textPrompt.trim(), width, height, count };
    return { route: "generations", body: bodyOf(order) };
  }
  const order = {
    ...shared(draft, model),
    prompt: draft.prompt.trim(),
    source: draft.source?.sha256 ?? null,
    image_guidance: draft.imageGuidance,
    colours: draft.colours,
    wash: draft.wash,
    strength_rule: draft.rule,
    count: draft.count,
  };
  if (draft.repaint) {
    const body = bodyOf({ ...order, strength: draft.painting.strength });
    return { route: "inpaintings", body: { ...body, inpaint: inpaintBody(draft.painting, mask) } };
  }
  return {
    route: "transforms",
    body: bodyOf({
      ...order,
      ...larger(draft),
      strength: draft.strength,
      size: draft.size === "" ? null : draft.size,
      fit: draft.size.includes("x") ? draft.fit : null,
    }),
  };
}

/** The settings of one result: the order's, with the result's own seed and strength. */
export function settingsOf(job: Job, result?: JobResult): Order {
  return {
    ...job.order,
    seed: result?.seed ?? job.order.seed,
    variation_seed: result?.variation_seed ?? job.order.variation_seed,
    strength: result?.strength ?? job.order.strength,
  };
}

/** Fields of an order that a transform, a ladder and variations share. */
function again(order: Order): Partial<Order> {
  const { prompt, negative_prompt, prompt_mode, source, size, fit, model, sampler, strength_rule, steps, guidance_scale, seed } = order;
  const { loras } = order;
  const { schedule, eta, guidance_rescale, guidance_until, cache_interval, token_merging, image_guidance, colours, wash, clip_skip, noise, precision } = order;
  const { variation_seed, variation_strength } = order;
  const { tiles, vae_tiling, refiner, refiner_at } = order;
  return {
    prompt, negative_prompt, prompt_mode, loras, source, size, fit, model, sampler, schedule, eta, guidance_rescale, guidance_until,
    cache_interval, token_merging, image_guidance, colours, wash, clip_skip, noise, precision, variation_seed, variation_strength, tiles, vae_tiling, refiner, refiner_at, strength_rule, steps, guidance_scale,
    seed,
  };
}

/** The same picture at another strength. */
export const atStrength = (order: Order, strength: number): Posting => ({
  route: "transforms",
  body: bodyOf({ ...again(order), strength, count: 1 }),
});

/** The same picture at several strengths, side by side. */
export const ladder = (order: Order, strengths: readonly number[]): Posting => ({
  route: "ladders",
  body: bodyOf({ ...again(order), strengths: [...strengths] }),
});

/** The same order with other seeds; `seed` is the first. They start from their own noise alone. */
export const variations = (order: Order, count: number, seed: Seed | null): Posting => ({
  route: "variations",
  body: bodyOf({ ...again(order), strength: order.strength, count, seed, variation_seed: null, variation_strength: null }),
});

/** A source twice as large, its detail drawn by the upscaler alone. */
export const upscale = (source: string): Posting => ({ route: "upscales", body: { source, by: 2 } });

/** The draft with an order's settings. The source is another matter: it may not be there any more. */
export function recalled(draft: Draft, order: Order): Draft {
  const text = order.source === null;
  const next: Draft = {
    ...draft,
    tab: text ? "generate" : "transform",
    negative: order.negative_prompt,
    model: order.model,
    sampler: order.sampler,
    schedule: order.schedule,
    eta: order.eta,
    rescale: order.guidance_rescale,
    guidedUntil: order.guidance_until,
    cacheInterval: order.cache_interval,
    tokenMerging: order.token_merging,
    imageGuidance: order.image_guidance,
    colours: order.colours,
    wash: order.wash,
    clipSkip: order.clip_skip,
    noise: order.noise,
    precision: order.precision,
    variation: order.variation_strength,
    variationSeed: order.variation_seed ?? "",
    hires: order.hires?.by ?? null,
    hiresStrength: order.hires?.strength ?? null,
    hiresSteps: order.hires?.steps ?? null,
    hiresWith: order.hires?.with ?? null,
    tiles: order.tiles,
    vaeTiling: order.vae_tiling,
    refiner: order.refiner,
    refinerAt: order.refiner_at,
    rule: order.strength_rule,
    loras: order.loras ?? [],
    mode: order.prompt_mode,
    steps: order.steps,
    guidance: order.guidance_scale,
    seed: order.seed ?? draft.seed,
    locked: order.seed !== null,
  };
  if (text) {
    return { ...next, textPrompt: order.prompt, width: order.width ?? draft.width, height: order.height ?? draft.height };
  }
  if (order.inpaint !== null) {
    return { ...next, prompt: order.prompt, repaint: true, painting: paintingOf(order.inpaint, order.strength) };
  }
  return {
    ...next,
    prompt: order.prompt,
    repaint: false,
    strength: order.strength ?? draft.strength,
    size: order.size === null || order.size === "source" ? "" : order.size,
    fit: order.fit ?? "keep",
  };
}

/** The order with null for all that its model would do by itself, so that only what differs counts as changed. */
export function relaxed(order: Order, models: readonly Model[]): Order {
  const standard = models.find((model) => model.is_default);
  const model = models.find((it) => it.name === (order.model ?? standard?.name));
  // Under the rules of other programs colours are left as those leave them.
  const foreign = order.strength_rule === "diffusers" || order.strength_rule === "a1111";
  const unless = <T>(value: T | null, own: T | undefined): T | null => (value === own ? null : value);
  return {
    ...order,
    model: unless(order.model, standard?.name),
    sampler: unless(order.sampler, model?.defaults.sampler),
    schedule: unless(order.schedule, model?.defaults.schedule),
    eta: unless(order.eta, model?.eta[order.sampler ?? model.defaults.sampler]),
    guidance_rescale: unless(order.guidance_rescale, 0),
    guidance_until: unless(order.guidance_until, 1),
    cache_interval: unless(order.cache_interval, 1),
    token_merging: unless(order.token_merging, 0),
    image_guidance: unless(order.image_guidance, model?.defaults.image_guidance ?? undefined),
    colours: model?.colours.length === 0 ? null : unless(order.colours, foreign ? "decoded" : "kept"),
    steps: unless(order.steps, model?.defaults.steps),
    guidance_scale: unless(order.guidance_scale, model?.defaults.guidance_scale),
    clip_skip: unless(order.clip_skip, 1),
    noise: unless(order.noise, "cpu"),
    precision: unless(order.precision, "f32"),
    variation_strength: unless(order.variation_strength, 0),
    hires: order.hires === null ? null : {
      by: order.hires.by,
      strength: unless(order.hires.strength, HIRES_STRENGTH),
      steps: unless(order.hires.steps, order.steps ?? model?.defaults.steps),
      with: unless(order.hires.with, ENLARGERS[0]![0]),
    },
    tiles: unless(order.tiles, "off"),
    wash: model?.washes === false ? null : unless(order.wash, "on"),
    vae_tiling: model?.colours.length === 0 ? null : unless(order.vae_tiling, "auto"),
    refiner_at: unless(order.refiner_at, REFINER_AT),
    strength_rule: unless(order.strength_rule, "share"),
    prompt_mode: unless(order.prompt_mode, "a1111"),
  };
}

/** LoRAs without what tags of the prompt weigh. */
export function untagged(prompt: string, loras: LoraChoice[] | null): LoraChoice[] | null {
  const left = (loras ?? []).map((it) => ({ ...it }));
  for (const [, path, weight] of prompt.matchAll(/<(?:lora|lyco):([^:>]+)(?::([^:>]*))?>/gi)) {
    const name = path!.trim().split(/[/\\]/).at(-1)!.toLowerCase();
    const known = left.find((it) => it.name.toLowerCase() === name);
    if (known) known.weight -= weight === undefined ? 1 : Number(weight) || 0;
  }
  const rest = left.map((it) => ({ ...it, weight: Math.round(it.weight * 1e6) / 1e6 })).filter((it) => it.weight !== 0);
  return rest.length > 0 ? rest : null;
}

/** A recipe's settings (from a picture, or from the clipboard) as an order; null where it is none. */
export function orderOfRecipe(value: unknown): Order | null {
  if (typeof value !== "object" || value === null) return null;
  const outer = value as Record<string, unknown>;
  const it = typeof outer.recipe === "object" && outer.recipe !== null ? (outer.recipe as Record<string, unknown>) : outer;
  if (typeof it.prompt !== "string" || it.seed === undefined || it.steps === undefined) return null;
  // Recipes that name no mode are of versions that read prompts letter by letter.
  const read = toOrder(it);
  const mode = read.prompt_mode ?? "plain";
  // A recipe counts those that its prompt names among the others.
  const loras = mode === "plain" ? read.loras : untagged(read.prompt, read.loras);
  const order = { ...read, prompt_mode: mode, loras };
  const hires = typeof it.hires === "object" && it.hires !== null ? (it.hires as Record<string, unknown>) : null;
  if (typeof it.model === "object") {
    order.vae_tiling = tilingOf(hires === null ? [it] : [it, hires]);
    // What a recipe does not name was the plain thing, whatever the model's own is.
    order.schedule ??= "model";
    order.colours ??= "decoded";
  }
  if (order.source !== null) {
    const wanted = typeof it.wanted === "string" ? it.wanted : order.size;
    return { ...order, size: wanted, width: null, height: null };
  }
  // The size of a picture of two passes is the second one's.
  const size = hires?.size ?? it.size;
  const [width, height] = Array.isArray(size) ? (size as unknown[]) : [order.width, order.height];
  return {
    ...order,
    strength: null,
    width: typeof width === "number" ? width : null,
    height: typeof height === "number" ? height : null,
  };
}

/** What gives the autoencoder's tiles that a recipe tells of its passes: null where it did as it does by itself. */
function tilingOf(passes: Record<string, unknown>[]): string | null {
  const tiled = passes.map((pass) => typeof pass.vae_tiles === "number");
  const byItself = passes.map((pass) => {
    const [width, height] = Array.isArray(pass.work_size) ? (pass.work_size as unknown[]) : [];
    return Number(width) * Number(height) > WHOLE;
  });
  if (tiled.every((it, at) => it === byItself[at])) return null;
  return tiled.includes(true) ? "on" : "off";
}

/** What a recipe says that no order of this page can: words for a person, in the recipe's order. */
export function beyondOrders(value: unknown): string[] {
  const outer = value as { recipe?: unknown } | null;
  const it = (typeof outer?.recipe === "object" && outer.recipe !== null ? outer.recipe : outer) as Record<string, unknown> | null;
  // A copied order has only what orders have.
  if (it === null || typeof it !== "object" || typeof it.model !== "object" || it.model === null) return [];
  const model = it.model as { vae?: unknown; prediction?: unknown };
  const fields: [string, unknown][] = [
    ["its embeddings, unless the service has them", Array.isArray(it.embeddings) && it.embeddings.length > 0],
    ["enlarging", it.enlarge],
    ["another autoencoder", model.vae],
    ["what the network predicts", model.prediction],
  ];
  return fields.filter(([, said]) => said !== undefined && said !== null && said !== false).map(([words]) => words);
}

/** The name of the source that a recipe tells of. */
export function sourceNameOfRecipe(value: unknown): string {
  const it = value as { source?: { name?: unknown }; recipe?: { source?: { name?: unknown } } } | null;
  const name = it?.source?.name ?? it?.recipe?.source?.name;
  return typeof name === "string" ? name : "source";
}

/** What *copy settings* puts on the clipboard: the recipe, else the order. Pasting it recalls them. */
export function copyText(job: Job, result: JobResult): string {
  if (result.recipe !== null) return JSON.stringify(JSON.parse(result.recipe), null, 2);
  return JSON.stringify(bodyOf(settingsOf(job, result)), null, 2);
}

/** Words that tell two orders apart, for the compare view: `[name, first, second]`. */
export function differences(first: Order, second: Order): [string, string, string][] {
  const names: [keyof Order, string][] = [
    ["prompt", "Prompt"], ["negative_prompt", "Leave out"], ["strength", "Strength"], ["seed", "Seed"],
    ["steps", "Steps"], ["guidance_scale", "Guidance"], ["sampler", "Sampler"], ["schedule", "Noise levels"], ["eta", "Fresh noise"],
    ["guidance_rescale", "Guidance rescale"], ["guidance_until", "Guided share"], ["cache_interval", "Whole network every"], ["token_merging", "Tokens merged"], ["image_guidance", "Image guidance"], ["colours", "Colours"], ["wash", "Colours under lines"],
    ["clip_skip", "Clip skip"], ["noise", "Noise"], ["precision", "Precision"], ["variation_seed", "Variation seed"], ["variation_strength", "Variation"], ["model", "Model"],
    ["refiner", "Refiner"], ["refiner_at", "Refiner from"], ["tiles", "Windows"], ["vae_tiling", "Autoencoder's tiles"], ["size", "Size"],
  ];
  const named = (loras: LoraChoice[] | null): string | null => loras?.map((it) => `${it.name} ${it.weight}`).join(", ") ?? null;
  const loras: [string, string | null, string | null] = ["LoRAs", named(first.loras), named(second.loras)];
  const intents: [string, string | null, string | null] = ["Repainted", first.inpaint?.intent ?? null, second.inpaint?.intent ?? null];
  const pass = (hires: Hires | null): string | null => hires && Object.values(hires).filter((it) => it !== null).join(", ");
  const passes: [string, string | null, string | null] = ["Second pass", pass(first.hires), pass(second.hires)];
  const shown = (value: unknown): string => (value === null || value === "" ? "–" : String(value));
  return [...names.map(([name, label]) => [label, first[name], second[name]] as const), passes, loras, intents]
    .filter(([, left, right]) => left !== right)
    .map(([label, left, right]) => [label, shown(left), shown(right)]);
}

/** Copied settings as JSON, their seed never rounded. Throws where it is no JSON. */
export const parse = (text: string): unknown => parseJson(text);

/** A model as one chooses it: its name, what it is, and its size. */
export function modelLabel(model: Pick<Model, "name" | "kind" | "bytes">): string {
  const facts = [model.kind, model.bytes > 0 ? bytes(model.bytes) : ""].filter((fact) => fact !== "");
  return facts.length > 0 ? `${model.name} (${facts.join(", ")})` : model.name;
}
