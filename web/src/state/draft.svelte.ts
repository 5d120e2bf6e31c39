// What is on the page, kept over a reload.

import { read, write } from "../lib/keep";
import { remembered } from "../lib/recent";
import { readDraft, recalled, type Draft } from "../lib/settings";
import type { Order, Source } from "../types";

export const draft: Draft = $state(readDraft(read("draft")));

/** Prompts used last. */
export const recent = $state({ prompts: readTexts(read("recent")) });

function readTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
}

/** Keeps the draft as it changes; call once, where effects may live. */
export function keepDraft(): void {
  $effect(() => {
    write("draft", $state.snapshot(draft));
  });
}

export function remember(prompt: string): void {
  recent.prompts = remembered(recent.prompts, prompt);
  write("recent", recent.prompts);
}

export function forgetPrompts(): void {
  recent.prompts = [];
  write("recent", null);
}

/** Takes an order's settings over; `source` where it is still there. */
export function recall(order: Order, source: Source | null): void {
  Object.assign(draft, recalled($state.snapshot(draft), order));
  if (source) draft.source = source;
}
