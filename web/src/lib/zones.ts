// What strength does: the one knob that matters most, cut into zones a person can name.

export interface Zone {
  id: string;
  /** First and last strength of the zone, 0 to 1; the last belongs to the next zone, but at 0 and 1. */
  from: number;
  to: number;
  /** One word, for under the slider. */
  name: string;
  /** A strength in the middle, for one click. */
  typical: number;
  title: string;
  /** What this value does. */
  does: string;
  /** What it is best for. */
  best: string;
}

/** From the source untouched to text alone. */
export const ZONES: readonly Zone[] = [
  { id: "untouched", from: 0, to: 0, name: "Source", typical: 0, title: "Untouched",
    does: "Gives the source back, pixel for pixel.", best: "checking that nothing is touched unasked" },
  { id: "texture", from: 0, to: 0.225, name: "Texture", typical: 0.15, title: "Texture only",
    does: "Changes texture and fine detail only.", best: "upscaling, or a hint of a style" },
  { id: "repair", from: 0.225, to: 0.3, name: "Texture", typical: 0.25, title: "A light hand",
    does: "Goes over the details and leaves every form in place.", best: "repairing a nearly good picture" },
  { id: "likeness", from: 0.3, to: 0.475, name: "Likeness", typical: 0.35, title: "Style with likeness",
    does: "The style begins to show; structure and likeness are kept.", best: "portraits, pets and products" },
  { id: "style", from: 0.475, to: 0.625, name: "Style", typical: 0.5, title: "Clear style",
    does: "The style is clear, the composition holds.", best: "most style transfer" },
  { id: "echo", from: 0.625, to: 0.775, name: "Echo", typical: 0.7, title: "Reinterpreted",
    does: "The structure echoes, reinterpreted.", best: "turning a sketch into finished art" },
  { id: "loose", from: 0.775, to: 1, name: "Loose", typical: 0.85, title: "Loose reference",
    does: "The source is barely visible.", best: "keeping no more than a rough composition" },
  { id: "fresh", from: 1, to: 1, name: "Text", typical: 1, title: "Text alone",
    does: "Ignores the source: text-to-image.", best: "a fresh start" },
];

/** From this strength on faces distort. */
export const FACES_AT_RISK = 0.6;

/** The zone of a strength; out of range counts as the nearest end. */
export function zoneOf(strength: number): Zone {
  const last = ZONES.length - 1;
  if (strength <= 0) return ZONES[0]!;
  if (strength >= 1) return ZONES[last]!;
  return ZONES.slice(1, last).find((zone) => strength < zone.to) ?? ZONES[last - 1]!;
}

/** The word about faces, or null where there is nothing to warn of. */
export function faceWarning(strength: number, faces: number): string | null {
  if (faces === 0 || strength < FACES_AT_RISK || strength >= 1) return null;
  const found = faces === 1 ? "There is a face in this picture." : `There are ${faces} faces in this picture.`;
  return `${found} From 0.6 on faces distort; 0.5 keeps the likeness.`;
}

/** `strength` moved by `by`, kept within 0.05 to 1 and rounded to hundredths. */
export function moved(strength: number, by: number): number {
  return Math.round(Math.min(1, Math.max(0.05, strength + by)) * 100) / 100;
}

/** Steps that really run. Halves go up, as in the service; rule `exact` runs them all. */
export function runs(steps: number, strength: number, rule: string = "share"): number {
  if (strength <= 0) return 0;
  if (rule === "exact") return steps;
  if (rule === "a1111") return Math.floor(steps * Math.min(strength, 0.999)) + 1;
  // A product like 0.35 * 10 is a hair off its half; the service rounds what was meant.
  const share = Math.round(steps * strength * 1e9) / 1e9;
  return rule === "diffusers" ? Math.floor(share) : Math.max(1, Math.floor(share + 0.5));
}
