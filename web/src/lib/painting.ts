// What a repainted part is to become and how: the intents, and the settings beside the painted mask.

import type { Inpaint } from "../types";

export type IntentName = "change" | "fill" | "replace-background" | "add" | "remove" | "refine";

export interface Intent {
  id: IntentName;
  name: string;
  /** What it does, in one line. */
  does: string;
  /** What to ask for the prompt. */
  asks: string;
  example: string;
  /** Strength, start under the mask and what the model sees, where nobody sets them apart. */
  strength: number;
  content: string;
  area: string;
}

/** The service's own intents, with its own numbers. */
export const INTENTS: readonly Intent[] = [
  { id: "change", name: "Change", does: "Another look for what is there", strength: 0.75, content: "original", area: "whole",
    asks: "What should the part become?", example: "oil painting, warm palette" },
  { id: "fill", name: "Fill", does: "Something new that fits in", strength: 0.9, content: "patches", area: "masked",
    asks: "What should be there?", example: "a wooden table" },
  { id: "replace-background", name: "Background", does: "Another ground; finds it by itself", strength: 0.9, content: "fill", area: "whole",
    asks: "What should be behind it?", example: "snowy winter" },
  { id: "add", name: "Add", does: "Something more on what is there", strength: 0.85, content: "original", area: "masked",
    asks: "What should be added?", example: "a red scarf" },
  { id: "remove", name: "Remove", does: "Away with it; needs no words", strength: 0.6, content: "patches", area: "masked",
    asks: "What is around it? May stay empty", example: "grass" },
  { id: "refine", name: "Refine", does: "The same in more detail", strength: 0.35, content: "original", area: "masked",
    asks: "What is to be seen there?", example: "a face, sharp focus" },
];

export const intentOf = (name: IntentName): Intent => INTENTS.find((it) => it.id === name) ?? INTENTS[0]!;

export const SIDES = ["left", "top", "right", "bottom"] as const;
export type Sides = Record<(typeof SIDES)[number], number>;
/** Most pixels that a side is made longer by on the page. */
export const MOST_EXPAND = 2048;

/** Settings of an order that the page has no field for; they are passed on. */
export type More = Partial<Pick<Inpaint, "padding" | "wide" | "band" | "ring" | "boxes" | "colours" | "invert" | "fit_mask">>;

/** Everything about a repainted part but the painted mask. */
export interface Painting {
  intent: IntentName;
  /** null is the intent's own, here and below. */
  strength: number | null;
  content: string | null;
  area: string | null;
  /** Pixels of the source over which the mask's edge is soft, and by which it grows or shrinks. */
  feather: number;
  grow: number;
  /** Parts that are found and repainted too, and those that are kept. */
  only: string[];
  protect: string[];
  expand: Sides;
  more: More;
}

export const freshPainting = (): Painting => ({
  intent: "change",
  strength: null,
  content: null,
  area: null,
  feather: 0,
  grow: 0,
  only: [],
  protect: [],
  expand: { left: 0, top: 0, right: 0, bottom: 0 },
  more: {},
});

export const strengthOf = (painting: Painting): number => painting.strength ?? intentOf(painting.intent).strength;

export const isExpanded = (painting: Painting): boolean => SIDES.some((side) => painting.expand[side] > 0);

/** Whether a part is named that is to be found or is measured out, besides what is painted. */
function namesPart({ intent, only, protect, more }: Painting): boolean {
  const found = intent === "replace-background" || only.length > 0 || protect.length > 0;
  return found || (more.boxes ?? []).length > 0 || (more.colours ?? []).length > 0;
}

/** What the model starts from where nobody sets it apart: patches where all that changes is what is added. */
export function startOf(painting: Painting, hasMask: boolean): string {
  const alone = isExpanded(painting) && !hasMask && !namesPart(painting);
  return alone ? "patches" : intentOf(painting.intent).content;
}

/** Whether there is something to repaint where nothing is painted. */
export const needsNoMask = (painting: Painting): boolean => namesPart(painting) || isExpanded(painting);

/** A painting out of storage; what does not fit falls back to the start. */
export function readPainting(stored: unknown): Painting {
  const painting = freshPainting();
  if (typeof stored !== "object" || stored === null) return painting;
  const it = stored as Record<string, unknown>;
  const number = (value: unknown, least: number, most: number, otherwise: number): number =>
    typeof value === "number" && Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : otherwise;
  const texts = (value: unknown): string[] =>
    Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
  const sides = (typeof it.expand === "object" && it.expand !== null ? it.expand : {}) as Record<string, unknown>;
  if (INTENTS.some(({ id }) => id === it.intent)) painting.intent = it.intent as IntentName;
  if (typeof it.strength === "number") painting.strength = number(it.strength, 0, 1, 0.75);
  if (typeof it.content === "string") painting.content = it.content;
  if (typeof it.area === "string") painting.area = it.area;
  painting.feather = Math.round(number(it.feather, 0, 1024, 0));
  painting.grow = Math.round(number(it.grow, -1024, 1024, 0));
  painting.only = texts(it.only);
  painting.protect = texts(it.protect);
  for (const side of SIDES) painting.expand[side] = Math.round(number(sides[side], 0, MOST_EXPAND, 0));
  if (typeof it.more === "object" && it.more !== null) painting.more = it.more as More;
  return painting;
}

/** `left=128,top=64`, or null where nothing is added. */
export function expandText(expand: Sides): string | null {
  const parts = SIDES.filter((side) => expand[side] > 0).map((side) => `${side}=${expand[side]}`);
  return parts.length > 0 ? parts.join(",") : null;
}

export function readExpand(text: string | null): Sides {
  const expand = freshPainting().expand;
  for (const part of (text ?? "").split(",")) {
    const [name, pixels] = part.split("=").map((it) => it.trim());
    const side = SIDES.find((it) => it === name);
    if (side) expand[side] = Math.max(0, Math.round(Number(pixels)) || 0);
  }
  return expand;
}

/** The field `inpaint` of an order: only what is set. `mask` is the hash of the painted one. */
export function inpaintBody(painting: Painting, mask: string | null): Partial<Inpaint> {
  const body: Partial<Inpaint> = { intent: painting.intent };
  if (mask !== null) body.mask = mask;
  if (painting.content !== null) body.content = painting.content;
  if (painting.area !== null) body.area = painting.area;
  if (painting.feather > 0) body.feather = painting.feather;
  if (painting.grow !== 0) body.grow = painting.grow;
  if (painting.only.length > 0) body.only = [...painting.only];
  if (painting.protect.length > 0) body.protect = [...painting.protect];
  const expand = expandText(painting.expand);
  if (expand !== null) body.expand = expand;
  return { ...body, ...painting.more };
}

/** An order's settings of the part; `strength` null or the intent's own stays the intent's. */
export function paintingOf(inpaint: Inpaint, strength: number | null): Painting {
  const intent = INTENTS.find(({ id }) => id === inpaint.intent) ?? INTENTS[0]!;
  const unless = <T>(value: T, own: T): T | null => (value === own ? null : value);
  const more: More = {};
  for (const name of ["padding", "wide", "band", "ring"] as const) if (inpaint[name] !== null) more[name] = inpaint[name];
  if (inpaint.boxes.length > 0) more.boxes = inpaint.boxes;
  if (inpaint.colours.length > 0) more.colours = inpaint.colours;
  if (inpaint.invert) more.invert = true;
  if (inpaint.fit_mask) more.fit_mask = true;
  const painting: Painting = {
    intent: intent.id,
    strength: unless(strength, intent.strength),
    content: inpaint.content,
    area: unless(inpaint.area, intent.area),
    feather: inpaint.feather,
    grow: inpaint.grow,
    only: [...inpaint.only],
    protect: [...inpaint.protect],
    expand: readExpand(inpaint.expand),
    more,
  };
  return { ...painting, content: unless(inpaint.content, startOf(painting, inpaint.mask !== null)) };
}

/** What is passed on, in words; empty where it is nothing. */
export function moreText({ boxes, colours, invert, fit_mask, ...edges }: More): string {
  const words = Object.entries(edges).map(([name, pixels]) => `${name} ${pixels}`);
  if (boxes?.length) words.push(`${boxes.length} ${boxes.length === 1 ? "box" : "boxes"}`);
  if (colours?.length) words.push(`colours ${colours.join(" ")}`);
  if (invert) words.push("inverted");
  if (fit_mask) words.push("mask fitted");
  return words.join(", ");
}
