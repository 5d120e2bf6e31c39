// What the service says, as the page sees it. `api.ts` makes these out of JSON.

import type { Seed } from "./lib/seed";

export type State = "queued" | "running" | "done" | "failed" | "cancelled";
export type Kind = "transform" | "generate" | "ladder" | "vary" | "upscale" | "inpaint";

export interface Limits {
  picture_bytes: number;
  pixels: number;
  count: number;
}

export interface Session {
  key_required: boolean;
  signed_in: boolean;
  name: string | null;
  version: string;
  limits: Limits;
}

export interface Source {
  sha256: string;
  name: string;
  width: number;
  height: number;
  bytes: number;
  warnings: string[];
}

export interface Example {
  id: string;
  title: string;
  credit: string;
  width: number;
  height: number;
}

/** What would help, as a value the page can act on. */
export interface Suggestion {
  action: string;
  value: unknown;
}

export interface Advice {
  kind: string;
  severity: "note" | "warning";
  message: string;
  suggestion: Suggestion | null;
}

export interface SourceAdvice {
  faces: number;
  runs: number | null;
  advice: Advice[];
}

export interface ModelDefaults {
  steps: number;
  guidance_scale: number;
  strength: number;
  sampler: string;
  schedule: string;
  /** Weight of the source; null for models that are not told how to edit it. */
  image_guidance: number | null;
}

export interface Model {
  name: string;
  /** What it is, such as `SDXL`; empty where the service does not say. */
  kind: string;
  /** Bytes of its files; 0 where the service does not say. */
  bytes: number;
  is_default: boolean;
  defaults: ModelDefaults;
  native_side: number;
  samplers: string[];
  /** Share of fresh noise that each sampler takes by itself, of those that have such a choice. */
  eta: Record<string, number>;
  schedules: string[];
  /** What can be done about colours; empty where none are shifted. */
  colours: string[];
  /** Whether it puts colours under the lines of drawings. */
  washes: boolean;
  /** Most that `clip_skip` can be. */
  clip_skip: number;
  styles: string[];
  /** Models here that can run its last steps. */
  refiners: string[];
}

/** A LoRA or an embedding that orders may name. */
export interface Shelved {
  name: string;
  /** The models it seems made for, where that is known. */
  family: string | null;
}

/** A LoRA in an order, and how much of it. */
export interface LoraChoice {
  name: string;
  weight: number;
}

/** What an inpainting changes and how. `null` is the intent's own. */
export interface Inpaint {
  intent: string;
  content: string | null;
  area: string | null;
  /** `left=128,top=64`. */
  expand: string | null;
  padding: number | null;
  wide: number | null;
  band: number | null;
  ring: number | null;
  /** Hash of the mask picture. */
  mask: string | null;
  fit_mask: boolean;
  boxes: unknown[];
  colours: string[];
  only: string[];
  protect: string[];
  invert: boolean;
  grow: number;
  feather: number;
}

/** A second pass over a picture from text. `null` is the usual. */
export interface Hires {
  /** By what each side is multiplied. */
  by: number;
  strength: number | null;
  steps: number | null;
  with: string | null;
}

/** What was asked for. Fields that do not belong to the kind are null. */
export interface Order {
  prompt: string;
  negative_prompt: string;
  /** How brackets and keywords are read; null for the service's own way. */
  prompt_mode: string | null;
  /** LoRAs besides those that the prompt names; null for none. */
  loras: LoraChoice[] | null;
  source: string | null;
  strength: number | null;
  strengths: number[] | null;
  width: number | null;
  height: number | null;
  size: string | null;
  fit: string | null;
  count: number | null;
  model: string | null;
  sampler: string | null;
  schedule: string | null;
  eta: number | null;
  guidance_rescale: number | null;
  guidance_until: number | null;
  cache_interval: number | null;
  token_merging: number | null;
  image_guidance: number | null;
  colours: string | null;
  wash: string | null;
  clip_skip: number | null;
  /** Whose random numbers seeds stand for; null for torch's on the CPU. */
  noise: string | null;
  /** In what networks multiply, "f32", "bf16" or "int8"; null for f32. */
  precision: string | null;
  variation_seed: Seed | null;
  variation_strength: number | null;
  hires: Hires | null;
  /** Whether pictures larger than the model works at are worked on in windows. */
  tiles: string | null;
  vae_tiling: string | null;
  /** The model that runs the last steps. */
  refiner: string | null;
  refiner_at: number | null;
  strength_rule: string | null;
  steps: number | null;
  guidance_scale: number | null;
  seed: Seed | null;
  inpaint: Inpaint | null;
}

export interface Fidelity {
  overall: number;
  structure: number;
  colour: number;
}

export interface JobResult {
  index: number;
  seed: Seed | null;
  variation_seed: Seed | null;
  strength: number | null;
  width: number;
  height: number;
  fidelity: Fidelity | null;
  warnings: string[];
  advice: Advice[];
  /** As the service wrote it into the picture; kept as JSON text so that nothing is rounded. */
  recipe: string | null;
}

export interface Progress {
  picture: number;
  pictures: number;
  step: number;
  steps: number;
}

export interface Job {
  id: string;
  kind: Kind;
  state: State;
  order: Order;
  created_ms: number;
  position: number | null;
  estimate_s: number | null;
  progress: Progress | null;
  /** Name of the source file, where there is a source. */
  source_name: string | null;
  results: JobResult[];
  sheet: boolean;
  warnings: string[];
  failure: { code: string; message: string } | null;
  favourite: boolean;
}

export interface Page {
  jobs: Job[];
  next: string | null;
}

export interface StepEvent extends Progress {
  left_s: number | null;
}
