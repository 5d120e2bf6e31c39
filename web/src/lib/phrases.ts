// Style chips: a word to press, and the words it writes. Media replace each other and so do seasons, since
// "oil painting, pencil sketch" is seldom what one means; a medium and a season go together.

export type Group = "medium" | "season";

export interface Style {
  name: string;
  group: Group;
  /** What it writes into the prompt. */
  phrase: string;
}

const KNOWN: Record<string, Omit<Style, "name"> & { name?: string }> = {
  "oil painting": { group: "medium", phrase: "oil painting, visible brush strokes, warm palette" },
  impressionist: { group: "medium", phrase: "oil painting, impressionist style, dabs of light" },
  watercolour: { group: "medium", phrase: "watercolour illustration, soft colours, painterly" },
  "pencil sketch": { group: "medium", phrase: "pencil drawing, fine lines, shading on paper" },
  "coloured pencil": { group: "medium", phrase: "coloured pencil drawing, soft strokes on paper" },
  comic: { group: "medium", phrase: "comic book style, bold outlines, flat colours" },
  "pixel art": { group: "medium", phrase: "pixel art, limited palette, retro video game" },
  winter: { group: "season", name: "snowy winter", phrase: "snowy winter, cold light" },
  autumn: { group: "season", phrase: "autumn, orange and golden leaves" },
  night: { group: "season", phrase: "night, moonlight, dark blue sky" },
};

/** Chips for the styles a model says it knows; a style without a phrase of ours writes its own name. */
export function stylesOf(names: readonly string[]): Style[] {
  return names.map((name) => {
    const known = KNOWN[name];
    return { name: known?.name ?? name, group: known?.group ?? "medium", phrase: known?.phrase ?? name };
  });
}

/** Chips where the model says nothing about styles. */
export const COMMON: readonly string[] = Object.keys(KNOWN);

export function holds(prompt: string, style: Style): boolean {
  return prompt.includes(style.phrase);
}

/** The prompt after a press on `style`: taken away if it was there, else in place of its group's or at the end. */
export function press(prompt: string, style: Style, styles: readonly Style[]): string {
  if (holds(prompt, style)) return tidy(prompt.replace(style.phrase, ""));
  const rival = styles.find((other) => other.group === style.group && holds(prompt, other));
  if (rival) return prompt.replace(rival.phrase, style.phrase);
  const before = prompt.trim().replace(/,$/, "");
  return before === "" ? style.phrase : `${before}, ${style.phrase}`;
}

function tidy(prompt: string): string {
  return prompt
    .replace(/(\s*,\s*){2,}/g, ", ")
    .replace(/^\s*,\s*/, "")
    .replace(/\s*,?\s*$/, "");
}
