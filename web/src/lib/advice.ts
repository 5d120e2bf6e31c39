// Short names for what the adviser says; the whole sentence is shown when a chip is pressed.

import type { Advice, Suggestion } from "../types";

const NAMES: Record<string, string> = {
  "source-tiny": "Very small",
  "source-small": "Small",
  "source-large": "Larger than needed",
  "source-blurred": "Blurred",
  "source-noisy": "Noisy",
  "source-blocky": "Heavily compressed",
  "source-flat": "Low contrast",
  "source-long": "Very long",
  "source-bars": "Has bars",
  "source-clear": "Transparent parts",
  "source-turned": "Set upright",
  "faces-at-risk": "Faces at risk",
  "few-steps": "Few steps",
  "prompt-long": "Prompt too long",
  "negative-prompt-long": "Negative prompt too long",
  "nothing-changed": "Hardly changed",
  "nothing-left": "Little left of the source",
  "colour-shift": "Colours moved",
};

export const shortName = (advice: Advice): string => NAMES[advice.kind] ?? advice.kind.replaceAll("-", " ");

/** What a press can do about it, or null. */
export interface Remedy {
  label: string;
  strength?: number;
  steps?: number;
}

export function remedy(suggestion: Suggestion | null): Remedy | null {
  if (suggestion === null || typeof suggestion.value !== "number") return null;
  if (suggestion.action === "strength") {
    return { label: `Take strength ${suggestion.value}`, strength: suggestion.value };
  }
  if (suggestion.action === "steps") return { label: `Take ${suggestion.value} steps`, steps: suggestion.value };
  return null;
}
